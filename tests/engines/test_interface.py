import threading

import numpy as np
import pytest

from tftransfer.engines.interface import (
    AHEAD,
    Engine,
    Finished,
    as_array,
    cut_rows,
    describe_batch,
    fill_rows,
    shapes_of,
)


class Doubling(Engine):
    """Gives twice the first array."""

    name = "doubling"

    def _start(self, leaves):
        if len(leaves[0]) == 0:
            raise ZeroDivisionError
        return Finished(2 * leaves[0])


def build(dtype="float32", example=None):
    example = np.zeros((2, 1), "float32") if example is None else example
    return Doubling(example, dtype, "float32")


def test_batches_come_back_in_order_whatever_their_size():
    batches = [np.full((rows, 1), rows, "float32") for rows in (3, 1, 4, 0, 2)]
    outputs = list(build().run(batches))
    assert [output.tolist() for output in outputs] == [
        (2 * batch).tolist() for batch in batches
    ]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_floats_have_the_dtype_asked_for(dtype):
    (output,) = build(dtype).run([np.ones((2, 1), "float32")])
    assert output.dtype.name == dtype


def test_integers_stay_integers():
    engine = build("float16", np.zeros((2, 1), "int32"))
    (output,) = engine.run([np.ones((2, 1), "int32")])
    assert output.dtype == np.int32


def test_batches_get_the_dtype_of_the_example():
    (output,) = build().run([np.ones((2, 1), "uint8")])
    assert output.dtype == np.float32


def test_batches_are_read_only_a_little_ahead():
    read = []

    def batches():
        for number in range(100):
            read.append(number)
            yield np.zeros((1, 1), "float32")

    running = build().run(batches())
    next(running)
    assert len(read) == AHEAD + 1
    running.close()
    assert len(read) == AHEAD + 1


def test_batches_are_read_in_the_thread_of_the_caller():
    threads = []

    def batches():
        threads.append(threading.current_thread())
        yield np.zeros((1, 1), "float32")

    list(build().run(batches()))
    assert threads == [threading.current_thread()]


def test_an_error_while_reading_reaches_the_caller():
    def batches():
        yield np.zeros((1, 1), "float32")
        raise OSError("no such image")

    with pytest.raises(OSError, match="no such image"):
        list(build().run(batches()))


def test_a_batch_built_otherwise_is_refused():
    with pytest.raises(
        ValueError, match=r"Received: .*float64\[1\].* for float32\[2, 1"
    ):
        list(build().run([{"ids": np.zeros(1)}]))


def test_an_example_without_rows_is_refused():
    with pytest.raises(ValueError, match=r"Received: example=float32\[0, 1\]"):
        build(example=np.zeros((0, 1), "float32"))


def test_leaves_come_in_the_order_of_the_structure():
    example = {"b": np.zeros((2, 1)), "a": np.zeros((2, 3), "int64")}
    leaves = build(example=example).take_leaves(example)
    assert shapes_of(leaves) == ((3,), (1,))


def test_longer_text_than_the_examples_is_not_cut():
    engine = build(example=np.array(["a", "b"]))
    (leaf,) = engine.take_leaves(np.array(["a", "longer"]))
    assert leaf.tolist() == ["a", "longer"]
    assert as_array(np.array([b"a"])).dtype == object


def test_rows_are_cut_and_the_rest_comes_last():
    pieces = list(cut_rows([np.arange(5), np.arange(5) * 2], 2))
    assert [(start, stop) for start, stop, _ in pieces] == [(0, 2), (2, 4), (4, 5)]
    assert pieces[2][2][1].tolist() == [8]


def test_missing_rows_are_copies_of_the_last():
    (leaf,) = fill_rows([np.array([[1], [2]])], 4)
    assert leaf.tolist() == [[1], [2], [2], [2]]


def test_a_batch_is_described_by_dtypes_and_shapes():
    batch = {"ids": np.zeros((2, 3), "int32")}
    assert describe_batch(batch) == "{'ids': 'int32[2, 3]'}"
