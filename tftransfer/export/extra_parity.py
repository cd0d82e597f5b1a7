"""Rows through the further signatures of an export, live and served."""

import dataclasses

import numpy as np
import tensorflow as tf

from tftransfer.export.inputs import IMAGES
from tftransfer.export.rows import as_batch
from tftransfer.export.signatures import CLASS_SPEC, name_default_input

_LEAST_SCALE = 1e-6
PREDICTED = -1  # class number that stands for the class predicted


@dataclasses.dataclass(frozen=True, eq=False)
class ExtraCall:
    """One row through one signature.

    Attributes:
        name: Of the signature.
        tensors: Dictionary from input name to tensor.
        live: Dictionary from output name to the array that the live model answers.
    """

    name: str
    tensors: dict
    live: dict


def plan_extra_calls(extras, rows, model_input, task):
    """List the calls that bring every row through every extra.

    Where a class may be asked for, each row asks for one, another for each row, and
    for the class predicted.

    Returns:
        List of `ExtraCall`.
    """
    calls = []
    for extra in extras:
        for index, row in enumerate(rows):
            asked = [index % task.num_classes, PREDICTED]
            for number in asked if extra.takes_classes else [None]:
                calls.append(_plan(extra, row, number, model_input))
    return calls


def _plan(extra, row, number, model_input):
    more = {}
    if number is not None:
        more[CLASS_SPEC.name] = tf.constant([number], CLASS_SPEC.dtype)
    with tf.device("/CPU:0"):
        live = extra.answer(as_batch(row, model_input), *more.values())
    row = _as_served(row, model_input)
    tensors = {name_default_input(model_input): row, **more}
    return ExtraCall(
        extra.name, tensors, {name: value.numpy() for name, value in live.items()}
    )


def compare_extras(calls, served):
    """Compare what was served with what the live model answers.

    Two classes may be predicted with equal right; where another one was served, what
    belongs to a class is not compared.

    Args:
        calls: What `plan_extra_calls` returned.
        served: List of dictionaries from output name to array, one for each call.

    Returns:
        Dictionary from the name of an extra to the largest difference of any number in
        its outputs, divided by the largest value of that output of the live model.
    """
    differences: dict = {}
    scales: dict = {}
    for call, outputs in zip(calls, served, strict=True):
        if not np.array_equal(call.live.get("class_id"), outputs.get("class_id")):
            continue
        for name, live in call.live.items():
            if live.dtype.kind != "f":
                continue
            key = call.name, name
            difference = np.abs(outputs[name] - live).max()
            differences.setdefault(key, []).append(difference)
            scales[key] = max(scales.get(key, _LEAST_SCALE), np.abs(live).max())
    largest: dict = {}
    for key, found in differences.items():
        share = float(np.max(found) / scales[key])
        largest[key[0]] = max(share, largest.get(key[0], 0.0))
    return largest


def _as_served(row, model_input):
    if model_input.kind == IMAGES and model_input.is_decodable:
        return tf.io.encode_png(row)[tf.newaxis]
    return tf.convert_to_tensor(row)[tf.newaxis]
