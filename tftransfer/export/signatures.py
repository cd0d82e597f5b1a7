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


def build_signatures(model, model_input, task, class_names):
    """Build the serving functions of a model.

    Args:
        model: A functional or Sequential `keras.Model`.
        model_input: Its `ModelInput`.
        task: Its `Task`.
        class_names: Names of the classes, one per column of probabilities.

    Returns:
        Dictionary from signature name to `Signature`. Image models have
        `serving_default` (encoded images, where a file can hold the channels, else
        pixels) and `serve_images` (uint8 pixels of any size); others have
        `serving_default` on what the model takes.
    """

    def serve(rows):
        shape = tf.shape(rows)
        # Some kernels fail on no rows at all (TensorFlow 2.21, Conv2D on CPU).
        one_row = tf.zeros(tf.maximum(shape, 1), rows.dtype)
        some = tf.cond(shape[0] > 0, lambda: rows, lambda: one_row)
        some = tf.ensure_shape(some, rows.shape)
        outputs = tf.cast(model(some, training=False), tf.float32)[: shape[0]]
        return name_outputs(task, class_names, outputs)

    outputs = _list_outputs(task)
    if model_input.kind != IMAGES:
        function, spec = _of_rows(serve, model_input)
        return {DEFAULT: Signature(function, (spec,), outputs)}
    function, spec = _of_images(serve, model_input)
    from_images = Signature(function, (spec,), outputs)
    if not model_input.is_decodable:
        return {DEFAULT: from_images, FROM_IMAGES: from_images}
    function, spec = _of_bytes(serve, model_input)
    return {DEFAULT: Signature(function, (spec,), outputs), FROM_IMAGES: from_images}


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


def write_signatures(model, signatures, folder):
    """Write a SavedModel with these functions and everything `model` holds."""
    # Given the model itself, Keras 3.15 would write every variable twice.
    holder = tf.Module()
    holder.model = model
    archive = keras.export.ExportArchive()
    archive.track(holder)
    for name, signature in signatures.items():
        archive.add_endpoint(name, signature.function, list(signature.specs))
    archive.write_out(str(folder), verbose=False)


def _of_bytes(serve, model_input):
    channels, resizing = model_input.channels, model_input.resizing
    image_shape = (*model_input.image_size, channels)

    def read(encoded):
        # Images differ in size, so each is resized before they become a batch.
        pixels = tf.cast(decode_image(encoded, channels), tf.float32)
        return tf.ensure_shape(resizing(pixels), image_shape)

    def serve_bytes(image_bytes):
        spec = tf.TensorSpec(image_shape, tf.float32)
        return serve(tf.map_fn(read, image_bytes, fn_output_signature=spec))

    return serve_bytes, tf.TensorSpec([None], tf.string, name="image_bytes")


def _of_images(serve, model_input):
    def serve_images(images):
        return serve(model_input.fit_size(images))

    shape = [None, None, None, model_input.channels]
    return serve_images, tf.TensorSpec(shape, tf.uint8, name="images")


def _of_rows(serve, model_input):
    shape = [None, *model_input.shape[1:]]
    # The name of the argument is the name of the input for those who serve it.
    if model_input.kind == TEXTS:
        return lambda texts: serve(texts), tf.TensorSpec(shape, tf.string, name="texts")
    spec = tf.TensorSpec(shape, model_input.dtype, name="inputs")
    return lambda inputs: serve(inputs), spec
