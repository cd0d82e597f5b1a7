import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.adaptation.linear_student import fit_linear_student


def build_body():
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Activation("linear", name="features")]
    )


@pytest.fixture
def domains(rng):
    labels = np.arange(240) % 3
    centers = 4.0 * np.eye(4)[:3]
    source, target = (
        (centers[labels] + rng.normal(size=(240, 4))).astype("float32")
        for _ in range(2)
    )
    return source, target, labels


def test_the_model_does_what_was_decided(domains):
    source, target, labels = domains
    moved = target + [3.0, 0.0, 0.0, 0.0]
    found = tft.adapt_domain(build_body(), (source, labels), moved, verbose=0)
    assert found.verdict != "kept source-only" and found.reasons
    called = found.model.predict(moved.astype("float32"), verbose=0).argmax(axis=1)
    assert np.mean(called == found.features.labels) == found.agreement > 0.95
    accuracies = found.evaluate(labels)
    assert accuracies["chosen"] > accuracies["control"]
    assert set(found.estimated_accuracy) == {"control", "chosen"}


def test_where_nothing_moved_the_model_is_the_control(domains):
    source, target, labels = domains
    data = tf.data.Dataset.from_tensor_slices((source, labels)).batch(32)
    found = tft.adapt_domain(build_body(), data, target, verbose=0)
    assert found.verdict == "kept source-only" and found.agreement == 1.0
    logits = found.model.predict(target, verbose=0)
    expected = found.features.control.predict_proba(target)
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, atol=1e-5)


def test_labels_of_the_target_change_nothing(domains, capsys):
    source, target, labels = domains
    plain = tft.adapt_domain(build_body(), (source, labels), target + 1, verbose=0)
    for given in (labels, labels[::-1].copy()):
        other = tft.adapt_domain(
            build_body(), (source, labels), (target + 1, given), verbose=0
        )
        assert "labels of the target are dropped" in capsys.readouterr().out
        np.testing.assert_array_equal(
            plain.model.get_weights()[-2], other.model.get_weights()[-2]
        )


def test_a_class_that_the_source_lacks_is_never_called(domains):
    source, target, labels = domains
    labels = np.array([0, 2, 5])[labels]
    found = tft.adapt_domain(build_body(), (source, labels), target, verbose=0)
    assert found.model.output_shape == (None, 6)
    called = found.model.predict(target, verbose=0).argmax(axis=1)
    assert set(called) == {0, 2, 5}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda x, y: x, "Received: inputs alone"),
        (lambda x, y: (x, np.eye(3)[y]), r"Received: labels of shape \(240, 3\)"),
        (lambda x, y: (x, y + 0.5), "and dtype float32. Of one-hot rows take"),
    ],
)
def test_refusals(domains, source, message):
    with pytest.raises(ValueError, match=message):
        tft.adapt_domain(
            build_body(), source(domains[0], domains[2]), domains[1], verbose=0
        )


def test_a_student_of_something_linear_is_exact(rng):
    kernel, bias = rng.normal(size=(5, 3)), rng.normal(size=3)
    rows = 1e3 + 0.1 * rng.normal(size=(40, 5))

    def model(x):
        logits = (x - 1e3) @ kernel + bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    found, _, agreement = fit_linear_student(model, rows, model(rows))
    differences = kernel - kernel.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, differences, atol=1e-6)
    assert agreement == 1.0
