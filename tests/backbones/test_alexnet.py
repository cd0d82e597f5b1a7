import subprocess
import sys

import keras
import numpy as np
import pytest

from tftransfer.backbones.alexnet import build_alexnet

# Kernel height x width x channels of its group x filters + biases, from the paper.
CONVOLUTIONS = {
    "conv1": 11 * 11 * 3 * 96 + 96,
    "conv2": 5 * 5 * 48 * 256 + 256,
    "conv3": 3 * 3 * 256 * 384 + 384,
    "conv4": 3 * 3 * 192 * 384 + 384,
    "conv5": 3 * 3 * 192 * 256 + 256,
}


@pytest.fixture
def pixels(rng):
    return rng.uniform(0, 255, (2, 67, 67, 3)).astype("float32")


def normalize_responses(x, k=2.0, n=5, alpha=1e-4, beta=0.75):
    """Section 3.3 of the paper, term by term."""
    result = np.empty_like(x)
    channels = x.shape[-1]
    for i in range(channels):
        near = x[..., max(0, i - n // 2) : min(channels - 1, i + n // 2) + 1]
        result[..., i] = x[..., i] / (k + alpha * (near**2).sum(-1)) ** beta
    return result


def test_convolutions_have_the_parameters_of_the_paper():
    model = build_alexnet()
    for name, parameters in CONVOLUTIONS.items():
        assert model.get_layer(name).count_params() == parameters
    assert model.count_params() == sum(CONVOLUTIONS.values()) == 2_334_080
    assert model.output_shape == (None, 9216)
    assert model.get_layer("features").input.shape == (None, 6, 6, 256)


def test_with_its_top_it_has_60_965_224_parameters():
    model = build_alexnet(include_top=True)
    assert model.count_params() == 60_965_224
    assert model.output_shape == (None, 1000)


def test_maps_have_the_sizes_of_the_paper():
    model = build_alexnet()
    sizes = {
        name: model.get_layer(name).output.shape[1:] for name in ("conv1", "pool1")
    } | {name: model.get_layer(name).output.shape[1:] for name in ("pool2", "conv4")}
    assert sizes == {
        "conv1": (55, 55, 96),
        "pool1": (27, 27, 96),
        "pool2": (13, 13, 256),
        "conv4": (13, 13, 384),
    }


@pytest.mark.parametrize("name", ["norm1", "norm2"])
def test_responses_are_normalized_as_in_the_paper(name, rng):
    model = build_alexnet(image_size=67)
    x = model.get_layer(name.replace("norm", "conv")).output
    part = keras.Model(x, model.get_layer(name).output)
    responses = (100 * rng.normal(size=(2, *x.shape[1:]))).astype("float32")
    np.testing.assert_allclose(
        part(responses), normalize_responses(responses), rtol=1e-4, atol=1e-5
    )


def test_the_mean_color_is_subtracted():
    model = build_alexnet(image_size=67)
    part = keras.Model(model.input, model.get_layer("preprocessing").output)
    found = np.asarray(part(np.zeros((1, 67, 67, 3))))[0, 0, 0]
    np.testing.assert_allclose(found, [-123.68, -116.779, -103.939], rtol=1e-6)


def test_it_learns(pixels):
    model = build_alexnet(image_size=67, include_top=True, num_classes=2)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [weight.numpy() for weight in model.trainable_weights]
    model.fit(pixels, np.array([0, 1]), verbose=0)
    moved = [
        np.abs(weight.numpy() - old).max() > 0
        for weight, old in zip(model.trainable_weights, before, strict=True)
    ]
    assert all(moved)


def test_dropout_acts_in_training_only(pixels):
    model = build_alexnet(image_size=67, include_top=True, num_classes=3)
    np.testing.assert_array_equal(model(pixels), model(pixels))
    assert np.abs(model(pixels, training=True) - model(pixels)).max() > 0


def test_weights_come_from_a_file_also_for_other_channels(pixels, tmp_path):
    source = build_alexnet(image_size=67)
    path = tmp_path / "alexnet.weights.h5"
    source.save_weights(path)
    same = build_alexnet(image_size=67, weights=path)
    np.testing.assert_array_equal(same(pixels), source(pixels))
    wide = build_alexnet(image_size=67, weights=path, in_channels=6)
    np.testing.assert_allclose(
        wide(np.tile(pixels, 2)), source(pixels), rtol=1e-3, atol=1e-4
    )


RELOAD = """
import sys
import keras, numpy as np
model = keras.models.load_model(sys.argv[1] + "/model.keras")
found = np.asarray(model(np.load(sys.argv[1] + "/pixels.npy")))
wanted = np.load(sys.argv[1] + "/features.npy")
np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
assert "tftransfer" not in sys.modules
print("equal")
"""


@pytest.mark.slow
def test_a_saved_model_loads_where_tftransfer_is_never_imported(pixels, tmp_path):
    model = build_alexnet(image_size=67)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "pixels.npy", pixels)
    np.save(tmp_path / "features.npy", model(pixels))
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "equal", done.stderr


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"\(67, 67\). Received: image_size=\(66, 90\)"
    ):
        build_alexnet(image_size=(66, 90))
    with pytest.raises(ValueError, match="Received: weights='imagenet'"):
        build_alexnet(weights="imagenet")
    with pytest.raises(ValueError, match="Received: weights='no.h5'"):
        build_alexnet(weights="no.h5")
    with pytest.raises(ValueError, match="Received: in_channels=0"):
        build_alexnet(in_channels=0)
    with pytest.raises(ValueError, match="Received: num_classes=0"):
        build_alexnet(include_top=True, num_classes=0)
    path = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    with pytest.raises(ValueError, match="alexnet.include_top=False.*does not fit"):
        build_alexnet(image_size=67, weights=path)
