"""Exports that average over views: against a loop over the live model, in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tftransfer as tft
from tftransfer.export.saved_model import export_model
from tftransfer.resizing import build_resizing
from tftransfer.views.views import read_views

SQUARE = {"image_size": (24, 24)}


def dihedral(images):
    turned = [np.rot90(images, k, (1, 2)) for k in range(4)]
    return turned + [np.flip(images, 2) for images in turned]


@pytest.fixture
def files(tmp_path, photo):
    """Image files of several sizes, and their pixels."""
    pixels = [photo(30 + 9 * seed, 40, seed=seed) for seed in range(3)]
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return paths, pixels


@pytest.mark.slow
def test_a_fresh_process_averages_as_the_live_model(small_model, tmp_path, files):
    paths, pixels = files
    model = small_model("classes", **SQUARE)
    about = export_model(model, tmp_path / "x", augment=8, examples=pixels)
    assert about["parity"]["max_abs_difference"] <= 1e-5
    assert about["parity"]["where"].startswith("fresh process")
    views = ["identity", "flip", "flip_vertical", "rotate180", "rotate90"]
    views += ["rotate270", "transpose", "transverse"]
    assert about["augment"] == views
    resize = build_resizing((24, 24))
    resized = np.stack([resize(x.astype("float32")) for x in pixels])
    each = [tf.nn.softmax(model(x, training=False)) for x in dihedral(resized)]
    expected = np.mean(each, axis=0)
    exported = tft.load_exported(tmp_path / "x")
    assert exported.metadata["augment"] == views
    found = exported.predict(paths)
    np.testing.assert_allclose(found.to_array(), expected, atol=1e-5)
    np.testing.assert_allclose(exported.predict(pixels).to_array(), expected, atol=1e-5)
    live = tft.predict(model, resized, augment=8)
    np.testing.assert_allclose(found.to_array(), live, atol=1e-5)
    plain = tf.nn.softmax(model(resized, training=False))
    assert np.abs(plain - expected).max() > 1e-3


@pytest.mark.parametrize(
    "name",
    ["binary", "regression", pytest.param("multi_label", marks=pytest.mark.slow)],
)
def test_every_task_is_averaged(small_model, tmp_path, files, name, no_fresh_process):
    paths, pixels = files
    model = small_model(name)  # of 32 x 24 pixels: no squares
    views = ["flip", "shift_left+zoom"]
    export_model(model, tmp_path / "x", augment=views, verbose=False)
    resize = build_resizing((32, 24))
    resized = np.stack([resize(x.astype("float32")) for x in pixels])
    expected = tft.predict(model, resized, augment=views)
    found = tft.load_exported(tmp_path / "x").predict(paths).to_array()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_aligned_model_serves_its_plain_one_some_views_at_once(
    small_model, tmp_path, files, no_fresh_process
):
    plain = small_model("classes", **SQUARE)
    aligned = tft.AlignedModel(plain, tft.CORAL())
    aligned.compile(loss=plain.loss)
    about = export_model(aligned, tmp_path / "x", augment=2, verbose=False)
    assert about["augment"] == ["identity", "flip"]
    assert about["name"] == plain.name
    exported, served = tft.load_exported(tmp_path / "x"), []
    serve = exported._serve
    exported._serve = lambda name, rows: served.append(len(rows)) or serve(name, rows)
    assert len(exported.predict(files[0], batch_size=4)) == 3
    assert len(exported.predict(files[0], batch_size=1)) == 3
    assert served == [2, 1, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino", "litert"])
def test_other_formats_average_too(small_model, tmp_path, name, photo):
    for package in {
        "onnx": ["onnxruntime", "tf2onnx"],
        "openvino": ["openvino"],
        "litert": ["ai_edge_litert"],
    }[name]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    model = small_model("classes", **SQUARE)
    images = np.stack([photo(24, 24, seed=seed) for seed in range(5)])
    formats, views = ("tf_saved_model", name), [*read_views(8), "zoom", "shift_up"]
    path = tmp_path / "x"
    export_model(model, path, augment=views, formats=formats, verbose=False)
    found = tft.load_exported(path, engine=name).predict(images).to_array()
    expected = tft.predict(model, images, augment=views)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (3, r"one of \[1, 2, 4, 8\]. Received: augment=3"),
        (8, "32 x 24 pixels, which are no squares. Received: rotate90, rotate270, "),
        ("spin", "Received: augment='spin'"),
    ],
)
def test_views_that_do_not_fit_are_refused(
    small_model, tmp_path, augment, message, forbidden
):
    with pytest.raises(ValueError, match=message):
        export_model(small_model(), tmp_path / "x", augment=augment)
    assert not (tmp_path / "x").exists()


def test_texts_and_tables_are_refused(tmp_path, forbidden):
    table = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"for inputs of shape \(None, 4\). Leave it"):
        export_model(table, tmp_path / "x", task="classification", augment=2)
