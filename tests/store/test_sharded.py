import os
import weakref

import ml_dtypes
import numpy as np
import pytest

from tftransfer.store import sharded
from tftransfer.store.sharded import OpenShards, ShardedArray
from tftransfer.store.shards import to_rows

COUNTS = [3, 1, 0, 5, 2]


@pytest.fixture(params=["small files", "memory maps", "few memory maps"])
def split(request, tmp_path, monkeypatch):
    """`split(array)`: the same rows as a ShardedArray of five files."""
    if request.param != "small files":
        monkeypatch.setattr(sharded, "_SMALL", 0)
    if request.param == "few memory maps":
        monkeypatch.setattr(sharded, "_MOST_MAPS", 1)

    def split_array(array):
        rows, dtype = to_rows("a", array)
        files = [f"{number}.npy" for number in range(len(COUNTS))]
        ends = np.cumsum(COUNTS)
        for file, end, count in zip(files, ends, COUNTS, strict=True):
            np.save(tmp_path / file, rows[end - count : end])
        if request.param != "small files":  # an empty file cannot be mapped
            files.pop(2)
        counts = [count for count in COUNTS if count] if len(files) == 4 else COUNTS
        dtype = "float32" if dtype == "bfloat16" else rows.dtype
        return ShardedArray(OpenShards(tmp_path), files, counts, dtype, rows.shape[1:])

    return split_array


MASK = np.arange(11) % 3 == 0
MASK_2D = np.arange(44).reshape(11, 4) % 5 == 0
INDICES = [
    0, 3, -1, -11, 10, np.int64(4), np.array(5),
    slice(None), slice(2, 5), slice(0, 0), slice(4, 2), slice(-3, None), slice(3, 99),
    slice(None, None, 2), slice(1, None, 3), slice(None, None, -1), slice(9, 1, -2),
    slice(0, 11, 7), slice(2, 4), slice(3, 4), slice(4, 9),
    [0], [], [5, 5, 0], (3, -1, 10)[:1] + (2,), np.array([10, 0, 3, 4, 3, -1]),
    np.array([[0, 9], [4, 4]]), np.zeros((0,), int), np.zeros((2, 0), int),
    np.array([7, 2], dtype="uint8"), MASK, MASK.tolist(), ~MASK, MASK & False, MASK_2D,
    ..., (..., 0), (0, ...), (slice(1, 9), ..., 1), (), (MASK, ...),
    (2, 1), (2, 1, 0), (2, slice(1, 3)), (slice(1, 8), 2), (slice(None), slice(0, 2)),
    (slice(None), slice(None), -1), (slice(8, None, -3), slice(None, None, -1), 1),
    ([0, 8], 1), ([0, 8], slice(None), 1), ([0, 8], 1, slice(None)), (MASK, 1),
    ([0, 8], [1, 2]), ([0, 8], slice(None), [0, 1]), (0, slice(None), [0, 1]),
    (0, [0, 1], [1, 1]), (slice(2, 9), [0, 3]), (slice(2, 9), [0, 3], [1, 1]),
    (slice(2, 9), [0, 3], slice(None)), (np.array([[0], [8]]), [1, 2]),
    (MASK, slice(None), [0, 1, 1, 0]), (slice(None), np.array([True, False] * 2)),
    (slice(None), None), (slice(1, 5), None, 2), (3, None), ([1, 2], None, 1),
    ([1, 2], None), (..., None), (MASK_2D, 1), (MASK_2D, slice(None)),
    (slice(9, 2, -1), [1, 2]), (slice(None), 1, [0, 1]), (np.array(2), [0, 1]),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_reads_as_numpy_does(split, rng, index):
    array = rng.random((11, 4, 2)).astype("float32")
    expected, found = array[index], split(array)[index]
    assert type(found) is type(expected) or expected.ndim == 0
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["int64", "uint16", "bool", "S3", "float16"])
@pytest.mark.parametrize(
    "index", [4, -1, slice(2, 9, 2), [10, 0, 0], MASK, ..., (..., 3)], ids=repr
)
def test_reads_one_value_a_row_as_numpy_does(split, dtype, index):
    array = np.arange(11).astype(dtype)
    found = split(array)[index]
    assert np.array_equal(found, array[index])
    assert found.dtype == array[index].dtype or found.dtype.kind == "S"


