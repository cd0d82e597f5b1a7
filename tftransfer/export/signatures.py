"""The functions of an exported model, as TensorFlow graphs."""

import dataclasses
import json
from collections.abc import Callable

import keras
import tensorflow as tf

from tftransfer.decoding import decode_image
from tftransfer.export.inputs import IMAGES, TEXTS

DEFAULT, FROM_IMAGES, METADATA = "serving_default", "serve_images", "metadata"
CLASS_OUTPUTS = ("probabilities", "class_id", "label")
CLASS_SPEC = tf.TensorSpec([None], tf.int64, name="class_id")


@dataclasses.dataclass(frozen=True)
class Signature:
    """One function of a SavedModel, the tensors it takes and the names it returns."""

    function: Callable
    specs: tuple
    outputs: tuple

    def describe(self):
        """Return inputs (dtype and shape of each name) and outputs as JSON values."""
        inputs = {
            spec.name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
            for spec in self.specs
        }
        return {"inputs": inputs, "outputs": list(self.outputs)}


def build_signatures(model, model_input, task, class_names, extras=()):
    """Build the serving functions of a model.

    Args:
        model: A functional or Sequential `keras.Model`.
        model_input: Its `ModelInput`.
        task: Its `Task`.
        class_names: Names of the classes, one per column of probabilities.
        extras: List of `Extra`, each a function of its own.

    Returns:
        Dictionary from signature name to `Signature`. Image models have
        `serving_default` (encoded images, where a file can hold the channels, else
        pixels) and `serve_images` (uint8 pixels of any size); others have
        `serving_default` on what the model takes, and so do all `extras`.
    """

    def serve(rows):
        outputs = tf.cast(model(rows, training=False), tf.float32)
        return name_outputs(task, class_names, outputs)

    outputs = _list_outputs(task)
    built = {DEFAULT: _of_default_input(serve, model_input, outputs)}
    if model_input.is_decodable:
        built[FROM_IMAGES] = _of_input(serve, _pixel_reader(model_input), outputs)
    elif model_input.kind == IMAGES:
        built[FROM_IMAGES] = built[DEFAULT]
    for extra in extras:
        built[extra.name] = _of_default_input(
            extra.answer, model_input, extra.outputs, extra.takes_classes
        )
    return built


def build_metadata_signature(metadata):
    """Build the function without arguments that returns `metadata` as JSON."""
    text = json.dumps(metadata)
    return Signature(lambda: {"json": tf.constant(text)}, (), ("json",))


def name_outputs(task, class_names, outputs):
    """Turn model outputs `(n, num_outputs)` into the named tensors that are served.

    Returns:
        What `name_raw_outputs` does, and but for a regression, of the most probable
        class, `class_id` `(n,)`, int64, and `label` `(n,)`, string.
    """
    named = name_raw_outputs(task, outputs)
    if task.name == "regression":
        return named
    class_id = tf.argmax(named["probabilities"], axis=-1)
    label = tf.gather(tf.constant(class_names), class_id)
    return {**named, "class_id": class_id, "label": label}


def name_raw_outputs(task, outputs):
    """Name model outputs `(n, num_outputs)`, and what they mean.

    Returns:
        For regression `values`; otherwise `probabilities` `(n, num_classes)` and, where
        the model gives them, `logits` `(n, num_outputs)`; all float32.
    """
    if task.name == "regression":
        return {"values": outputs}
    probabilities = {"probabilities": task.probabilities(outputs)}
    return {**probabilities, "logits": outputs} if task.from_logits else probabilities


def _list_outputs(task):
    if task.name == "regression":
        return ("values",)
    return (*CLASS_OUTPUTS, "logits") if task.from_logits else CLASS_OUTPUTS


def write_signatures(model, signatures, folder, extras=()):
    """Write a SavedModel with these functions and everything that they hold.

    Args:
        model: The `keras.Model` that is served.
        signatures: Dictionary from name to `Signature`.
        folder: To write.
        extras: List of `Extra`, among whose layers may be others than the model's.
    """
    # Given the model itself, Keras 3.15 would write every variable twice.
    holder = tf.Module()
    holder.model = model
    holder.layers = [layer for extra in extras for layer in extra.layers]
    archive = keras.export.ExportArchive()
    archive.track(holder)
    for name, signature in signatures.items():
        archive.add_endpoint(name, signature.function, list(signature.specs))
    archive.write_out(str(folder), verbose=False)


def name_default_input(model_input):
    """Return the name of what `serving_default` takes."""
    return _read_default_input(model_input)[1].name


def _of_default_input(answer, model_input, outputs, takes_classes=False):
    reader = _read_default_input(model_input)
    return _of_input(answer, reader, outputs, takes_classes)


def _read_default_input(model_input):
    if model_input.kind != IMAGES:
        return _row_reader(model_input)
    if model_input.is_decodable:
        return _file_reader(model_input)
    return _pixel_reader(model_input)


def _of_input(answer, reader, outputs, takes_classes=False):
    """Build a `Signature`; the names of its specs are those of the served inputs."""
    read, spec = reader

    def serve(rows, *class_id):
        return _answer_some(answer, read(rows), *class_id)

    specs = (spec, CLASS_SPEC) if takes_classes else (spec,)
    return Signature(serve, specs, outputs)


def _answer_some(answer, *inputs):
    """Answer rows, even if there are none.

    Some kernels fail on no rows at all (TensorFlow 2.21, Conv2D on CPU).
    """
    num_rows = tf.shape(inputs[0])[0]
    outputs = answer(*(_at_least_one_row(rows) for rows in inputs))
    return {name: value[:num_rows] for name, value in outputs.items()}


def _at_least_one_row(rows):
    shape = tf.shape(rows)
    one_row = tf.zeros(tf.maximum(shape, 1), rows.dtype)
    some = tf.cond(shape[0] > 0, lambda: rows, lambda: one_row)
    return tf.ensure_shape(some, rows.shape)


def _file_reader(model_input):
    channels, resizing = model_input.channels, model_input.resizing
    image_shape = (*model_input.image_size, channels)

    def read_one(encoded):
        # Images differ in size, so each is resized before they become a batch.
        pixels = tf.cast(decode_image(encoded, channels), tf.float32)
        return tf.ensure_shape(resizing(pixels), image_shape)

    def read(image_bytes):
        spec = tf.TensorSpec(image_shape, tf.float32)
        return tf.map_fn(read_one, image_bytes, fn_output_signature=spec)

    return read, tf.TensorSpec([None], tf.string, name="image_bytes")


def _pixel_reader(model_input):
    shape = [None, None, None, model_input.channels]
    return model_input.fit_size, tf.TensorSpec(shape, tf.uint8, name="images")


def _row_reader(model_input):
    shape = [None, *model_input.shape[1:]]
    if model_input.kind == TEXTS:
        return tf.identity, tf.TensorSpec(shape, tf.string, name="texts")
    return tf.identity, tf.TensorSpec(shape, model_input.dtype, name="inputs")
