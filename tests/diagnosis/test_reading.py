import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.diagnosis.reading import KEPT_ROWS, digest_rows, read_rows


def test_rows_are_spread_over_all_of_the_data():
    numbers = np.arange(5000, dtype="float32")[:, None]
    rows = read_rows("data", (numbers, np.arange(5000)), 32)
    assert rows.num_kept == KEPT_ROWS
    kept = rows.inputs[:, 0]
    assert kept[0] < 100
    assert kept[-1] > 4500
    assert np.diff(kept).max() < 400
    np.testing.assert_array_equal(kept, rows.labels)


@pytest.mark.parametrize("batch_size", [7, 200])
def test_a_dataset_and_arrays_are_read_alike(batch_size):
    numbers, labels = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50)
    data = tf.data.Dataset.from_tensor_slices((numbers, labels)).batch(batch_size)
    one = read_rows("data", data, 32)
    two = read_rows("data", (numbers, labels), batch_size)
    assert one.digests == two.digests
    assert one.batch_sizes == two.batch_sizes
    assert one.num_batches == two.num_batches == -(-50 // batch_size)
    np.testing.assert_array_equal(one.inputs, two.inputs)
    np.testing.assert_array_equal(one.all_labels, labels)


def test_parts_of_other_lengths_are_kept_each():
    data = tf.data.Dataset.from_tensors(
        ((np.zeros((32, 2)), np.zeros((4, 2))), np.arange(32))
    )
    rows = read_rows("data", data, 32)
    assert [len(part) for part in rows.inputs] == [32, 4]
    assert rows.usual_batch == 4


def test_equal_rows_have_equal_digests():
    one, two, other = digest_rows(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]]))
    assert one == two != other
    one, two, other = digest_rows(np.array([b"a", b"a", b"b"], object))
    assert one == two != other


def test_batches_by_index_are_read():
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return np.full((2, 1), index), np.full(2, index)

    rows = read_rows("data", Batches(), 32)
    np.testing.assert_array_equal(rows.all_labels, [0, 0, 1, 1, 2, 2])
    assert rows.whole
