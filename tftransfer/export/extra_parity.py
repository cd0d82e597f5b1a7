"""Rows through the further signatures of an export, live and served."""

import numpy as np
import tensorflow as tf

from tftransfer.export.inputs import IMAGES
from tftransfer.export.rows import as_batch
from tftransfer.export.signatures import CLASS_SPEC, name_default_input

_LEAST_SCALE = 1e-6


def plan_extra_calls(extras, rows, model_input, task):
    """List the calls that bring every row through every extra.

    Where a class may be asked for, rows ask for one after the other, so that a tie
    between two classes decides nothing.

    Returns:
        List of `(extra, (signature, dictionary from input name to tensor), answer of
        the live model)`, the last an array with a batch of one.
    """
    calls = []
    for extra in extras:
        for index, row in enumerate(rows):
            more = {}
            if extra.takes_classes:
                asked = [index % task.num_classes]
                more[CLASS_SPEC.name] = tf.constant(asked, CLASS_SPEC.dtype)
            with tf.device("/CPU:0"):
                live = extra.answer(as_batch(row, model_input), *more.values())
            tensors = {name_default_input(model_input): _as_served(row, model_input)}
            call = (extra.name, tensors | more)
            calls.append((extra, call, live[extra.outputs[0]].numpy()))
    return calls


def compare_extras(calls, served):
    """Compare what was served with what the live model answers.

    Args:
        calls: What `plan_extra_calls` returned.
        served: List of dictionaries from output name to array, one for each call.

    Returns:
        Dictionary from the name of an extra to the largest difference of its first
        output, divided by the largest value of the live model's.
    """
    differences: dict = {}
    scales: dict = {}
    for (extra, _, live), outputs in zip(calls, served, strict=True):
        difference = np.abs(outputs[extra.outputs[0]] - live).max()
        name = extra.name
        differences.setdefault(name, []).append(difference)
        scales[name] = max(scales.get(name, _LEAST_SCALE), np.abs(live).max())
    return {
        name: float(np.max(found) / scales[name]) for name, found in differences.items()
    }


def _as_served(row, model_input):
    if model_input.kind == IMAGES and model_input.is_decodable:
        return tf.io.encode_png(row)[tf.newaxis]
    return tf.convert_to_tensor(row)[tf.newaxis]
