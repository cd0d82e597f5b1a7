"""What earlier trials on this machine found, so that none is run twice."""

import contextlib
import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path

from tftransfer.engines.cores import count_cores
from tftransfer.store.location import store_folder
from tftransfer.writing import replace_when_whole

FILE = "engines.json"
MOST_TRIALS = 500  # the oldest are dropped
_PACKAGES = ("tensorflow", "keras", "jax", "openvino", "onnxruntime", "tf2onnx")


def identify_trial(key, shapes, dtypes, dtype, backend):
    """Name a trial by all that its outcome depends on.

    Args:
        key: str that stands for the function and its weights.
        shapes: Shapes of the arrays of a row.
        dtypes: Their dtypes, as str.
        dtype: dtype of the output, as a str.
        backend: Keras' backend and the kind of device it computes on, as a str.

    Returns:
        str that differs when the processor, the number of cores, a version or any of
        the arguments does.
    """
    parts = [describe_processor(), count_cores(), _list_versions()]
    parts += [key, shapes, dtypes, dtype, backend]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def recall_trial(name, folder=None):
    """Return what `remember_trial` kept under this name, or None.

    A damaged file counts as empty.
    """
    trial = _read(_path(folder)).get(name)
    return trial if isinstance(trial, dict) else None


def remember_trial(name, trial, folder=None):
    """Keep the outcome of a trial.

    Two processes that write at once lose one of the outcomes, which is then measured
    again; the file is whole at every moment. Where it cannot be written nothing is
    kept.

    Args:
        name: What `identify_trial` returned.
        trial: Dictionary that JSON can hold.
        folder: Folder of the store; None for the usual one.
    """
    path = _path(folder)
    trials = _read(path)
    trials.pop(name, None)
    trials[name] = trial
    kept = dict(list(trials.items())[-MOST_TRIALS:])
    with contextlib.suppress(OSError, ValueError):
        with replace_when_whole(path, overwrite=True) as partial:
            partial.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def describe_processor():
    """Return the processor's name, model and units as one str."""
    wanted = ("model name", "cpu family", "model", "stepping", "flags", "Features")
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    # Virtual machines often hide the name; the units (AVX-512, AMX) tell them apart.
    first = text.split("\n\n")[0].splitlines()
    return "; ".join(line for line in first if line.partition(":")[0].strip() in wanted)


def _path(folder):
    return store_folder(folder) / FILE


def _read(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _list_versions():
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
