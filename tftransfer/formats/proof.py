"""Proof of written models: each served by its own runtime in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tftransfer.columns import align_columns
from tftransfer.engines.cores import count_cores
from tftransfer.formats import run_alone
from tftransfer.formats.comparing import compare_outputs, find_fault

# Runs at batch 1, a tenth of them at batch 32, unless the time is up before.
RUNS, SECONDS = 200, 2.0


def prove_model(
    name, path, rows, live, *, task_name, precision, labels=None, modules=()
):
    """Serve rows with a written model, compare with the live one, and time it.

    Args:
        name: Name of the format, one of `run_alone.RUNTIMES`.
        path: Its folder.
        rows: Array of rows: uint8 images `(n, height, width, channels)`, texts or
            numbers.
        live: What the live model gives for them: see `compare_outputs`.
        task_name: Name of the task.
        precision: `"float32"`, `"float16"` or `"int8"`, which has its bound.
        labels: See `compare_outputs`.
        modules: Packages that a SavedModel needs beside TensorFlow.

    Returns:
        Dictionary of plain values: what `compare_outputs` returns, and `accepted`,
        `reason` (`None`, or what is out of bounds), `precision`, `runtime`,
        `latency_ms_p50` and `latency_ms_p99` at batch 1, `rows_per_second` at batch
        32, `bytes`.
    """
    about = {"precision": precision, "bytes": count_bytes(path)}
    try:
        outputs, measured = run_in_fresh_process(name, path, rows, modules)
    except RuntimeError as error:
        return {"accepted": False, "reason": str(error), **about}
    compared = compare_outputs(live, outputs, task_name, labels)
    fault = find_fault(compared, precision)
    return {"accepted": fault is None, "reason": fault, **about, **compared, **measured}


def run_in_fresh_process(name, path, rows, modules=()):
    """Serve and time rows in a new Python process that has one runtime only.

    Args:
        name: Name of the format.
        path: Its folder.
        rows: Array of rows.
        modules: Packages to import first.

    Returns:
        Dictionary of output arrays, and one of times.

    Raises:
        RuntimeError: If the process fails; its last words are in the message.
    """
    settings = {
        "cores": count_cores(),
        "modules": list(modules),
        "runs": RUNS,
        "seconds": SECONDS,
    }
    quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "rows.npy"), rows)
        Path(folder, "settings.json").write_text(json.dumps(settings), "utf-8")
        # -P: the script's own folder is not searched for modules.
        command = [sys.executable, "-P", run_alone.__file__, name, str(path), folder]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **quiet}
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"exit status {done.returncode} of a fresh process, whose last words "
                f"were: {done.stderr.strip()[-1000:]}"
            )
        measured = json.loads(Path(folder, "measured.json").read_text("utf-8"))
        with np.load(Path(folder, "outputs.npz")) as stored:
            return dict(stored), measured


def format_proofs(formats):
    """Return a table of what `prove_model` returned for each format, as a `str`.

    Example:

    >>> print(format_proofs({"onnx": {"accepted": False, "reason": "no such op"}}))
    format  difference  decisions  score  p50 ms  p99 ms  rows/s  MB
    onnx             -          -      -       -       -       -   -
    onnx is refused: no such op.
    """
    titles = "format", "difference", "decisions", "score", "p50 ms", "p99 ms"
    rows = [[*titles, "rows/s", "MB"]]
    rows += [_list_cells(name, proof) for name, proof in formats.items()]
    refused = [
        f"{name} is refused: {proof['reason']}."
        for name, proof in formats.items()
        if not proof["accepted"]
    ]
    return "\n".join([*align_columns(rows), *refused])


def count_bytes(path):
    """Return the size of all files in a folder."""
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def _list_cells(name, proof):
    score = proof.get("accuracy", proof.get("mean_absolute_error"))
    size = proof.get("bytes")
    numbers = {
        "{:.1e}": proof.get("relative_difference"),
        "{:.2%}": proof.get("equal_decisions"),
        "{:.4f}": score,
        "{:.2f}": proof.get("latency_ms_p50"),
        "{:.3g}": proof.get("latency_ms_p99"),
        "{:.0f}": proof.get("rows_per_second"),
        "{:.1f}": None if size is None else size / 1e6,
    }
    cells = [
        "-" if number is None else pattern.format(number)
        for pattern, number in numbers.items()
    ]
    return [name, *cells]
