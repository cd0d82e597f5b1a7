"""Proof that an export serves what the live model predicts."""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.export import serve_rows
from tftransfer.export.extra_parity import compare_extras, plan_extra_calls
from tftransfer.export.inputs import IMAGES
from tftransfer.export.requirements import list_requirements
from tftransfer.export.rows import as_batch
from tftransfer.export.signatures import DEFAULT, FROM_IMAGES

TOLERANCE = 1e-4


def measure_parity(saved_model, rows, model, model_input, task, extras=()):
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
        extras: List of `Extra` that it serves too.

    Returns:
        Dictionary with `max_abs_difference` (of probabilities, or of values divided by
        the largest value where that exceeds 1), `tolerance`, `rows`, `where`, and
        `extra_signatures`, from the name of each to the largest difference of its
        outputs, divided by their largest value.

    Raises:
        RuntimeError: If the fresh process cannot serve the SavedModel, or the
            difference exceeds `TOLERANCE`.
    """
    calls = plan_calls(rows, model_input)
    extra_calls = plan_extra_calls(extras, rows, model_input, task)
    plan = [call for call, _ in calls]
    plan += [(call.name, call.tensors) for call in extra_calls]
    served = serve_in_fresh_process(saved_model, plan)
    live = predict_live(model, model_input, task, rows)
    differences = [
        _difference(outputs, live[indices], task)
        for outputs, (_, indices) in zip(served[: len(calls)], calls, strict=True)
    ]
    largest = float(np.max(differences))  # NaN stays NaN
    of_extras = compare_extras(extra_calls, served[len(calls) :])
    _check(largest, len(rows), "predict")
    _warn_of_equal(live)
    for name, difference in of_extras.items():
        _check(difference, len(rows), f"answer {name!r}")
    return {
        "max_abs_difference": largest,
        "tolerance": TOLERANCE,
        "rows": len(rows),
        "where": f"fresh process, {_describe_packages(saved_model)}, CPU",
        "extra_signatures": of_extras,
    }


def _check(difference, num_rows, what):
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"`model` must {what} the same live and exported, to {TOLERANCE}. "
            f"Received: a difference of {difference:.3g} on {num_rows} rows. Nothing "
            "was written. Look for a layer that is random or not finite at inference."
        )


def _warn_of_equal(live):
    if len(live) > 1 and np.all(live == live[0]):
        warnings.warn(
            f"The live model gives equal outputs for all {len(live)} rows it was "
            "compared on, so that a mistake in the export would not show. Pass real "
            "`examples`; if it is so for them too, the model has learned nothing.",
            stacklevel=4,
        )


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
            predictions.append(predict(as_batch(row, model_input)).numpy())
    return np.concatenate(predictions)


def plan_calls(rows, model_input):
    """List the calls that bring every row through every signature.

    Returns:
        List of `((signature, dictionary from input name to tensor), indices of the
        rows)`.
    """
    everything = list(range(len(rows)))
    if model_input.kind != IMAGES:
        name = "texts" if model_input.dtype == "string" else "inputs"
        return [
            ((DEFAULT, {name: tf.convert_to_tensor(row)[tf.newaxis]}), [index])
            for index, row in enumerate(rows)
        ]
    calls = []
    if model_input.is_decodable:
        encoded = tf.stack([tf.io.encode_png(row) for row in rows])
        calls.append(((DEFAULT, {"image_bytes": encoded}), everything))
    for shape in dict.fromkeys(row.shape for row in rows):
        indices = [index for index in everything if rows[index].shape == shape]
        images = tf.constant(np.stack([rows[index] for index in indices]))
        calls.append(((FROM_IMAGES, {"images": images}), indices))
    return calls


def serve_in_fresh_process(saved_model, calls):
    """Serve tensors in a new Python process that has TensorFlow and nothing else.

    Only packages that bring operations of the SavedModel are imported as well.

    Args:
        saved_model: Folder of the SavedModel.
        calls: List of `(signature, dictionary from input name to tensor)`.

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
    for number, (signature, tensors) in enumerate(calls):
        inputs = {}
        for name, tensor in tensors.items():
            file = f"{number}.{name}.tensor"
            Path(folder, file).write_bytes(tf.io.serialize_tensor(tensor).numpy())
            inputs[name] = {"dtype": tensor.dtype.name, "file": file}
        listed.append({"signature": signature, "inputs": inputs})
    Path(folder, "calls.json").write_text(json.dumps(listed), encoding="utf-8")


def _read_outputs(folder, number):
    with np.load(Path(folder, f"{number}.npz")) as stored:
        return dict(stored)


def _on_cpu():
    # The live process may hold the whole memory of an accelerator.
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, **quiet}


def _difference(outputs, live, task):
    if task.name == "regression":
        scale = max(1.0, float(np.max(np.abs(live))))
        return np.max(np.abs(outputs["values"] - live)) / scale
    return np.max(np.abs(outputs["probabilities"] - live))
