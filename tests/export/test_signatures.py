"""The signatures as a stranger meets them: a process that imports TensorFlow only."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tftransfer.decoding import decode_image
from tftransfer.export.inputs import read_input
from tftransfer.export.signatures import build_signatures
from tftransfer.tasks import Task

STRANGER = """
import json, pathlib, sys
for package in ("keras", "tf_keras", "tftransfer"):
    sys.modules[package] = None  # importing it raises, as where it is not installed
import tensorflow as tf

def listed(value):
    value = value.numpy()
    return value if isinstance(value, bytes) else value.tolist()

def plain(outputs):
    return {
        name: {
            "dtype": value.dtype.name,
            "shape": value.shape.as_list(),
            "rows": json.loads(json.dumps(listed(value), default=bytes.decode)),
        }
        for name, value in outputs.items()
    }

results = {}
files = [pathlib.Path(name).read_bytes() for name in json.loads(sys.argv[2])]
for name, path in json.loads(sys.argv[1]).items():
    model = tf.saved_model.load(path)
    from_bytes, from_images = (
        model.signatures[key] for key in ("serving_default", "serve_images")
    )
    pixels = tf.io.decode_png(files[0])
    results[name] = {
        "files": plain(from_bytes(image_bytes=tf.constant(files))),
        "pixels": plain(from_images(images=pixels[None])),
        "no files": plain(from_bytes(image_bytes=tf.zeros([0], tf.string))),
        "no pixels": plain(from_images(images=tf.zeros([0, 5, 4, 3], tf.uint8))),
        "nothing": plain(from_images(images=tf.zeros([0, 0, 0, 3], tf.uint8))),
        "metadata": plain(model.signatures["metadata"]()),
    }
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory, photo):
    """Name -> (file, pixels a reader other than TensorFlow sees)."""
    folder, made = tmp_path_factory.mktemp("files"), {}
    color, grey = photo(45, 61, seed=1), photo(30, 20, 1, seed=2)[..., 0]
    alpha = np.dstack([photo(50, 33, seed=3), np.full((50, 33), 9, "uint8")])
    images = {
        "color.png": PIL.Image.fromarray(color),
        "grey.png": PIL.Image.fromarray(grey),
        "alpha.png": PIL.Image.fromarray(alpha),
        "palette.png": PIL.Image.fromarray(color).quantize(16),
        "color.bmp": PIL.Image.fromarray(color),
        "grey.bmp": PIL.Image.fromarray(grey),
        "alpha.bmp": PIL.Image.fromarray(alpha),
        "color.gif": PIL.Image.fromarray(color).quantize(64),
        "grey.gif": PIL.Image.fromarray(grey),
        "color.jpg": PIL.Image.fromarray(color),
        "grey.jpg": PIL.Image.fromarray(grey),
    }
    for name, image in images.items():
        image.save(folder / name)
        made[name] = (folder / name, read_pixels(folder / name))
    frames = [PIL.Image.fromarray(photo(20, 20, seed=seed)) for seed in (4, 5)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    made["moving.gif"] = (folder / "moving.gif", read_pixels(folder / "moving.gif"))
    return made


def read_pixels(file):
    with PIL.Image.open(file) as image:
        # Transparency is dropped, not blended.
        bands = image if image.mode == "RGBA" else image.convert("RGB")
        return np.asarray(bands)[..., :3]


@pytest.fixture(scope="module")
def stranger(exports, files):
    """What one process that has only TensorFlow got from all four exports."""
    paths = {name: str(export.path / "1") for name, export in exports.items()}
    names = [str(file) for file, _ in files.values()]
    command = [sys.executable, "-P", "-c", STRANGER, *map(json.dumps, (paths, names))]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def live_logits(model, pixels):
    return np.concatenate(
        [model.predict(image[None].astype("float32"), verbose=0) for image in pixels]
    )


def test_serving_needs_neither_keras_nor_us(stranger, exports):
    assert set(stranger) == set(exports)


@pytest.mark.parametrize("name", ["classes", "binary", "multi_label"])
def test_outputs_have_the_promised_names_types_and_shapes(stranger, exports, name):
    outputs = stranger[name]["files"]
    num_files = len(outputs["label"]["rows"])
    num_classes = len(exports[name].names)
    assert set(outputs) == {"probabilities", "class_id", "label", "logits"}
    assert outputs["probabilities"]["shape"] == [num_files, num_classes]
    assert outputs["probabilities"]["dtype"] == "float32"
    assert outputs["class_id"]["shape"] == outputs["label"]["shape"] == [num_files]
    assert outputs["class_id"]["dtype"] == "int64"
    assert outputs["label"]["dtype"] == "string"


def test_regression_serves_values(stranger):
    outputs = stranger["regression"]["files"]
    assert set(outputs) == {"values"}
    assert outputs["values"]["shape"] == [12, 2]


@pytest.mark.parametrize("name", ["classes", "binary", "multi_label", "regression"])
def test_every_kind_of_file_is_served_as_the_live_model_predicts(
    stranger, exports, files, name
):
    # JPEG decoders differ in rounding, so for JPEG the pixels are TensorFlow's.
    pixels = [
        decode_image(file.read_bytes()).numpy() if file.suffix == ".jpg" else read
        for file, read in files.values()
    ]
    logits = live_logits(exports[name].model, pixels)
    assert np.ptp(logits, axis=0).min() > 0.05  # the images are told apart
    expected = {
        "classes": softmax,
        "binary": lambda x: np.concatenate([1 - sigmoid(x), sigmoid(x)], axis=1),
        "multi_label": sigmoid,
        "regression": lambda x: x,
    }[name](logits)
    outputs = stranger[name]["files"]
    served = outputs["values" if name == "regression" else "probabilities"]["rows"]
    np.testing.assert_allclose(served, expected, atol=1e-5)
    if name != "regression":
        np.testing.assert_allclose(outputs["logits"]["rows"], logits, atol=1e-4)


@pytest.mark.parametrize("name", ["classes", "binary", "multi_label"])
def test_label_and_class_id_name_the_most_probable_class(stranger, exports, name):
    outputs = stranger[name]["files"]
    best = np.argmax(outputs["probabilities"]["rows"], axis=-1)
    assert outputs["class_id"]["rows"] == best.tolist()
    assert outputs["label"]["rows"] == [exports[name].names[index] for index in best]


@pytest.mark.parametrize("name", ["classes", "binary", "multi_label", "regression"])
def test_pixels_are_served_like_the_file_that_holds_them(stranger, name):
    from_file, from_pixels = (stranger[name][k] for k in ("files", "pixels"))
    key = "values" if name == "regression" else "probabilities"
    np.testing.assert_allclose(
        from_pixels[key]["rows"][0], from_file[key]["rows"][0], atol=1e-6
    )


@pytest.mark.parametrize("name", ["classes", "binary", "multi_label", "regression"])
@pytest.mark.parametrize("rows", ["no files", "no pixels", "nothing"])
def test_a_batch_of_no_rows_is_served(stranger, exports, name, rows):
    outputs = stranger[name][rows]
    key = "values" if name == "regression" else "probabilities"
    assert outputs[key]["shape"] == [0, len(exports[name].names)]
    assert all(output["shape"][0] == 0 for output in outputs.values())


@pytest.mark.parametrize("name", ["classes", "binary", "multi_label", "regression"])
def test_metadata_is_inside_the_saved_model(stranger, exports, name):
    inside = json.loads(stranger[name]["metadata"]["json"]["rows"])
    beside = json.loads((exports[name].path / "metadata.json").read_text("utf-8"))
    for later in ("parity", "requires", "files", "formats"):
        del beside[later]
    assert inside == beside
    assert inside["class_names"] == exports[name].names


def test_no_random_operation_is_left_in_the_graph(exports):
    stored = saved_model_pb2.SavedModel()
    stored.ParseFromString((exports["classes"].path / "1/saved_model.pb").read_bytes())
    graph = stored.meta_graphs[0].graph_def
    operations = {node.op for node in graph.node}
    for function in graph.library.function:
        operations |= {node.op for node in function.node_def}
    assert "Conv2D" in operations
    assert [name for name in operations if "Random" in name or "Rng" in name] == []


def test_neither_optimizer_nor_seeds_are_saved(exports):
    model = exports["classes"].model
    prefix = str(exports["classes"].path / "1/variables/variables")
    shapes = [shape for _, shape in tf.train.list_variables(prefix) if shape]
    assert sorted(map(tuple, shapes)) == sorted(
        tuple(weight.shape) for weight in model.weights
    )


def serve(model, task, **rows):
    """Run a signature in this process, without writing anything."""
    names = [str(number) for number in range(task.num_classes)]
    signatures = build_signatures(model, read_input(model), task, names)
    (name,) = rows
    key = "serve_images" if name == "images" else "serving_default"
    function = tf.function(
        signatures[key].function, input_signature=signatures[key].specs
    )
    assert signatures[key].specs[0].name == name
    return function(rows[name])


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_rgba_models_take_every_file(small_model, photo, channels):
    model = small_model(channels=channels)
    pixels = photo(20, 30, channels)
    encoded = [tf.io.encode_png(pixels), tf.io.encode_jpeg(photo(9, 9, 3))]
    task = Task("classification", 3)
    served = serve(model, task, image_bytes=tf.stack(encoded))["probabilities"]
    expected = softmax(live_logits(model, [pixels]))
    np.testing.assert_allclose(served[:1], expected, atol=1e-5)
    assert served.shape == (2, 3)


def test_a_model_of_fixed_size_gets_images_of_that_size(photo):
    inputs = keras.Input((6, 5, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    task, pixels = Task("regression", 2), photo(24, 15)
    # antialiased bilinear, as the loaders do it
    small = tf.image.resize(pixels.astype("float32"), (6, 5), antialias=True)
    expected = model.predict(small[None], verbose=0)
    encoded = tf.io.encode_png(pixels)[None]
    for rows in ({"image_bytes": encoded}, {"images": tf.constant(pixels[None])}):
        served = serve(model, task, **rows)["values"]
        np.testing.assert_allclose(served, expected, rtol=1e-4, atol=1e-2)


def test_cropping_is_served_as_in_the_model(photo):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Resizing(8, 8, crop_to_aspect_ratio=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    pixels = photo(24, 60)
    served = serve(
        model, Task("regression", 2), image_bytes=tf.io.encode_png(pixels)[None]
    )
    expected = live_logits(model, [pixels])
    np.testing.assert_allclose(served["values"], expected, rtol=1e-5, atol=1e-2)


def test_a_model_of_many_channels_is_served_from_pixels_alone(photo):
    inputs = keras.Input((None, None, 12))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    signatures = build_signatures(
        model, read_input(model), Task("classification", 2), ["a", "b"]
    )
    assert signatures["serving_default"] is signatures["serve_images"]
    pixels = photo(7, 9, 12)
    served = serve(model, Task("classification", 2), images=tf.constant(pixels[None]))
    expected = softmax(live_logits(model, [pixels]))
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)


def test_a_model_that_ends_in_a_softmax_is_not_squashed_twice(photo):
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    pixels = photo(4, 4)
    task = Task("classification", 3, from_logits=False)
    served = serve(model, task, images=tf.constant(pixels[None]))
    expected = model.predict(pixels[None].astype("float32"), verbose=0)
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-6)


def test_texts_and_numbers_are_served_as_the_model_takes_them():
    words = keras.layers.TextVectorization(
        vocabulary=["good", "bad"], output_mode="multi_hot"
    )
    inputs = keras.Input((), dtype="string")
    outputs = keras.layers.Dense(2)(words(inputs))
    model = keras.Model(inputs, outputs)
    texts = tf.constant(["good bad", "other"])
    served = serve(model, Task("regression", 2), texts=texts)["values"]
    np.testing.assert_allclose(served, model(texts), atol=1e-6)
    none = serve(model, Task("regression", 2), texts=tf.zeros([0], tf.string))
    assert none["values"].shape == (0, 2)

    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    numbers = np.linspace(-1, 1, 15, dtype="float32").reshape(3, 5)
    served = serve(model, Task("regression", 2), inputs=tf.constant(numbers))["values"]
    np.testing.assert_allclose(served, model(numbers), atol=1e-6)