COLUMNS = [slice(None), 1, slice(3, 0, -1), [2, 0]]


def test_random_indices_read_as_numpy_does(split, rng):
    array = rng.integers(0, 99, (11, 4, 2))
    rows = split(array)
    for _ in range(100):
        start, stop = rng.integers(-14, 14, 2)
        step = rng.choice([-5, -2, -1, 1, 2, 5])
        column = COLUMNS[rng.integers(len(COLUMNS))]
        for first in (
            slice(start, stop, step),
            rng.integers(-11, 11, rng.integers(0, 30)),
            rng.random(11) < 0.5,
        ):
            assert np.array_equal(rows[first], array[first])
            if isinstance(first, slice) or not isinstance(column, list):
                assert np.array_equal(rows[first, column], array[first, column])


@pytest.mark.parametrize(
    "index",
    [
        11, -12, [0, 11], [-12], (0, 4), (slice(None), 4), (0, 0, 2), (0, 0, 0, 0),
        (..., ...), "a", 1.0, [0.5], np.ones(10, bool), np.ones((11, 5), bool),
    ],
    ids=repr,
)  # fmt: skip
def test_what_numpy_refuses_is_refused(split, index):
    array = np.zeros((11, 4, 2))
    for rows in (array, split(array)):
        with pytest.raises(IndexError):
            rows[index]


@pytest.mark.parametrize(
    ("index", "message"), [(None, "a new axis before"), (True, "whole numbers or a")]
)
def test_indices_that_would_read_everything_are_refused(split, index, message):
    with pytest.raises(IndexError, match=message):
        split(np.zeros((11, 4)))[index]


def test_as_an_array(split, rng):
    array = rng.random((11, 4)).astype("float32")
    rows = split(array)
    assert (rows.shape, rows.ndim, len(rows), rows.nbytes) == ((11, 4), 2, 11, 176)
    assert np.array_equal(np.asarray(rows), array)
    assert np.array_equal(np.array(rows, copy=True), array)
    assert np.asarray(rows, dtype="float64").dtype == np.float64
    assert np.array_equal(np.concatenate([rows, rows]), np.concatenate([array, array]))
    assert [row.tolist() for row in rows] == array.tolist()
    assert repr(rows) == "ShardedArray(shape=(11, 4), dtype=float32)"
    with pytest.raises(ValueError, match="Received: copy=False"):
        np.array(rows, copy=False)


def test_what_is_read_may_be_changed_without_harm(split):
    rows = split(np.zeros((11, 2)))
    for index in (0, slice(0, 2), [0, 1], ...):
        rows[index][...] = 1
    assert not np.any(rows)


def test_bfloat16_reads_as_the_float32_of_the_same_value(split, rng):
    values = rng.standard_normal((11, 4)).astype(ml_dtypes.bfloat16)
    values[0] = [0, -0.0, np.inf, np.nan]
    rows = split(values)
    assert rows.dtype == np.float32
    for index in (slice(None), 3, [4, 0], (slice(2, 7), 1)):
        expected = values[index].astype("float32")
        assert np.array_equal(rows[index], expected, equal_nan=True)


def test_a_closed_entry_is_not_read(split):
    rows = split(np.zeros((11, 2)))
    rows._shards.close()
    with pytest.raises(ValueError, match="Received: an array of the closed entry '"):
        rows[0]


def test_arrays_keep_their_entry_held(tmp_path):
    class Holding:
        pass

    holding = Holding()
    watch = weakref.ref(holding)
    rows = ShardedArray(OpenShards(tmp_path, holding), [], [], "float32", (2,))
    del holding
    assert watch() is not None and rows[:].shape == (0, 2)
    del rows
    assert watch() is None


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_many_files_need_few_descriptors(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "_SMALL", 0)
    files = [f"{number}.npy" for number in range(200)]
    for number, file in enumerate(files):
        np.save(tmp_path / file, np.array([number]))
    rows = ShardedArray(OpenShards(tmp_path), files, [1] * 200, "int64", ())
    before = len(os.listdir("/proc/self/fd"))
    assert np.array_equal(rows[:], np.arange(200))
    assert len(os.listdir("/proc/self/fd")) - before <= sharded._MOST_MAPS
