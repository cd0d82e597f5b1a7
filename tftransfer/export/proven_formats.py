"""The formats of an export: written beside the SavedModel, and proven with it."""

import dataclasses
import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from tftransfer.engines.cores import count_cores
from tftransfer.engines.interface import EngineError
from tftransfer.export.format_rows import take_proof_rows, take_representative
from tftransfer.export.inputs import IMAGES
from tftransfer.export.requirements import list_requirements
from tftransfer.export.signatures import name_raw_outputs
from tftransfer.formats.catalog import SAVED_MODEL, check_formats, write_format
from tftransfer.formats.comparing import BOUNDS, EQUAL_DECISIONS, LOST_ACCURACY
from tftransfer.formats.proof import format_proofs, prove_model
from tftransfer.formats.served_graph import build_served_graph
from tftransfer.writing import write_json

PARITY_FILE = "parity.json"
BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class FormatPlan:
    """What is to be written and proven.

    Attributes:
        formats: Names of formats, the SavedModel first.
        quantization: `None`, `"float16"` or `"int8"`.
        rows: Array of rows to prove them on.
        labels: Array of their labels, or `None`.
        representative: Images for int8, or `None`.
        made: Whether the rows are made up.
    """

    formats: tuple
    quantization: str | None
    rows: np.ndarray
    labels: np.ndarray | None
    representative: np.ndarray | None
    made: bool


def plan_formats(
    formats, quantization, representative_data, examples, model_input, task
):
    """Check what was asked for and read its data; `None` where nothing was.

    Args:
        formats: See `export_model`, as the following three.
        quantization: The same.
        representative_data: The same.
        examples: The same.
        model_input: The `ModelInput` of the model.
        task: Its `Task`.

    Returns:
        A `FormatPlan`, or `None` without `formats`.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If a name is unknown, or formats, model and data do not fit.
        ImportError: If a package is missing; the message gives the pip line.
    """
    given = formats is not None
    formats = check_formats((SAVED_MODEL,) if not given else formats, quantization)
    if len(formats) > 1:
        _check_takes_images(formats, model_input)
    _check_representative(quantization, representative_data, examples)
    if not given:
        return None
    representative = None
    if quantization == "int8":
        representative = take_representative(representative_data, model_input)
    rows, labels = take_proof_rows(examples, model_input, task)
    return FormatPlan(
        formats, quantization, rows, labels, representative, examples is None
    )


def write_formats(plan, folder, saved_model, model, model_input, task):
    """Write every format of a plan, prove it, and drop those that do not pass.

    Args:
        plan: A `FormatPlan`, or `None` for nothing to do.
        folder: Folder of the export, where each gets a folder of its name.
        saved_model: Folder of the SavedModel, written already.
        model: The live `keras.Model`.
        model_input: Its `ModelInput`.
        task: Its `Task`.

    Returns:
        Dictionary, the content of `parity.json`; `None` without a plan.

    Raises:
        RuntimeError: If the SavedModel does not pass.
    """
    if plan is None:
        return None
    predict = _build_predict(model, model_input)
    live = _name_live(predict, plan.rows, task)
    faults = _write_others(plan, folder, predict, model_input, task)
    proofs = {}
    for name in plan.formats:
        is_saved_model = name == SAVED_MODEL
        precision = "float32" if is_saved_model else plan.quantization or "float32"
        if name in faults:
            refused = {"accepted": False, "reason": faults[name]}
            proofs[name] = {**refused, "precision": precision}
            continue
        proofs[name] = prove_model(
            name,
            saved_model if is_saved_model else Path(folder, name),
            plan.rows,
            live,
            task_name=task.name,
            precision=precision,
            labels=plan.labels,
            modules=list_requirements(saved_model) if is_saved_model else (),
        )
    _drop_refused(folder, proofs)
    parity = _describe(plan, proofs)
    write_json(Path(folder, PARITY_FILE), parity)
    return parity


def tell_proofs(path, parity, proofs, verbose):
    """Print how the export compares, and warn of formats that are not in it.

    Args:
        path: Of the export.
        parity: What `measure_parity` returned.
        proofs: What `write_formats` returned.
        verbose: Whether to print.
    """
    if verbose:
        print(
            f"Exported to {path}: differs from the live model by at most "
            f"{parity['max_abs_difference']:.1e} on {parity['rows']} rows "
            f"({parity['where']})."
        )
        if proofs:
            print(format_proofs(proofs["formats"]))
    for name, proof in (proofs or {"formats": {}})["formats"].items():
        if not proof["accepted"]:
            warnings.warn(  # at the line of the user who exports
                f"The export holds no {name!r}: {proof['reason']}.", stacklevel=3
            )


