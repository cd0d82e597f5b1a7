import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.calibration.calibrate import calibrate
from tftransfer.evaluation.metrics import expected_calibration_error


def data_of(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(64)


def model_of(width, activation=None, loss=None):
    """A model that gives its input, as logits or as probabilities."""
    inputs = keras.Input((width,))
    model = keras.Model(inputs, keras.layers.Activation(activation)(inputs))
    model.compile(loss=loss)
    return model


@pytest.fixture
def too_sure(rng):
    """Logits three times as large as they ought to be, with their labels."""
    logits = 1.5 * rng.normal(size=(4_000, 3))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return (3 * logits).astype("float32"), labels


@pytest.fixture
def classifier():
    return model_of(
        3, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )


def test_a_model_too_sure_is_calmed(classifier, too_sure):
    found = calibrate(classifier, data_of(*too_sure))
    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert set(found.figures) == {
        "negative_log_likelihood",
        "expected_calibration_error",
        "equal_mass_calibration_error",
        "brier_score",
    }
    for before, after in found.figures.values():
        assert after < before
    for name in ("expected_calibration_error", "equal_mass_calibration_error"):
        before, after = found.figures[name]
        assert before > 0.15
        assert after < 0.03


def test_averages_over_views_have_a_temperature_of_their_own(rng):
    inputs = keras.Input((2, 2, 1))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs)[:, :2])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = rng.normal(size=(400, 2, 2, 1)).astype("float32")
    labels = (images[:, 0, 1, 0] + rng.logistic(size=400) > images[:, 0, 0, 0]) * 1
    data = data_of(images, labels)
    found = calibrate(model, data, augment="flip_vertical")
    averaged = np.log(tft.predict(model, images, augment="flip_vertical"))
    plain = model_of(2, loss=model.loss)
    expected = calibrate(plain, data_of(averaged, labels))
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-4)
    assert found.temperature != pytest.approx(calibrate(model, data).temperature, 1e-3)


def test_before_is_what_evaluate_says(classifier, too_sure):
    found = calibrate(classifier, data_of(*too_sure))
    expected = tft.evaluate(classifier, data_of(*too_sure))
    assert found.before.metrics == expected.metrics
    assert found.figures["expected_calibration_error"] == (
        found.before.metrics["expected_calibration_error"],
        found.after.metrics["expected_calibration_error"],
    )


def test_no_decision_moves(classifier, too_sure):
    found = calibrate(classifier, data_of(*too_sure))
    np.testing.assert_array_equal(found.before.confusion, found.after.confusion)


def test_errors_are_measured_on_the_test_data(classifier, too_sure):
    logits, labels = too_sure
    fitted, other = (
        data_of(logits[:3000], labels[:3000]),
        data_of(logits[3000:], labels[3000:]),
    )
    other.class_names = ["a", "b", "c"]
    found = calibrate(classifier, fitted, test_data=other)
    assert found.temperature == calibrate(classifier, fitted).temperature
    assert (found.num_fitted, found.num_measured) == (3000, 1000)
    assert found.measured_apart
    assert found.after.class_names == ("a", "b", "c")
    chances = np.exp(logits[3000:] / found.temperature)
    chances /= chances.sum(axis=1, keepdims=True)
    assert found.figures["expected_calibration_error"][1] == pytest.approx(
        expected_calibration_error(labels[3000:], chances), abs=1e-4
    )


def test_probabilities_are_calibrated_as_the_logits_behind_them(classifier, too_sure):
    logits, labels = too_sure
    of_softmax = model_of(3, "softmax", "sparse_categorical_crossentropy")
    found = calibrate(of_softmax, data_of(logits, labels))
    expected = calibrate(classifier, data_of(logits, labels))
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-5)


@pytest.mark.parametrize("width", [1, 2])
def test_sigmoids_are_calibrated(rng, width):
    logits = rng.normal(size=(4_000, width))
    labels = (logits + rng.logistic(size=logits.shape) > 0).astype(int)
    data = data_of((2 * logits).astype("float32"), labels)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    found = calibrate(model_of(width, loss=loss), data)
    assert found.temperature == pytest.approx(2.0, rel=0.1)
    assert found.task == ("classification" if width == 1 else "multi_label")
    before, after = found.figures["expected_calibration_error"]
    assert after < before / 2


def test_it_is_printed_and_kept(classifier, too_sure, tmp_path):
    found = calibrate(classifier, data_of(*too_sure))
    lines = str(found).splitlines()
    assert lines[0] == f"temperature {found.temperature:.4f}, fitted on 4,000 rows"
    assert lines[1] == "errors on 4,000 rows: the rows it was fitted on"
    before, after = found.figures["brier_score"]
    assert lines[-1].split() == ["Brier", "score", f"{before:.4f}", f"{after:.4f}"]
    found.save(tmp_path / "calibration.json")
    assert json.loads((tmp_path / "calibration.json").read_text()) == found.to_dict()


def test_a_regression_is_refused():
    model = model_of(1, loss="mean_squared_error")
    with pytest.raises(ValueError, match="Received: task='regression'"):
        calibrate(model, data_of(np.ones((2, 1), "float32"), np.ones(2)))


def test_rows_that_are_all_right_are_refused(classifier):
    data = data_of(np.eye(3, dtype="float32"), np.arange(3))
    with pytest.raises(ValueError, match="Received: 3 rows, all right"):
        calibrate(classifier, data)
