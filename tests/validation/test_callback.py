import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.validation.callback import LabelFreeScores
from tftransfer.validation.domain_distances import mmd
from tftransfer.validation.validators import HIGHER_IS_BETTER, entropy

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def domains(rng):
    labels = np.arange(60) % 3
    source = (rng.normal(size=(60, 4)) + 3 * labels[:, None]).astype("float32")
    return source, labels, (source[:50] + 0.5).astype("float32")


def build_model(name="features"):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, activation="relu", name=name)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    model.compile("sgd", LOSS)
    return model


def fit(model, domains, scores, epochs=2):
    source, labels, target = domains
    callback = LabelFreeScores((source, labels), target, scores=scores, batch_size=32)
    history = model.fit(source, labels, epochs=epochs, verbose=0, callbacks=[callback])
    return {
        name: values
        for name, values in history.history.items()
        if name.startswith("target_")
    }


def test_every_score_is_written_after_each_epoch(domains):
    found = fit(build_model(), domains, tuple(HIGHER_IS_BETTER))
    assert set(found) == {f"target_{name}" for name in HIGHER_IS_BETTER}
    assert all(
        len(values) == 2 and np.isfinite(values).all() for values in found.values()
    )


def test_figures_are_those_of_the_functions_on_the_trained_model(domains):
    model = build_model()
    found = fit(model, domains, ("entropy", "mmd"))
    source, _, target = domains
    features = keras.Model(model.input, model.get_layer("features").output)
    probabilities = keras.ops.softmax(model(target)).numpy()
    assert found["target_entropy"][-1] == pytest.approx(
        entropy(probabilities), rel=1e-5
    )
    wanted = mmd(features(source).numpy(), features(target).numpy())
    assert found["target_mmd"][-1] == pytest.approx(wanted, rel=1e-4)


def test_without_a_layer_of_that_name_what_the_last_layer_takes_is_read(domains):
    keras.utils.set_random_seed(0)
    named = fit(build_model(), domains, ("mmd",))
    keras.utils.set_random_seed(0)
    assert fit(build_model("hidden"), domains, ("mmd",)) == named


def test_agreement_is_with_the_model_before_training(domains):
    model = build_model()
    model.optimizer.learning_rate = 0.0
    assert fit(model, domains, ("agreement",))["target_agreement"] == [1.0, 1.0]


def test_embedded_validation_takes_out_what_scaling_would_have_hidden(domains):
    scores = ("deep_embedded_validation", "importance_weighted_validation")
    found = list(fit(build_model(), domains, scores).values())
    assert found[0] != found[1]


def test_datasets_are_read_and_target_labels_dropped(domains):
    source, labels, target = domains
    one_hot = np.eye(3, dtype="float32")[labels]
    pairs = tf.data.Dataset.from_tensor_slices((source, one_hot)).batch(16)
    wrong = np.full(len(target), 99)
    unlabeled = tf.data.Dataset.from_tensor_slices((target, wrong)).batch(16)
    scores = ("average_thresholded_confidence", "entropy", "mixval")
    keras.utils.set_random_seed(0)
    from_arrays = fit(build_model(), domains, scores)
    keras.utils.set_random_seed(0)
    model = build_model()
    callback = LabelFreeScores(pairs, unlabeled, scores=scores)
    history = model.fit(source, labels, epochs=2, verbose=0, callbacks=[callback])
    for name, values in from_arrays.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-5)


def test_aligned_models_and_single_logits_are_read(domains):
    source, labels, target = domains
    backbone = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    model = tft.build_transfer_model(
        backbone, num_classes=2, alignment=tft.CORAL(weight=0.1)
    )
    pairs = ((source[:50], target), (labels[:50] > 0).astype(int))
    callback = LabelFreeScores((source, (labels > 0).astype(int)), target)
    history = model.fit(*pairs, epochs=1, verbose=0, callbacks=[callback])
    assert 0 <= history.history["target_entropy"][0] <= np.log(2)

    binary = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    binary.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    found = fit(binary, (source, (labels > 0).astype(int), target), ("entropy",))
    assert 0 <= found["target_entropy"][0] <= np.log(2)


def test_unknown_scores_are_refused(domains):
    source, labels, target = domains
    with pytest.raises(ValueError, match="Received: scores='entropi'.*'entropy'"):
        LabelFreeScores((source, labels), target, scores=("entropi",))


def test_a_source_without_labels_is_refused(domains):
    source, labels, target = domains
    for bad in (source, tf.data.Dataset.from_tensor_slices(source).batch(8)):
        with pytest.raises(
            ValueError, match="Received: source without labels, of type"
        ):
            build_model().fit(
                source, labels, verbose=0, callbacks=[LabelFreeScores(bad, target)]
            )


def test_models_that_are_no_classifiers_are_refused(domains):
    source, _, target = domains
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = LabelFreeScores((source, source[:, 0]), target)
    with pytest.raises(
        ValueError, match="Received: a model whose task is 'regression'"
    ):
        model.fit(source, source[:, 0], verbose=0, callbacks=[callback])


def test_models_without_a_graph_are_refused(domains):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    source, labels, target = domains
    model = Own()
    model.compile("sgd", LOSS)
    callback = LabelFreeScores((source, labels), target)
    with pytest.raises(
        ValueError, match=r"Received: 'own\w*' of class Own, which has no gr"
    ):
        model.fit(source, labels, verbose=0, callbacks=[callback])
