import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.alignment.domain_classifier import (
    ReversalRamp,
    domain_loss,
    reverse_gradient,
)


@pytest.fixture
def domains(rng):
    return [
        {
            "features": rng.normal(size=(size, 5)).astype("float32"),
            "logits": rng.normal(size=(size, 3)).astype("float32"),
        }
        for size in (4, 6)
    ]


def build(layer, domains):
    shapes = {name: (None, x.shape[-1]) for name, x in domains[0].items()}
    layer.build(shapes, shapes)
    return layer


def cross_entropy(model, source, target, weights=(1.0, 1.0)):
    def probability(x):
        return 1 / (1 + np.exp(-np.asarray(model(x), "float64")[:, 0]))

    source, target = -np.log(probability(source)), -np.log(1 - probability(target))
    return 0.5 * ((weights[0] * source).mean() + (weights[1] * target).mean())


def test_the_gradient_comes_back_reversed():
    x = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = reverse_gradient(x, 0.25)
        loss = tf.reduce_sum(y * [3.0, 4.0])
    np.testing.assert_array_equal(y, [1.0, 2.0])
    np.testing.assert_allclose(tape.gradient(loss, x), [-0.75, -1.0])


def test_the_ramp_is_that_of_the_paper():
    ramp = ReversalRamp(4)
    found = [float(ramp.step()) for _ in range(6)]
    shares = [0, 0.25, 0.5, 0.75, 1, 1]
    np.testing.assert_allclose(
        found, [2 / (1 + math.exp(-10 * p)) - 1 for p in shares], rtol=1e-5
    )
    assert float(ReversalRamp().step()) == 1.0


def test_dann_is_the_cross_entropy_of_its_discriminator(domains):
    layer = build(tft.DANN(weight=0.5), domains)
    inputs = [domain["features"] for domain in domains]
    expected = cross_entropy(layer.discriminators["features"], *inputs)
    assert float(layer(*domains)) == pytest.approx(0.5 * expected, rel=1e-5)
    inputs = [domain["logits"] for domain in domains]
    expected = cross_entropy(layer.discriminators["logits"], *inputs)
    found = float(layer(*domains, features_learn=False))
    assert found == pytest.approx(0.5 * expected, rel=1e-5)


def test_domains_of_any_size_count_one_half_each(domains):
    layer = build(tft.DANN(), domains)
    source, target = (domain["features"] for domain in domains)
    network = layer.discriminators["features"]
    once = float(domain_loss(network, source, target))
    twice = float(domain_loss(network, np.tile(source, (2, 1)), target))
    assert once == pytest.approx(twice, rel=1e-5)


@pytest.mark.parametrize("entropy", [True, False])
def test_cdan_reads_products_of_features_and_probabilities(domains, entropy):
    layer = build(tft.CDAN(entropy=entropy), domains)
    products, weights = [], []
    for domain in domains:
        p = np.exp(domain["logits"].astype("float64"))
        p /= p.sum(axis=1, keepdims=True)
        products.append(np.einsum("bi,bj->bij", domain["features"], p).reshape(-1, 15))
        certainty = 1 + np.exp((p * np.log(p)).sum(axis=1))
        weights.append(certainty / certainty.mean() if entropy else 1.0)
    expected = cross_entropy(layer.discriminators["both"], *products, weights)
    assert float(layer(*domains)) == pytest.approx(expected, rel=1e-5)


def test_wide_products_are_projected_and_keep_their_lengths(rng):
    features = rng.normal(size=(8, 512)).astype("float32")
    logits = rng.normal(size=(8, 10)).astype("float32")
    domain = {"features": features, "logits": logits}
    layer = build(tft.CDAN(), [domain, domain])
    p = np.asarray(tf.nn.softmax(logits))
    found = np.asarray(layer._multiply(features, p))
    assert found.shape == (8, 4096)
    exact = (features @ features.T) * (p @ p.T)
    np.testing.assert_allclose(found @ found.T, exact, atol=0.15 * np.abs(exact).max())


def test_features_learn_to_fool_what_learns_to_tell_them_apart(domains):
    layer = build(tft.DANN(), domains)
    source, target = (tf.Variable(domain["features"]) for domain in domains)
    for variable in (source, target):
        assert variable.shape[1] == 5
    with tf.GradientTape() as tape:
        loss = layer({"features": source}, {"features": target})
    kernel = layer.discriminators["features"].trainable_variables[0].value
    on_source, on_kernel = tape.gradient(loss, [source, kernel])
    with tf.GradientTape() as tape:
        tape.watch([source.value()])
        plain = domain_loss(layer.discriminators["features"], source, target)
    expected = tape.gradient(plain, [source, kernel])
    np.testing.assert_allclose(on_source, -expected[0], rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(on_kernel, expected[1], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"discriminator": "mlp"}, TypeError, "Received: discriminator='mlp' of type"),
        ({"steps": 0}, ValueError, "`steps` must be .*Received: steps=0"),
        ({"weight": -1.0}, ValueError, "Received: weight=-1.0"),
    ],
)
@pytest.mark.parametrize("kind", [tft.DANN, tft.CDAN])
def test_refusals(kind, options, error, message):
    with pytest.raises(error, match=message):
        kind(**options)


def test_a_discriminator_gives_one_logit():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"Received: output shape \(None, 2\)"):
        tft.DANN(discriminator=model)
