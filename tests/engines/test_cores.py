import os

import pytest

from tftransfer.engines import cores
from tftransfer.engines.cores import count_cores


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


def test_the_affinity_counts_without_a_quota(cgroup):
    assert count_cores() == 16


@pytest.mark.parametrize("text, expected", [("2", 2), ("99", 16), ("4,2", 16)])
def test_a_scheduler_may_say_less(cgroup, monkeypatch, text, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert count_cores() == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("400000 100000", 4),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("max 100000", 16),
    ],
)
def test_a_quota_of_the_second_version_limits_the_cores(cgroup, text, expected):
    (cgroup / "cpu.max").write_text(text)
    assert count_cores() == expected


@pytest.mark.parametrize("quota, expected", [("300000", 3), ("-1", 16)])
def test_a_quota_of_the_first_version_limits_the_cores(cgroup, quota, expected):
    (cgroup / "cpu").mkdir()
    (cgroup / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (cgroup / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert count_cores() == expected
