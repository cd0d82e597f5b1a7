"""What the benchmarks share: rivals timed in turn, rows printed and saved as JSON.

A script beside this file writes `from timing import interleave, write_rows`.
"""

import datetime
import gc
import importlib.metadata
import json
import os
import platform
import random
import statistics
import time
from pathlib import Path

PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "openvino",
    "onnxruntime",
    "torch",
    "jax",
    "scikit-learn",
)
SETTLE_SECONDS = 0.05


def interleave(functions, repeats=5, warm=1):
    """Time rivals in turn, so that whatever else the machine does hits all alike.

    Args:
        functions: Dictionary from a name to a callable without arguments.
        repeats: Rounds that count.
        warm: Rounds before them that do not.

    Returns:
        Dictionary from the name to a list of seconds, one for each round.
    """
    seconds = {name: [] for name in functions}
    order = random.Random(0)
    for number in range(warm + repeats):
        # Another order each round: nobody always runs after the same rival, whose
        # threads may still be looking for work.
        for name in order.sample(list(functions), len(functions)):
            gc.collect()
            time.sleep(SETTLE_SECONDS)
            started = time.perf_counter()
            functions[name]()
            if number >= warm:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def summarize(seconds, count=None):
    """Turn seconds of the rounds into a row: median, fastest, slowest, rate of `count`.

    Args:
        seconds: List of seconds.
        count: Number of things (images, steps) handled in one round.
    """
    row = {
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "slowest": max(seconds),
    }
    if count is not None:
        row["per_second"] = count / row["seconds"]
    return row


def print_rows(rows):
    """Print dictionaries as a table; keys in order of appearance are the columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_show(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in [columns, *cells]:
        padded = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(padded).rstrip(), flush=True)


def write_rows(path, rows, **more):
    """Save rows with machine, versions and date as JSON.

    Args:
        path: File to write; one with the same name is replaced.
        rows: List of dictionaries that JSON can hold.
        **more: Further entries of the file (options of the run, remarks).
    """
    content = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "versions": list_versions(),
        **more,
        "rows": rows,
    }
    Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def describe_machine():
    """Name processor, cores this process may use, special units, memory, system."""
    info = _read_cpuinfo()
    flags = set(info.get("flags", "").split())
    units = [flag for flag in ("avx2", "avx512f", "avx512_vnni") if flag in flags]
    units += [flag for flag in ("avx512_bf16", "amx_tile") if flag in flags]
    return {
        "processor": info.get("model name") or platform.processor(),
        "model": f"family {info.get('cpu family')}, model {info.get('model')}",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "units": units,
        "memory_gb": round(_memory() / 1e9, 1),
        "system": platform.system(),
    }


def list_versions():
    """Return the version of Python and of each of `PACKAGES` that is installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def resident_bytes():
    """Return the memory this process holds now, in bytes (0 where it is not told)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    (line,) = [
        line for line in status.read_text().splitlines() if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) * 1024


def _show(value):
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value)


def _read_cpuinfo():
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return {}
    first = cpuinfo.read_text().split("\n\n")[0]
    pairs = [line.partition(":") for line in first.splitlines()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return 0
