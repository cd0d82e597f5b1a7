import numpy as np
import pytest

from tftransfer.engines import measuring
from tftransfer.engines.measuring import (
    MOST_BATCHES,
    count_rows,
    estimate_rate,
    list_batches,
    measure_rates,
)


class Counting:
    """Counts the batches it is given."""

    def __init__(self):
        self.batches = []

    def run(self, batches):
        for batch in batches:
            self.batches.append(len(batch))
            yield batch


def test_rows_are_counted_in_any_structure():
    assert count_rows({"ids": np.zeros((3, 2)), "mask": np.zeros((3, 2))}) == 3


@pytest.mark.parametrize(
    "rate, rows, count", [(1000, 32, 9), (100, 32, 1), (10, 4, 1), (1e9, 32, 200)]
)
def test_a_run_takes_about_its_time(rate, rows, count):
    batches = list_batches(rate, np.zeros(32), np.zeros(4))
    assert [len(batch) for batch in batches] == [rows] * count
    assert count <= MOST_BATCHES


def set_clock(monkeypatch, runs):
    left = iter(runs)
    monkeypatch.setattr(measuring, "time_run", lambda engine, batches: next(left))
    monkeypatch.setattr(measuring, "count_cores", lambda: 2)


def test_the_best_run_counts(monkeypatch):
    set_clock(monkeypatch, [(2.0, 4.0), (1.0, 2.0), (1.0, 2.0), (4.0, 8.0)])
    rates, is_quiet = measure_rates({"a": None, "b": None}, [np.zeros(8)])
    assert rates == {"a": 8.0, "b": 8.0}
    assert is_quiet


def test_a_busy_machine_is_noticed(monkeypatch):
    set_clock(monkeypatch, [(1.0, 0.9)] * 4)
    _, is_quiet = measure_rates({"a": None, "b": None}, [np.zeros(8)])
    assert not is_quiet


def test_an_engine_runs_all_batches_for_its_rate():
    engine = Counting()
    assert estimate_rate(engine, np.zeros(32), np.zeros(4)) > 0
    assert engine.batches[0] == 4
    rates, _ = measure_rates({"only": engine}, [np.zeros(3)])
    assert rates["only"] > 0
    assert engine.batches[-2:] == [3, 3]
