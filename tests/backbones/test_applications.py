import functools
import inspect
import shutil
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from tftransfer.backbones import applications
from tftransfer.backbones.applications import (
    application_weights_path,
    build_application,
    describe_application,
    list_applications,
)
from tftransfer.backbones.preprocessing import preprocessing_mode
from tftransfer.backbones.widening import copy_weights_widened

ONE_PER_FAMILY = [
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
]
QUICK = ["EfficientNetB0", "MobileNetV2", "VGG16"]


@functools.lru_cache(maxsize=4)  # nobody changes it; not all in memory at once
def keras_network(name, size, **options):
    """The network as a Keras user builds it, with lively random weights."""
    network = getattr(keras.applications, name)(
        include_top=False,
        weights=None,
        pooling="avg",
        input_shape=(size, size, 3),
        **options,
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(layer.moving_variance * 0.1)
    return network


def keras_features(network, name, pixels):
    family = inspect.getmodule(getattr(keras.applications, name))
    return np.asarray(network(family.preprocess_input(pixels.copy())))


def assert_same(found, wanted, tolerance=1e-4):
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * scale)


@pytest.fixture
def pixels(rng):
    return rng.uniform(0, 255, (2, 80, 80, 3)).astype("float32")


@pytest.fixture
def keras_home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def downloads(monkeypatch):
    """Replaces Keras' download; set `.path` to let it find a file."""

    class Downloads:
        path = None
        timeouts = []

        def get_file(self, fname, origin, **_):
            self.timeouts.append(socket.getdefaulttimeout())
            if self.path is None:
                raise Exception(f"URL fetch failure on {origin}: None -- no route")
            return str(self.path)

    made = Downloads()
    made.timeouts = []
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", made.get_file)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_features_equal_keras_with_its_own_preprocessing(name, pixels, tmp_path):
    network = keras_network(name, 80)
    wanted = keras_features(network, name, pixels)
    model = build_application(name, weights=None, image_size=80)
    copy_weights_widened(network, model)
    assert_same(model(pixels), wanted)
    # Colors repeated four times are the same image to a widened first kernel.
    path = tmp_path / "network.weights.h5"
    network.save_weights(path)
    wide = build_application(name, weights=path, image_size=80, in_channels=12)
    assert_same(wide(np.tile(pixels, 4)), wanted, 2e-3)
    keras.utils.clear_session()


