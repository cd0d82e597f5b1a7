"""Rows taken out of arrays and datasets."""

import keras
import numpy as np
import pytest

from tftransfer.selection import reading
from tftransfer.selection.reading import read_rows

CHOSEN = np.array([0, 3, 4, 9, 15, 16, 17, 18, 19, 22])
both_kinds = pytest.mark.parametrize("kind", ["arrays", "dataset"])


@pytest.fixture
def rows_of(batched):
    return lambda arrays, kind: read_rows(
        arrays if kind == "arrays" else batched(arrays)
    )


@both_kinds
def test_the_fixed_part_has_the_chosen_rows_in_order(numbered, kind, read_all, rows_of):
    rows = rows_of(numbered, kind)
    for _ in range(2):
        inputs, labels, weights = read_all(rows.fixed_part(CHOSEN))
        np.testing.assert_array_equal(inputs, numbered[0][CHOSEN])
        np.testing.assert_array_equal(labels, CHOSEN % 3)
        np.testing.assert_allclose(weights, CHOSEN / 23)
    assert len(read_all(rows.fixed_part(CHOSEN, weighted=False))) == 2


@both_kinds
def test_the_training_part_comes_in_a_new_order_each_epoch(
    numbered, kind, read_all, rows_of
):
    part = rows_of(numbered, kind).training_part(CHOSEN, seed=0)
    epochs = [read_all(part) for _ in range(4)]
    for inputs, labels, weights in epochs:
        assert sorted(inputs[:, 0]) == CHOSEN.tolist()
        np.testing.assert_array_equal(labels, inputs[:, 0] % 3)
        np.testing.assert_allclose(weights, inputs[:, 0] / 23, rtol=1e-6)
    assert len({tuple(inputs[:, 0]) for inputs, _, _ in epochs}) > 1


@both_kinds
def test_parts_say_what_loaders_say(numbered, kind, read_all, rows_of):
    rows = rows_of(numbered, kind)
    part = rows.training_part(CHOSEN, seed=0)
    assert (part.shuffles, part.augmented) == (True, False)
    np.testing.assert_array_equal(
        read_all(part.unshuffled)[0], read_all(rows.fixed_part(CHOSEN))[0]
    )
    assert part.fingerprint == rows.fixed_part(CHOSEN).fingerprint
    assert part.fingerprint != rows.fixed_part(CHOSEN[1:]).fingerprint
    assert part.batch_size == (32 if kind == "arrays" else 5)
    assert int(part.cardinality()) == (1 if kind == "arrays" else 2)


def test_a_dataset_keeps_its_batches_and_class_names(numbered, batched):
    data = batched(numbered)
    data.class_names = ["a", "b", "c"]
    rows = read_rows(data)
    assert [len(batch[0]) for batch in rows.fixed_part(np.arange(23))] == [5] * 4 + [3]
    assert rows.class_names == ["a", "b", "c"]
    assert read_rows(data, "xyz").class_names == "xyz"


def test_large_rows_are_shuffled_among_fewer(numbered, monkeypatch, batched, read_all):
    row_bytes = 8 + 8 + 8
    monkeypatch.setattr(reading, "SHUFFLE_BYTES", 4 * row_bytes)
    part = read_rows(batched(numbered)).training_part(np.arange(23), seed=0)
    order = read_all(part)[0][:, 0]
    assert sorted(order) == list(range(23))
    assert all(number < place + 4 for place, number in enumerate(order))


def test_parts_can_be_fitted(numbered, build, rows_of):
    data = (np.repeat(numbered[0], 2, axis=1), numbered[1])
    part = rows_of(data, "dataset").training_part(CHOSEN, seed=0)
    history = build()().fit(part, epochs=3, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 3
    assert isinstance(history, keras.callbacks.History)
