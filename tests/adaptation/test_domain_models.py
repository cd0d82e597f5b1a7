import keras
import numpy as np
import pytest

import tftransfer as tft
from tftransfer.adaptation.domain_models import (
    StudentOnFeatures,
    build_copy,
    class_probabilities,
    fit_head,
    head_on_raw_features,
    set_head,
)
from tftransfer.methods.control import fit_control
from tftransfer.methods.problem import Problem
from tftransfer.methods.softmax_regression import softmax


@pytest.fixture
def body():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(6, activation="relu", name="block1_dense")(inputs)
    x = keras.layers.BatchNormalization(name="block1_bn")(x)
    x = keras.layers.Dense(5, activation="relu", name="block2_dense")(x)
    x = keras.layers.Activation("linear", name="features")(x)
    return tft.load_backbone(keras.Model(inputs, x))


def test_training_a_copy_leaves_the_backbone_as_it_is(body, rng):
    model = build_copy(body, num_classes=3, trainable_depth="all")
    rows = rng.normal(size=(20, 4)).astype("float32")
    features = keras.Model(model.input, model.get_layer("features").output)
    np.testing.assert_allclose(features(rows), body.model(rows), rtol=1e-6)
    before = [weight.copy() for weight in body.model.get_weights()]
    model.fit(rows, np.arange(20) % 3, verbose=0)
    for one, other in zip(before, body.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(features(rows), body.model(rows), rtol=1e-6)


@pytest.mark.parametrize(
    ("depth", "opened"), [(0, []), ("block2", ["block2_dense"]), ("all", None)]
)
def test_the_depth_is_what_was_asked_for(body, depth, opened):
    model = build_copy(body, num_classes=3, trainable_depth=depth)
    learning = {weight.path.split("/")[0] for weight in model.trainable_weights}
    everything = {"block1_dense", "block1_bn", "block2_dense"}
    assert learning - {"logits"} == (everything if opened is None else set(opened))


def test_without_a_depth_half_of_the_parameters_learn_or_all(body):
    model = build_copy(body, num_classes=3)
    assert model.get_layer("block2_dense").trainable
    inputs = keras.Input((4,))
    x = keras.layers.Dense(5)(inputs)
    x = keras.layers.Concatenate()([x, keras.layers.Dense(5)(inputs)])
    undivided = keras.Model(inputs, x)
    model = build_copy(tft.load_backbone(undivided), num_classes=2)
    assert len(model.trainable_weights) == 6


def test_the_head_of_the_control_on_features_as_they_are(rng):
    source = 5 + 2 * rng.normal(size=(90, 4))
    target = 6 + rng.normal(size=(40, 4))
    labels = np.arange(90) % 3
    mixing = rng.normal(size=(4, 4))
    full = Problem(source, labels, target, 3)
    reduced = Problem(source @ mixing[:, :3], labels, target @ mixing[:, :3], 3)
    for problem in (full, reduced):
        control = fit_control(problem)
        kernel, bias = head_on_raw_features(problem, control, source, target)
        for rows, seen in ((source, problem.source), (target, problem.target)):
            found = softmax(rows @ kernel + bias)
            np.testing.assert_allclose(found, control.predict(seen), atol=1e-6)


def test_a_head_fitted_with_the_controls_penalty_is_the_control(rng):
    labels = np.arange(90) % 3
    source = rng.normal(size=(90, 4)) + labels[:, None]
    control = fit_control(Problem(source, labels, source, 3))
    kernel, bias = fit_head(source, labels, control.penalty)
    found = softmax(source @ kernel + bias)
    np.testing.assert_allclose(found, control.predict(source), atol=1e-3)


def test_classes_that_a_head_lacks_are_never_called(body, rng):
    model = build_copy(body, num_classes=5)
    set_head(model, rng.normal(size=(5, 2)), np.zeros(2), [1, 3])
    logits = model.predict(rng.normal(size=(50, 4)), verbose=0)
    assert set(logits.argmax(axis=1)) <= {1, 3}
    probabilities = class_probabilities(logits, [1, 3])
    assert probabilities.shape == (50, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    expected = 1 / (1 + np.exp(logits[:, 3].astype("float64") - logits[:, 1]))
    np.testing.assert_allclose(probabilities[:, 0], expected, rtol=1e-6)


def test_a_student_says_again_what_a_network_says(rng):
    rows = 3 + rng.normal(size=(400, 5))
    probabilities = softmax(2 * (rows - 3) @ rng.normal(size=(5, 3)))
    student = StudentOnFeatures(rows, probabilities)
    found = student(rows)
    assert np.mean(found.argmax(axis=1) == probabilities.argmax(axis=1)) > 0.97
    assert np.abs(found - probabilities).max() < 0.1