@pytest.mark.parametrize("name", ["ConvNeXtTiny", "MobileNetV3Small"])
def test_the_graph_is_flat_and_every_layer_is_called_once(name):
    model = build_application(name, weights=None, image_size=32)
    assert not [part for part in model.layers if isinstance(part, keras.Model)]
    cut = model.layers[len(model.layers) // 2].output
    assert keras.Model(model.input, cut)(np.zeros((1, 9, 9, 3))).shape[0] == 1


@pytest.mark.slow
def test_batch_statistics_move_in_training_only(pixels):
    # Keras calls Resizing in training mode and passes that on to the layers after it.
    model = build_application("MobileNetV3Small", weights=None, image_size=32)
    statistics = model.get_layer("conv_bn").moving_mean
    before = statistics.numpy()
    model(pixels)
    model.predict(pixels, verbose=0)
    np.testing.assert_array_equal(statistics, before)
    model(pixels, training=True)
    assert np.abs(statistics.numpy() - before).max() > 0


def test_any_image_size_and_dtype_goes_in():
    model = build_application("MobileNetV3Small", weights=None, image_size=(32, 64))
    assert model.get_layer("resizing").height == 32
    bytes_in = np.arange(2 * 50 * 40 * 3, dtype="uint8").reshape(2, 50, 40, 3)
    np.testing.assert_array_equal(model(bytes_in), model(bytes_in.astype("float32")))


def test_without_a_size_images_are_resized_as_in_pretraining():
    model = build_application("Xception", weights=None)
    assert (model.get_layer("resizing").height, model.output_shape[1]) == (299, 2048)


def test_resizing_follows_interpolation_and_crop():
    model = build_application(
        "MobileNetV2",
        weights=None,
        image_size=32,
        interpolation="nearest",
        crop=True,
        alpha=0.35,
    )
    config = model.get_layer("resizing").get_config()
    assert (config["interpolation"], config["crop_to_aspect_ratio"]) == (
        "nearest",
        True,
    )


def test_options_reach_the_constructor():
    narrow = build_application("MobileNet", weights=None, image_size=32, alpha=0.25)
    assert (
        narrow.count_params()
        == keras_network("MobileNet", 32, alpha=0.25).count_params()
    )
    plain = build_application(
        "MobileNetV3Small", weights=None, image_size=32, minimalistic=True
    )
    assert plain.count_params() < describe_application("MobileNetV3Small").parameters


@pytest.mark.slow
def test_the_same_seed_builds_the_same_network(pixels):
    outputs = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = build_application("MobileNetV3Small", weights=None, image_size=32)
        outputs.append(np.asarray(model(pixels)))
    np.testing.assert_array_equal(*outputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("MobileNetV3Small", ".weights.h5"),
        ("MobileNetV3Small", ".h5"),
        ("MobileNetV3Small", ".keras"),
        pytest.param("ConvNeXtTiny", ".h5", marks=pytest.mark.slow),
        pytest.param("ConvNeXtTiny", ".weights.h5", marks=pytest.mark.slow),
    ],
)
def test_weights_come_from_a_file(name, suffix, pixels, tmp_path):
    network = keras_network(name, 80)
    path = tmp_path / f"network{suffix}"
    save = network.save_weights if suffix == ".weights.h5" else network.save
    save(path)
    model = build_application(name, weights=path, image_size=80)
    assert_same(model(pixels), keras_features(network, name, pixels))


def imagenet_like_efficientnet(path):
    """Save a file like Keras' own: standard deviations where variances belong."""
    network = keras.applications.EfficientNetB0(include_top=False, weights=None)
    normalization = network.layers[2]
    normalization.adapt_mean.assign([0.485, 0.456, 0.406])
    normalization.adapt_variance.assign([0.229, 0.224, 0.225])
    network.save(path)


@pytest.mark.slow
def test_efficientnet_is_the_same_from_a_file_from_the_cache_and_from_a_download(
    pixels, tmp_path, downloads, keras_home
):
    path = tmp_path / "efficientnetb0_notop.h5"
    imagenet_like_efficientnet(path)
    downloads.path = path
    # Without input_shape Keras pads differently.
    network = keras.applications.EfficientNetB0(
        include_top=False, pooling="avg", input_shape=(80, 80, 3)
    )
    wanted = np.asarray(network(pixels))
    build = {"image_size": 80}
    assert_same(
        build_application("EfficientNetB0", weights=path, **build)(pixels), wanted
    )
    assert_same(build_application("EfficientNetB0", **build)(pixels), wanted)
    assert len(downloads.timeouts) == 2
    shutil.copy(path, application_weights_path("EfficientNetB0"))
    assert_same(build_application("EfficientNetB0", **build)(pixels), wanted)
    assert len(downloads.timeouts) == 2  # the cache was enough


@pytest.mark.slow
def test_efficientnet_with_other_statistics_keeps_them(pixels, tmp_path):
    network = keras_network.__wrapped__("EfficientNetB0", 80)  # changed here
    network.layers[2].adapt(pixels / 255)
    path = tmp_path / "own.weights.h5"
    network.save_weights(path)
    model = build_application("EfficientNetB0", weights=path, image_size=80)
    assert_same(model(pixels), network(pixels))