def describe_formats(plan, proofs, task):
    """Return what users of the formats must know, for metadata.json.

    Args:
        plan: A `FormatPlan`, or `None`.
        proofs: What `write_formats` returned.
        task: The `Task` of the model.

    Returns:
        Dictionary with `accepted` (from format to precision) and, where there is
        more than the SavedModel, `input` and `outputs`; `None` without a plan.
    """
    if plan is None:
        return None
    accepted = {
        name: proof["precision"]
        for name, proof in proofs["formats"].items()
        if proof["accepted"]
    }
    about: dict = {"accepted": accepted}
    if len(plan.formats) > 1:
        about["input"] = {
            "name": "images",
            "dtype": "uint8",
            "shape": [None, *plan.rows.shape[1:]],
            "range": [0, 255],
            "size": "resize as `resizing` says, then round; nothing else",
        }
        about["outputs"] = list(name_raw_outputs(task, tf.zeros((1, task.num_outputs))))
    return about


def _write_others(plan, folder, predict, model_input, task):
    others = plan.formats[1:]
    if not others:
        return {}
    try:
        graph = build_served_graph(
            predict, plan.rows.shape[1:], lambda raw: name_raw_outputs(task, raw)
        )
    except EngineError as error:
        return dict.fromkeys(others, str(error))
    faults = {}
    for name in others:
        place = Path(folder, name)
        place.mkdir()
        try:
            write_format(name, graph, place, plan.quantization, plan.representative)
        except EngineError as error:
            faults[name] = f"it cannot be written: {error}"
    return faults


def _drop_refused(folder, proofs):
    for name, proof in proofs.items():
        if proof["accepted"]:
            continue
        if name == SAVED_MODEL:
            raise RuntimeError(
                "`model` must predict the same live and exported. "
                f"Received: a SavedModel that {proof['reason']}. Nothing was written. "
                "Look for a layer that is random or not finite at inference."
            )
        shutil.rmtree(Path(folder, name), ignore_errors=True)


def _build_predict(model, model_input):
    def predict(rows):
        if model_input.kind == IMAGES:
            rows = model_input.fit_size(rows)
        return tf.cast(model(rows, training=False), tf.float32)

    return predict


def _name_live(predict, rows, task):
    spec = tf.TensorSpec([None, *rows.shape[1:]], tf.constant(rows[:1]).dtype)
    compiled = tf.function(predict).get_concrete_function(spec)
    with tf.device("/CPU:0"):
        batches = [
            compiled(tf.constant(rows[start : start + BATCH_SIZE])).numpy()
            for start in range(0, len(rows), BATCH_SIZE)
        ]
        named = name_raw_outputs(task, tf.constant(np.concatenate(batches)))
        return {name: value.numpy() for name, value in named.items()}


def _describe(plan, proofs):
    finite = {
        name: {key: _finite(value) for key, value in proof.items()}
        for name, proof in proofs.items()
    }
    return {
        "rows": len(plan.rows),
        "rows_are_made_up": plan.made,
        "labeled": plan.labels is not None,
        "cores": count_cores(),
        "bounds": {
            **{name: {"relative_difference": bound} for name, bound in BOUNDS.items()},
            "int8": {"equal_decisions": EQUAL_DECISIONS, "lost": LOST_ACCURACY},
        },
        "formats": finite,
    }


def _finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_takes_images(formats, model_input):
    if model_input.kind != IMAGES or model_input.image_size is None:
        images = model_input.kind == IMAGES
        raise ValueError(
            f"`formats` must be {[SAVED_MODEL]} for a model of "
            f"{'images of any size' if images else model_input.kind}: the others take "
            f"uint8 images of one size. Received: formats={list(formats)}. "
            "Leave them out."
        )


def _check_representative(quantization, representative_data, examples):
    wanted = quantization == "int8"
    kind = None if representative_data is None else type(representative_data).__name__
    if wanted == (representative_data is None):
        raise ValueError(
            "`representative_data` must be given for quantization='int8', which "
            "measures on it how large activations get, and for nothing else. Received: "
            f"representative_data={kind}, quantization={quantization!r}. "
            f"{'Pass some training images.' if wanted else 'Leave it out.'}"
        )
    if wanted and examples is None:
        raise ValueError(
            "`examples` must be real rows for quantization='int8', whose decisions are "
            "compared on them. Received: examples=None. Pass the test dataset."
        )
