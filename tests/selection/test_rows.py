"""Rows taken out of arrays and datasets, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.pipelines import Preparation, make_dataset
from tftransfer.selection import rows as rows_module
from tftransfer.selection.rows import digest_arrays, read_rows


@pytest.fixture
def numbered():
    """23 rows whose input tells their number, with weights."""
    numbers = np.arange(23)
    inputs = np.stack([numbers, numbers**2], axis=1).astype("float32")
    return inputs, numbers % 3, numbers / 23


def batched(arrays, size=5):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size)


def read_all(dataset):
    batches = list(dataset.as_numpy_iterator())
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


CHOSEN = np.array([0, 3, 4, 9, 15, 16, 17, 18, 19, 22])
both_kinds = pytest.mark.parametrize("kind", ["arrays", "dataset"])


def rows_of(arrays, kind):
    return read_rows(arrays if kind == "arrays" else batched(arrays))


@both_kinds
def test_the_fixed_part_has_the_chosen_rows_in_order(numbered, kind):
    rows = rows_of(numbered, kind)
    for _ in range(2):
        inputs, labels, weights = read_all(rows.fixed_part(CHOSEN))
        np.testing.assert_array_equal(inputs, numbered[0][CHOSEN])
        np.testing.assert_array_equal(labels, CHOSEN % 3)
        np.testing.assert_allclose(weights, CHOSEN / 23)
    assert len(read_all(rows.fixed_part(CHOSEN, weighted=False))) == 2


@both_kinds
def test_the_training_part_comes_in_a_new_order_each_epoch(numbered, kind):
    part = rows_of(numbered, kind).training_part(CHOSEN, seed=0)
    epochs = [read_all(part) for _ in range(4)]
    for inputs, labels, weights in epochs:
        assert sorted(inputs[:, 0]) == CHOSEN.tolist()
        np.testing.assert_array_equal(labels, inputs[:, 0] % 3)
        np.testing.assert_allclose(weights, inputs[:, 0] / 23, rtol=1e-6)
    assert len({tuple(inputs[:, 0]) for inputs, _, _ in epochs}) > 1


@both_kinds
def test_parts_say_what_loaders_say(numbered, kind):
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


def test_a_dataset_keeps_its_batches_and_class_names(numbered):
    data = batched(numbered)
    data.class_names = ["a", "b", "c"]
    rows = read_rows(data)
    assert [len(batch[0]) for batch in rows.fixed_part(np.arange(23))] == [5] * 4 + [3]
    assert rows.class_names == ["a", "b", "c"]
    assert read_rows(data, "xyz").class_names == "xyz"


def test_large_rows_are_shuffled_among_fewer(numbered, monkeypatch):
    row_bytes = 8 + 8 + 8
    monkeypatch.setattr(rows_module, "SHUFFLE_BYTES", 4 * row_bytes)
    part = read_rows(batched(numbered)).training_part(np.arange(23), seed=0)
    order = read_all(part)[0][:, 0]
    assert sorted(order) == list(range(23))
    assert all(number < place + 4 for place, number in enumerate(order))


def test_texts_and_structures_are_taken():
    inputs = {"text": ["a", "b c", "é"], "numbers": [[1.0], [2.0], [3.0]]}
    rows = read_rows((inputs, [0, 1, 0]))
    batch, labels = next(iter(rows.fixed_part(np.array([1, 2]))))
    assert batch["text"].numpy().tolist() == [b"b c", "é".encode()]
    assert batch["numbers"].dtype == "float32"
    assert labels.numpy().tolist() == [1, 0]


def test_a_loader_that_shuffles_is_read_in_its_first_order():
    examples = tf.data.Dataset.range(9).map(lambda i: (i, i % 2))
    train = make_dataset(
        examples,
        lambda i: tf.fill((4, 4, 3), tf.cast(i, tf.uint8)),
        Preparation(batch_size=4),
        training=True,
        class_names=["even", "odd"],
    )
    rows = read_rows(train)
    images, labels = read_all(rows.fixed_part(np.arange(9)))
    assert images[:, 0, 0, 0].tolist() == list(range(9))
    assert rows.labels.tolist() == labels.tolist() == [0, 1] * 4 + [0]
    assert rows.class_names == ["even", "odd"]


def test_a_dataset_and_its_arrays_differ_in_digest_from_other_rows(numbered):
    first = read_rows(batched(numbered)).digest
    assert first == read_rows(batched(numbered)).digest
    changed = numbered[0].copy()
    changed[7, 1] += 1
    assert first != read_rows(batched((changed, *numbered[1:]))).digest
    texts = np.array(["a", "bc"], object)
    assert digest_arrays([texts]) != digest_arrays([texts[::-1]])


@pytest.mark.parametrize(
    "data", [np.zeros((4, 2)), 3, {"x": [1], "y": [0]}, (1, 2, 3, 4)]
)
def test_what_is_no_data_is_refused(data):
    with pytest.raises(TypeError, match="Received: data of type"):
        read_rows(data)


@pytest.mark.parametrize(
    "data",
    [
        (np.zeros((4, 2)), np.zeros(3)),
        (np.zeros((0, 2)), np.zeros(0)),
        (np.zeros((4, 2)), np.zeros(4), np.zeros(1)),
        ({"a": np.zeros(4), "b": np.zeros(5)}, np.zeros(4)),
        (np.zeros((4, 2)), 1),
    ],
)
def test_lengths_that_differ_and_no_rows_are_refused(data):
    with pytest.raises(ValueError, match=r"Received: arrays of shapes \["):
        read_rows(data)


def test_datasets_without_end_or_rows_are_refused(numbered):
    with pytest.raises(ValueError, match="Received: an endless dataset"):
        read_rows(batched(numbered).repeat())
    with pytest.raises(ValueError, match="Received: an empty dataset"):
        read_rows(batched(numbered).take(0))


def test_unbatched_datasets_are_refused(numbered):
    with pytest.raises(
        ValueError, match=r"Received: .*\(2,\), \(\), \(\).*batch\(32\)"
    ):
        read_rows(tf.data.Dataset.from_tensor_slices(numbered))
    one_hot = (numbered[0], np.eye(3)[numbered[1]])
    with pytest.raises(ValueError, match=r"Received: .*\(2,\), \(3,\).*batch\(32\)"):
        read_rows(tf.data.Dataset.from_tensor_slices(one_hot))


def test_datasets_without_labels_are_refused(numbered):
    with pytest.raises(ValueError, match="Received: a dataset with elements Tensor"):
        read_rows(batched(numbered).map(lambda x, y, w: x))


def test_datasets_of_ragged_tensors_or_several_labels_are_refused(numbered):
    ragged = tf.ragged.constant([[1.0], [2.0, 3.0]])
    data = tf.data.Dataset.from_tensors((ragged, [0, 1]))
    with pytest.raises(ValueError, match="Received: .*RaggedTensorSpec.*dense ones"):
        read_rows(data)
    data = batched(numbered).map(lambda x, y, w: (x, {"a": y, "b": y}))
    with pytest.raises(ValueError, match="one tensor of labels. Received: "):
        read_rows(data)


def test_a_dataset_in_another_order_each_time_is_refused(numbered):
    data = tf.data.Dataset.from_tensor_slices(numbered).shuffle(23).batch(5)
    with pytest.raises(
        ValueError, match="Received: .*reading differs, first in batch 0"
    ):
        read_rows(data)
    reads = iter(range(2))

    def shrinking():
        left = 9 - next(reads)
        yield from zip(*(part[:left] for part in numbered), strict=True)

    spec = tuple(tf.TensorSpec(part.shape[1:], part.dtype) for part in numbered)
    data = tf.data.Dataset.from_generator(shrinking, output_signature=spec).batch(4)
    with pytest.raises(ValueError, match="differs, first in the number of batches"):
        read_rows(data)


def test_augmented_loaders_are_refused():
    data = batched((np.zeros((4, 2)), np.zeros(4)))
    data.augmented = True
    with pytest.raises(ValueError, match="Received: a dataset that changes its images"):
        read_rows(data)


def test_rows_of_several_shapes_are_refused():
    def batches():
        yield np.zeros((2, 4), "float32"), np.zeros(2)
        yield np.zeros((2, 5), "float32"), np.zeros(2)

    spec = (tf.TensorSpec((None, None)), tf.TensorSpec((None,), tf.float64))
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    with pytest.raises(ValueError, match="Received: batches with rows of 2 shapes"):
        read_rows(data)


def test_parts_can_be_fitted(numbered, build):
    data = (np.repeat(numbered[0], 2, axis=1), numbered[1])
    part = rows_of(data, "dataset").training_part(CHOSEN, seed=0)
    history = build()().fit(part, epochs=3, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 3
    assert isinstance(history, keras.callbacks.History)