@pytest.mark.slow
@pytest.mark.parametrize("size", [pytest.param(64, marks=pytest.mark.slow), 160])
def test_imagenet_weights_come_from_the_cache(size, pixels, keras_home, downloads):
    network = keras_network("MobileNetV2", size)
    network.save(application_weights_path("MobileNetV2", image_size=(size, size)))
    model = build_application("MobileNetV2", image_size=size)
    resized = np.asarray(model.get_layer("resizing")(pixels))
    assert_same(model(pixels), keras_features(network, "MobileNetV2", resized))
    assert not downloads.timeouts


def test_missing_weights_name_file_folder_and_ways_out(keras_home, downloads):
    with pytest.raises(
        FileNotFoundError, match="Received: URL fetch failure"
    ) as caught:
        build_application("MobileNetV3Small", image_size=64, alpha=0.75)
    message = str(caught.value)
    assert "weights_mobilenet_v3_small_224_0.75_float_no_top_v2.h5" in message
    assert str(keras_home / "models") in message
    assert "weights=None" in message
    assert "`tftransfer backbones`" in message
    assert downloads.timeouts == [20.0]
    assert socket.getdefaulttimeout() is None


def test_a_silent_server_does_not_hang(monkeypatch, keras_home):
    monkeypatch.setattr(applications, "_DOWNLOAD_TIMEOUT_S", 0.2)
    monkeypatch.setattr(
        "keras.src.backend.config.keras_home", lambda: str(keras_home), raising=True
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(
            "keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH",
            f"http://127.0.0.1:{silent.getsockname()[1]}/",
        )
        with pytest.raises(FileNotFoundError, match="Received: .*timed out"):
            build_application("MobileNetV2", image_size=96, alpha=0.35)
    assert not list((keras_home / "models").iterdir())


def test_options_without_published_weights_are_named_by_keras(keras_home):
    with pytest.raises(ValueError, match="alpha must be one of"):
        build_application("MobileNetV2", image_size=96, alpha=0.4)


def test_files_of_other_networks_are_refused_by_name(tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    keras_network("MobileNet", 32, alpha=0.25).save_weights(path)
    match = r"MobileNet\(include_top=False, alpha=0.5\). Received: weights='"
    with pytest.raises(ValueError, match=match):
        build_application("MobileNet", weights=path, image_size=32, alpha=0.5)


@pytest.mark.parametrize("name", list_applications())
def test_images_below_the_minimum_are_refused(name):
    with pytest.raises(ValueError, match=rf"of {name} must.*image_size=\(16, 16\)"):
        build_application(name, weights=None, image_size=16)


@pytest.mark.parametrize(
    ("name", "minimum"), [("VGG16", 32), ("InceptionV3", 75), ("Xception", 71)]
)
def test_the_minimum_is_the_one_of_the_family(name, minimum):
    with pytest.raises(ValueError, match=rf"at least \({minimum}, {minimum}\)"):
        build_application(name, weights=None, image_size=minimum - 1)


def test_unknown_names_and_options_are_refused_before_building():
    with pytest.raises(ValueError, match="Received: name='MobileNetV4'. Did you mean"):
        build_application("MobileNetV4")
    with pytest.raises(ValueError, match="must be none. Received: alpha=0.5"):
        build_application("VGG16", alpha=0.5)
    with pytest.raises(
        ValueError, match=r"\['alpha', 'minimalistic'\]. Received: clas"
    ):
        build_application("MobileNetV3Small", classes=10)
    with pytest.raises(TypeError, match="Received: alpha='wide'"):
        build_application("MobileNetV2", weights=None, alpha="wide")
    with pytest.raises(ValueError, match="Received: weights='nowhere.h5'"):
        build_application("VGG16", weights="nowhere.h5")
    with pytest.raises(ValueError, match="Received: in_channels=0"):
        build_application("VGG16", weights=None, in_channels=0)
    with pytest.raises(ValueError, match="Received: image_size='big'"):
        build_application("VGG16", weights=None, image_size="big")
    with pytest.raises(ValueError, match="Received: interpolation='linear'"):
        build_application("VGG16", weights=None, interpolation="linear")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("MobileNetV2", 1e-4),
        ("VGG16", 0.05),
        pytest.param("EfficientNetB0", 0.05, marks=pytest.mark.slow),
    ],
)
def test_grey_images_give_the_features_of_the_image_repeated(
    name, tolerance, rng, tmp_path
):
    # Exact where all colors share one scale and offset, near elsewhere.
    grey = rng.uniform(0, 255, (2, 80, 80, 1)).astype("float32")
    network = keras_network(name, 80)
    path = tmp_path / "network.weights.h5"
    network.save_weights(path)
    model = build_application(name, weights=path, image_size=80, in_channels=1)
    wanted = keras_features(network, name, grey.repeat(3, axis=-1))
    assert_same(model(grey), wanted, tolerance)


