"""Served probabilities at a temperature: against softmax in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.export.saved_model import export_model


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.usefixtures("no_fresh_process")
class TestServedHere:
    """In this process, which is faster."""

    @pytest.mark.parametrize("name", ["classes", "binary", "multi_label"])
    def test_logits_are_divided_and_decisions_stay(
        self, name, small_model, photo, tmp_path
    ):
        model, images = (
            small_model(name),
            np.stack([photo(32, 24, seed=s) for s in (1, 2)]),
        )
        about = export_model(model, tmp_path / "x", temperature=2.5, verbose=False)
        assert (about["temperature"], about["calibration"]) == (2.5, None)
        assert about["parity"]["max_abs_difference"] <= 1e-5
        logits = model.predict(images, verbose=0) / 2.5
        found = tft.load_exported(tmp_path / "x").predict(images).to_array()
        if name == "classes":
            wanted = softmax(logits)
        else:
            wanted = 1 / (1 + np.exp(-logits))
        if name == "binary":
            wanted = np.concatenate([1 - wanted, wanted], axis=1)
        np.testing.assert_allclose(found, wanted, atol=1e-5)

    def test_a_calibration_is_kept_with_its_errors(self, small_model, photo, tmp_path):
        model = small_model("classes")
        images = np.stack([photo(32, 24, seed=seed) for seed in range(12)])
        data = tf.data.Dataset.from_tensor_slices((images, np.arange(12) % 3)).batch(4)
        calibration = tft.calibrate(model, data)
        about = export_model(
            model, tmp_path / "x", temperature=calibration, verbose=False
        )
        assert about["temperature"] == calibration.temperature
        assert about["calibration"] == calibration.to_dict()
        found = tft.load_exported(tmp_path / "x").predict(images).to_array()
        np.testing.assert_allclose(found, calibration.after.probabilities, atol=1e-5)

    def test_views_are_averaged_before(self, small_model, photo, tmp_path):
        model = small_model("classes", image_size=(24, 24))
        images = np.stack([photo(24, 24, seed=seed) for seed in range(3)])
        path = tmp_path / "x"
        export_model(model, path, augment=2, temperature=3.0, verbose=False)
        mean = tft.predict(model, images.astype("float32"), augment=2)
        found = tft.load_exported(path).predict(images).to_array()
        np.testing.assert_allclose(found, softmax(np.log(mean) / 3), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "temperature", "error", "message"),
    [
        ("classes", 0, ValueError, "Received: temperature=0"),
        ("classes", "hot", TypeError, "Received: temperature='hot'"),
        ("regression", 2.0, ValueError, "a model that gives values"),
    ],
)
def test_what_is_no_temperature_is_refused(
    name, temperature, error, message, small_model, tmp_path
):
    with pytest.raises(error, match=message):
        export_model(small_model(name), tmp_path / "x", temperature=temperature)
    assert not (tmp_path / "x").exists()


def test_a_model_of_probabilities_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    with pytest.raises(ValueError, match="a model that gives probabilities. Leave"):
        export_model(model, tmp_path / "x", task="classification", temperature=2.0)
