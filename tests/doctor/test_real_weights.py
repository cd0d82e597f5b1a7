"""The scale of pixels, judged with the weights of a published network."""

import keras
import numpy as np
import pytest

from tftransfer.diagnosis.case import Case
from tftransfer.diagnosis.pixels import find_channel_order, find_pixel_scale
from tftransfer.diagnosis.reading import read_rows
from tftransfer.resizing import build_resizing, resize_images

pytestmark = [pytest.mark.needs_shared_data, pytest.mark.slow]
FORMS = {
    "0..255": lambda x: x,
    "0..1": lambda x: x / 255,
    "0..1, scaled twice": lambda x: x / 255**2,
    "-1..1, scaled twice": lambda x: (x / 127.5 - 1) / 127.5 - 1,
}


@pytest.fixture(scope="module")
def photos():
    """Crops of the two photographs that scikit-learn brings, 0..255."""
    images = pytest.importorskip("sklearn.datasets").load_sample_images().images
    draw = np.random.default_rng(0)
    crops = []
    for number in range(24):
        image, side = images[number % 2], int(draw.integers(150, 420))
        top, left = (int(draw.integers(0, x - side)) for x in image.shape[:2])
        crop = image[None, top : top + side, left : left + side]
        crops.append(np.asarray(resize_images(crop, build_resizing((96, 96))))[0])
    return np.stack(crops)


@pytest.fixture
def model(shared_data):
    weights = shared_data / "mobilenet_v2_0.35_224_no_top.weights.h5"
    base = keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, input_shape=(96, 96, 3), weights=str(weights)
    )
    base.trainable = False
    pooled = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([base, pooled, keras.layers.Dense(3)])


def make_case(model, images):
    return Case(model, train=read_rows("data", images.astype("float32"), 32))


def test_wrong_scales_are_found_and_told(model, photos):
    for name, make in FORMS.items():
        (finding,) = find_pixel_scale(make_case(model, make(photos)))
        assert f"Pixels come as {name}, but" in finding.message
        assert "trained on -1..1" in finding.message


def test_right_pixels_are_not_blamed(model, photos):
    right = photos / 127.5 - 1
    gray = np.repeat(right.mean(axis=-1, keepdims=True), 3, axis=-1)
    inverted, dim = -right, 0.5 * (right + 1) - 1
    for images in (right, gray, inverted, dim):
        assert find_pixel_scale(make_case(model, images)) == []
    assert find_channel_order(make_case(model, right)) == []
