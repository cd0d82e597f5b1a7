import inspect

import keras
import numpy as np
import pytest

from tftransfer.backbones.applications_table import list_applications
from tftransfer.backbones.preprocessing import preprocess_pixels, preprocessing_mode


@pytest.fixture
def pixels(rng):
    return rng.uniform(0, 255, (2, 5, 7, 3)).astype("float32")


def preprocess(pixels, mode):
    channels = pixels.shape[-1]
    inputs = keras.Input((None, None, channels))
    model = keras.Model(inputs, preprocess_pixels(inputs, mode, channels))
    return np.asarray(model(pixels))


@pytest.mark.parametrize("name", list_applications())
def test_layers_equal_preprocess_input_of_every_family(name, pixels):
    family = inspect.getmodule(getattr(keras.applications, name))
    wanted = family.preprocess_input(pixels.copy())
    found = preprocess(pixels, preprocessing_mode(name))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_caffe_preprocessing_is_exact(pixels):
    mean = np.array([103.939, 116.779, 123.68], "float32")
    np.testing.assert_array_equal(preprocess(pixels, "caffe"), pixels[..., ::-1] - mean)


def test_other_channels_take_statistics_in_the_order_of_the_colors():
    zeros = np.zeros((1, 1, 1, 4), "float32")
    found = preprocess(zeros, "caffe").ravel()
    np.testing.assert_allclose(found, [-123.68, -116.779, -103.939, -123.68], 1e-6)


def test_grey_takes_the_mean_of_the_statistics():
    found = preprocess(np.zeros((1, 1, 1, 1), "float32"), "torch").item()
    variance = np.mean(np.square([0.229, 0.224, 0.225]))
    assert found == pytest.approx(-(0.485 + 0.456 + 0.406) / 3 / variance**0.5)


def test_pixels_stay_float32_under_a_mixed_policy(pixels):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = {mode: preprocess(pixels, mode).dtype for mode in ("tf", "torch")}
    finally:
        keras.config.set_dtype_policy("float32")
    assert set(found.values()) == {np.dtype("float32")}


def test_unknown_preprocessing_is_refused(monkeypatch):
    monkeypatch.setattr(
        "keras.src.applications.vgg16.preprocess_input", lambda pixels: pixels**2
    )
    with pytest.raises(ValueError, match="Received: name='VGG16', whose preprocess"):
        preprocessing_mode("VGG16")
