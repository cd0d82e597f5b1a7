import numpy as np

from tftransfer.engines import sizes
from tftransfer.engines.sizes import SIZES, choose_size


def choose(monkeypatch, seconds_of_rows, num_rows=3, **options):
    made = []

    def make(size):
        made.append(size)
        return lambda leaves: len(leaves[0])

    monkeypatch.setattr(
        sizes, "_time", lambda compute, rows: seconds_of_rows[compute(rows)]
    )
    size, compute = choose_size(make, [np.zeros((num_rows, 2))], **options)
    assert compute([np.zeros(7)]) == 7
    return size, made


def test_few_rows_are_kept_where_more_gain_nothing(monkeypatch):
    assert choose(monkeypatch, {4: 0.04, 16: 0.16}) == (4, [4, 16])


def test_more_rows_are_taken_while_they_gain(monkeypatch):
    seconds = {4: 0.01, 16: 0.011, 64: 0.012, 512: 0.2}
    assert choose(monkeypatch, seconds) == (64, list(SIZES))


def test_slow_functions_are_tried_with_few_rows_only(monkeypatch):
    assert choose(monkeypatch, {4: 3.0}) == (4, [4])


def test_every_core_gets_a_piece_of_a_usual_batch(monkeypatch):
    seconds = {4: 0.001, 16: 0.0011, 64: 0.0012, 512: 0.0013}
    assert choose(monkeypatch, seconds, 32, parallel=2) == (16, [4, 16])
    assert choose(monkeypatch, seconds, 32, parallel=16) == (4, [4])
    assert choose(monkeypatch, seconds, 32, parallel=1) == (16, [4, 16])


def test_a_long_call_on_one_core_is_long_enough(monkeypatch):
    seconds = {4: 0.006, 16: 0.016}
    assert choose(monkeypatch, seconds, 32, parallel=2) == (4, [4])