def test_four_channels_build_and_take_the_weights(rng, tmp_path):
    network = keras_network("VGG16", 32)
    path = tmp_path / "network.weights.h5"
    network.save_weights(path)
    model = build_application("VGG16", weights=path, image_size=32, in_channels=4)
    kernel = network.get_layer("block1_conv1").kernel.numpy()[:, :, ::-1] * 0.75
    found = model.get_layer("block1_conv1").kernel.numpy()
    np.testing.assert_allclose(found, kernel[:, :, [0, 1, 2, 0]], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", QUICK)
def test_the_first_kernel_is_widened_in_the_order_of_colors(name, channels, tmp_path):
    network = keras_network(name, 80)
    path = tmp_path / "network.weights.h5"
    network.save_weights(path)
    model = build_application(name, weights=path, image_size=80, in_channels=channels)
    first, source = (
        next(weight.numpy() for weight in x.weights if len(weight.shape) == 4)
        for x in (model, network)
    )
    reverse = -1 if preprocessing_mode(name) == "caffe" else 1
    kernel = source[:, :, ::reverse]
    if channels == 1:
        wanted = kernel.sum(axis=2, keepdims=True)
    else:
        wanted = kernel[:, :, np.arange(channels) % 3] * 3 / channels
    np.testing.assert_allclose(first, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_pretrained_mobilenet_equals_keras_on_real_photographs(shared_data):
    datasets = pytest.importorskip("sklearn.datasets")
    photos = np.stack(datasets.load_sample_images().images)
    file = shared_data / "mobilenet_v2_0.35_224_no_top.weights.h5"
    model = build_application("MobileNetV2", weights=file, alpha=0.35)
    found = np.asarray(model(photos))
    network = keras.applications.MobileNetV2(
        include_top=False,
        weights=None,
        alpha=0.35,
        pooling="avg",
        input_shape=(224, 224, 3),
    )
    network.load_weights(file)
    resized = np.asarray(model.get_layer("resizing")(photos.astype("float32")))
    wanted = keras_features(network, "MobileNetV2", resized)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    cosine = found[0] @ found[1] / np.prod(np.linalg.norm(found, axis=1))
    assert cosine < 0.8  # a temple and a flower


RELOAD = """
import sys
import keras, numpy as np
for path in sys.argv[1:]:
    model = keras.models.load_model(path)
    pixels = np.load(path + ".npy")
    found = np.asarray(model(pixels))
    wanted = np.load(path + ".features.npy")
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
assert "tftransfer" not in sys.modules
print("equal")
"""


@pytest.mark.slow
def test_saved_models_load_where_tftransfer_is_never_imported(rng, tmp_path):
    pixels = rng.integers(0, 256, (2, 50, 40, 3)).astype("uint8")
    paths = []
    for name in [*QUICK, "ConvNeXtTiny", "DenseNet121"]:
        model = build_application(name, weights=None, image_size=32)
        path = str(tmp_path / f"{name}.keras")
        model.save(path)
        np.save(f"{path}.npy", pixels)
        np.save(f"{path}.features.npy", model(pixels))
        paths.append(path)
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, *paths],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "equal", done.stderr
