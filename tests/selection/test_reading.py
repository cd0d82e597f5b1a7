"""Arrays and datasets read into rows, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.pipelines import Preparation, make_dataset
from tftransfer.selection.reading import digest_arrays, read_rows


def test_texts_and_structures_are_taken():
    inputs = {"text": ["a", "b c", "é"], "numbers": [[1.0], [2.0], [3.0]]}
    rows = read_rows((inputs, [0, 1, 0]))
    batch, labels = next(iter(rows.fixed_part(np.array([1, 2]))))
    assert batch["text"].numpy().tolist() == [b"b c", "é".encode()]
    assert batch["numbers"].dtype == "float32"
    assert labels.numpy().tolist() == [1, 0]


def test_a_loader_that_shuffles_is_read_in_its_first_order(read_all):
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


def test_a_dataset_and_its_arrays_differ_in_digest_from_other_rows(numbered, batched):
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


def test_datasets_without_end_or_rows_are_refused(numbered, batched):
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


def test_datasets_without_labels_are_refused(numbered, batched):
    with pytest.raises(ValueError, match="Received: a dataset with elements Tensor"):
        read_rows(batched(numbered).map(lambda x, y, w: x))


def test_datasets_of_ragged_tensors_or_several_labels_are_refused(numbered, batched):
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


def test_augmented_loaders_are_refused(batched):
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
