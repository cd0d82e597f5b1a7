"""An export that no longer serves what the live model predicts."""

import keras
import numpy as np

from tftransfer.diagnosis.finding import ERROR, Finding, NotChecked
from tftransfer.export.inputs import IMAGES, read_input
from tftransfer.export.parity import predict_live
from tftransfer.tasks import infer_task

APART = 1e-3  # of probabilities; ten times what an export is written with
_ROWS = 16


def find_export_difference(case):
    """Find an export that serves other predictions than the live model makes."""
    given, rows = case.served, case.inputs
    if not isinstance(rows, np.ndarray):
        raise NotChecked("the model takes no single array")
    rows = rows[:_ROWS]
    served = given.predict(rows)
    if not np.allclose(served, given.predict(rows), atol=APART):
        raise NotChecked("the export is random")
    live = case.predict(rows) if given.metadata is None else _live_as_ours(case, rows)
    live = np.concatenate([np.ravel(x) for x in keras.tree.flatten(live)])
    served = np.ravel(served)
    if served.shape != live.shape:
        return [_finding({"live values": live.size, "served values": served.size})]
    scale = max(1.0, float(np.abs(live).max()))
    apart = float(np.abs(served - live).max()) / scale
    if apart <= APART:
        return []
    mean = float(np.abs(served - live).mean()) / scale
    return [_finding({"largest difference": apart, "mean": mean, "rows": len(rows)})]


def _live_as_ours(case, rows):
    """What the live model predicts as `export_model` writes it: see its proof."""
    if case.served.metadata.get("augment"):
        raise NotChecked("the export averages over augmented images")
    try:
        model_input = read_input(case.plain)
        task = infer_task(case.model, num_outputs=case.outputs.shape[-1])
    except ValueError as error:
        raise NotChecked(f"the live model cannot be compared: {error}") from None
    if model_input.kind == IMAGES:
        rows = np.clip(np.rint(rows), 0, 255).astype("uint8")
    return predict_live(case.plain, model_input, task, list(rows))


def _finding(evidence):
    return Finding(
        "export_difference",
        ERROR,
        "The export does not predict what the live model predicts.",
        evidence,
        "What was measured on the live model does not hold for what is served.",
        "tft.export_model(model, path, examples=data, overwrite=True)",
    )
