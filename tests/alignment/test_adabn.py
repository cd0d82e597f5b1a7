import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.alignment.adabn import adapt_batch_norm


def build_model():
    """Two convolutions with BatchNormalization, and dropout, which must stay off."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(3, 3, name="first"),
            keras.layers.BatchNormalization(name="lower"),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.5),
            keras.layers.Conv2D(4, 3, name="second"),
            keras.layers.BatchNormalization(name="upper"),
        ]
    )


def statistics(model):
    return [np.array(x) for x in model.non_trainable_variables if "moving" in x.path]


@pytest.fixture
def images(rng):
    return (3 + 2 * rng.normal(size=(40, 6, 6, 2))).astype("float32")


def test_the_statistics_are_those_of_all_target_rows():
    rows = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0], [10.0, 5.0]], "float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    adapt_batch_norm(model, rows, batch_size=3)  # batches of 3 and 1
    mean, variance = statistics(model)
    np.testing.assert_allclose(mean, [4, 2])  # by hand
    np.testing.assert_allclose(variance, [(16 + 4 + 0 + 36) / 4, (1 + 1 + 1 + 9) / 4])
    expected = (rows - [4, 2]) / np.sqrt(np.array([14, 3]) + 1e-3)
    np.testing.assert_allclose(model(rows), expected, rtol=1e-5, atol=1e-6)


def test_upper_layers_meet_what_the_adapted_lower_ones_give(images):
    model = build_model()
    adapt_batch_norm(model, images)
    x = model.get_layer("first")(images).numpy().astype("float64")
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    x = np.maximum((x - mean) / np.sqrt(variance + 1e-3), 0).astype("float32")
    y = model.get_layer("second")(x).numpy().astype("float64")
    found = statistics(model)
    expected = [mean, variance, y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    # So the model's outputs on the target are centered, each channel with spread 1.
    output = np.asarray(model(images))
    np.testing.assert_allclose(output.mean(axis=(0, 1, 2)), 0, atol=1e-4)


def test_frozen_layers_are_adapted_and_nothing_else_moves(images):
    model = build_model()
    model.trainable = False
    kernels = [np.array(layer.kernel) for layer in model.layers if "con" in layer.name]
    adapt_batch_norm(model, images)
    assert not np.allclose(statistics(model)[0], 0)
    after = [np.array(layer.kernel) for layer in model.layers if "con" in layer.name]
    for one, other in zip(kernels, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "call" not in vars(model.get_layer("lower"))
    assert not model.get_layer("lower").trainable


@pytest.mark.parametrize("kind", ["dataset", "pairs", "domain", "list"])
def test_targets_may_come_in_batches_and_labels_are_not_read(images, kind):
    expected = build_model()
    adapt_batch_norm(expected, images, batch_size=16)
    data = tf.data.Dataset.from_tensor_slices(images).batch(16)
    given = {
        "dataset": data,
        "pairs": data.map(lambda x: (x, tf.zeros(()) / 0.0)),
        "domain": tft.UnlabeledDomain(data),
        "list": [images[:16], images[16:32], images[32:]],
    }[kind]
    model = build_model()
    adapt_batch_norm(model, given)
    for one, other in zip(statistics(model), statistics(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_layer_used_twice_joins_what_it_meets():
    norm = keras.layers.BatchNormalization()
    inputs = keras.Input((1,))
    model = keras.Model(inputs, norm(norm(inputs) * 0 + 10 * inputs))
    adapt_batch_norm(model, np.array([[0.0], [2.0]], "float32"))
    mean, variance = statistics(model)
    values = np.array([0, 2, 0, 20])
    np.testing.assert_allclose([mean[0], variance[0]], [values.mean(), values.var()])


def test_predictions_of_a_compiled_model_follow(images):
    model = build_model()
    model.compile("sgd", "mse")
    before = model.predict(images, verbose=0)
    adapt_batch_norm(model, images)
    after = model.predict(images, verbose=0)
    assert np.abs(before - after).max() > 0.1
    np.testing.assert_allclose(after, model(images, training=False), atol=1e-5)


def test_where_the_target_fails_the_statistics_are_as_before(images):
    def fails():
        yield images[:20]
        raise RuntimeError("disk gone")

    model = build_model()
    adapt_batch_norm(model, images[20:])
    before = statistics(model)
    with pytest.raises(RuntimeError, match="disk gone"):
        adapt_batch_norm(model, fails())
    spoiled = images.copy()
    spoiled[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Received: NaN or infinite .*'lower'"):
        adapt_batch_norm(model, spoiled)
    for one, other in zip(statistics(model), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "call" not in vars(model.get_layer("upper"))


def test_a_spent_dataset_is_refused(images):
    with pytest.raises(ValueError, match="Received: target without any"):
        adapt_batch_norm(build_model(), iter([]))


def test_models_without_batch_normalization_are_refused(images):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="plain")
    with pytest.raises(ValueError, match="Received: model 'plain' without any"):
        adapt_batch_norm(model, np.zeros((4, 3)))
    with pytest.raises(TypeError, match="Received: model of type str"):
        adapt_batch_norm("plain", np.zeros((4, 3)))


# Keras' backend is chosen once for a process, hence another one.
SCRIPT = """
import keras
import numpy as np

from tftransfer.alignment.adabn import adapt_batch_norm

norm = keras.layers.BatchNormalization()
model = keras.Sequential([keras.Input((1,)), norm])
adapt_batch_norm(model, np.array([[0.0], [2.0], [10.0]]), batch_size=2)
print(keras.backend.backend(), float(norm.moving_mean[0]), norm.moving_variance[0])
"""


@pytest.mark.slow
def test_values_under_the_jax_backend(run_under_jax):
    printed = run_under_jax(SCRIPT)
    backend, mean, variance = printed.split()
    assert (backend, float(mean)) == ("jax", 4.0)
    assert float(variance) == pytest.approx((16 + 4 + 36) / 3)
