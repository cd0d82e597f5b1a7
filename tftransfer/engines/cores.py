"""How many cores this process may really use."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def count_cores():
    """Count the cores this process may use.

    A container is often given fewer cores than the machine has, by its affinity or by
    a quota of processor time; threads beyond them only wait for one another. So do
    those beyond `OMP_NUM_THREADS`, by which a scheduler divides a machine.

    Returns:
        int, at least 1.

    Example:

    >>> count_cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _read_quota(), _read_threads()))


def _read_threads():
    try:
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    except (KeyError, ValueError):  # not set, or one number for each nesting
        return os.cpu_count() or 1


def _read_quota():
    for place, read in (("cpu.max", _read_v2), ("cpu/cpu.cfs_quota_us", _read_v1)):
        try:
            quota = read(CGROUP / place)
        except (OSError, ValueError):
            continue
        return max(1, int(quota))
    return os.cpu_count() or 1


def _read_v2(path):
    quota, period = path.read_text().split()
    return int(quota) / int(period)  # "max" is no number: no limit


def _read_v1(path):
    quota = int(path.read_text())
    if quota < 0:
        raise ValueError("Received: a negative quota, which means no limit.")
    return quota / int(path.with_name("cpu.cfs_period_us").read_text())
