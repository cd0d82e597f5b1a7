"""Proof that an export serves what the live model predicts."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.decoding import decode_image
from tftransfer.export import serve_rows
from tftransfer.export.inputs import IMAGES
from tftransfer.export.requirements import list_requirements
from tftransfer.export.signatures import DEFAULT, FROM_IMAGES

TOLERANCE = 1e-4


def measure_parity(saved_model, rows, model, model_input, task):
    """Compare a written SavedModel with the live model on real rows.

    The SavedModel is served by a new Python process that has TensorFlow and nothing
    else, through every signature; the live model is the Keras model itself, on pixels
    decoded and resized as in training. Both run on the CPU.

    Args:
        saved_model: Folder of the SavedModel.
        rows: List of rows made by `take_rows`.
        model: The live `keras.Model`.
        model_input: Its `ModelInput`.
        task: Its `Task`.

    Returns:
        Dictionary with `max_abs_difference` (of probabilities, or of values divided by
        the largest value where that exceeds 1), `tolerance`, `rows`, `where`.

    Raises:
        RuntimeError: If the fresh process cannot serve the SavedModel, or the
            difference exceeds `TOLERANCE`.
    """
    calls = plan_calls(rows, model_input)
    served = serve_in_fresh_process(saved_model, [call for call, _ in calls])
    live = predict_live(model, model_input, task, rows)
    differences = [
        _difference(outputs, live[indices], task)
        for outputs, (_, indices) in zip(served, calls, strict=True)
    ]
    largest = float(np.max(differences))  # NaN stays NaN
    if not largest <= TOLERANCE:
        raise RuntimeError(
            f"`model` must predict the same live and exported, to {TOLERANCE}. "
            f"Received: a difference of {largest:.3g} on {len(rows)} rows. Nothing was "
            "written. Look for a layer that is random or not finite at inference."
        )
    return {
        "max_abs_difference": largest,
        "tolerance": TOLERANCE,
        "rows": len(rows),
        "where": f"fresh process, {_describe_packages(saved_model)}, CPU",
    }


def _describe_packages(saved_model):
    modules = list_requirements(saved_model)
    return f"tensorflow {tf.__version__} {f'with {modules}' if modules else 'alone'}"


def predict_live(model, model_input, task, rows):
    """Return what the Keras model predicts, `(rows, num_classes)`, as an array."""
    dtype = tf.float32 if model_input.kind == IMAGES else model_input.dtype
    spec = tf.TensorSpec([None, *model_input.shape[1:]], dtype)

    @tf.function(input_signature=[spec])
    def predict(batch):
        outputs = model(batch, training=False)
        return task.probabilities(tf.cast(outputs, tf.float32))

    predictions = []
    with tf.device("/CPU:0"):
        for row in rows:
            batch = tf.convert_to_tensor(row)[tf.newaxis]
            if model_input.kind == IMAGES:
                batch = model_input.fit_size(_as_decoded(row, model_input)[tf.newaxis])
            predictions.append(predict(batch).numpy())
    return np.concatenate(predictions)


def plan_calls(rows, model_input):
    """List the calls that bring every row through every signature.

    Returns:
        List of `((signature, input name, tensor), indices of the rows)`.
    """
    everything = list(range(len(rows)))
    if model_input.kind != IMAGES:
        name = "texts" if model_input.dtype == "string" else "inputs"
        return [
            ((DEFAULT, name, tf.convert_to_tensor(row)[tf.newaxis]), [index])
            for index, row in enumerate(rows)
        ]
    calls = []
    if model_input.is_decodable:
        encoded = tf.stack([tf.io.encode_png(row) for row in rows])
        calls.append(((DEFAULT, "image_bytes", encoded), everything))
    for shape in dict.fromkeys(row.shape for row in rows):
        indices = [index for index in everything if rows[index].shape == shape]
        images = tf.constant(np.stack([rows[index] for index in indices]))
        calls.append(((FROM_IMAGES, "images", images), indices))
    return calls


def serve_in_fresh_process(saved_model, calls):
    """Serve tensors in a new Python process that has TensorFlow and nothing else.

    Only packages that bring operations of the SavedModel are imported as well.

    Args:
        saved_model: Folder of the SavedModel.
        calls: List of `(signature, input name, tensor)`.

    Returns:
        List of dictionaries from output name to array, one per call.

    Raises:
        RuntimeError: If the process fails; its last words are in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write_calls(folder, calls)
        # -P: the script's own folder is not searched for modules.
        command = [sys.executable, "-P", serve_rows.__file__, str(saved_model), folder]
        command += list_requirements(saved_model)
        done = subprocess.run(command, capture_output=True, text=True, env=_on_cpu())
        if done.returncode != 0:
            raise RuntimeError(
                "The SavedModel must be servable by TensorFlow alone. "
                f"Received: exit status {done.returncode} of a fresh process, whose "
                f"last words were: {done.stderr.strip()[-2000:]}"
            )
        return [_read_outputs(folder, number) for number in range(len(calls))]


def _write_calls(folder, calls):
    listed = []
    for number, (signature, name, tensor) in enumerate(calls):
        file = f"{number}.tensor"
        Path(folder, file).write_bytes(tf.io.serialize_tensor(tensor).numpy())
        listed.append(
            {
                "signature": signature,
                "input": name,
                "dtype": tensor.dtype.name,
                "file": file,
            }
        )
    Path(folder, "calls.json").write_text(json.dumps(listed), encoding="utf-8")


def _read_outputs(folder, number):
    with np.load(Path(folder, f"{number}.npz")) as stored:
        return dict(stored)


def _on_cpu():
    # The live process may hold the whole memory of an accelerator.
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, **quiet}


def _as_decoded(row, model_input):
    if not model_input.is_decodable:
        return tf.convert_to_tensor(row)
    return decode_image(tf.io.encode_png(row), model_input.channels)


def _difference(outputs, live, task):
    if task.name == "regression":
        scale = max(1.0, float(np.max(np.abs(live))))
        return np.max(np.abs(outputs["values"] - live)) / scale
    return np.max(np.abs(outputs["probabilities"] - live))
