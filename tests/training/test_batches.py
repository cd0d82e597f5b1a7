import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.training.batches import read_data


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return np.full((2, 4), index), np.array([0, 1])


def test_arrays_come_in_batches_of_32(arrays):
    data = read_data("train", list(arrays))
    sizes = [len(labels) for _, labels in data.batches()]
    assert sizes == [32, 32, 16]
    assert data.num_batches == 3
    assert data.fit_arguments["batch_size"] == 32
    np.testing.assert_array_equal(next(data.batches())[0], arrays[0][:32])


def test_arrays_may_carry_weights_and_nested_inputs(arrays):
    data = read_data("train", ({"a": arrays[0]}, arrays[1], np.ones(80)))
    inputs, labels, weights = next(data.batches())
    assert inputs["a"].shape == (32, 6)
    assert len(labels) == len(weights) == 32
    assert set(data.fit_arguments) == {"x", "y", "sample_weight", "batch_size"}


@pytest.mark.parametrize(
    "texts", [["one", "two"], np.array(["one", "two"]), np.array([b"one", b"two"])]
)
def test_texts_become_objects(texts):
    inputs, _ = next(read_data("train", (texts, np.array([0, 1]))).batches())
    assert inputs.dtype == object
    assert inputs.tolist() in (["one", "two"], [b"one", b"two"])


def test_datasets_pass_as_they_are(arrays):
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(30)
    data = read_data("train", dataset)
    assert data.fit_arguments == {"x": dataset, "shuffle": False}
    assert data.num_batches == 3
    assert not data.is_endless
    assert len(list(data.batches())) == 3


def test_unknown_and_endless_lengths_are_told_apart(arrays):
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(30)
    unknown = read_data("train", dataset.filter(lambda x, y: True))
    endless = read_data("train", dataset.repeat())
    assert unknown.num_batches is endless.num_batches is None
    assert (unknown.is_endless, endless.is_endless) == (False, True)


def test_keras_datasets_give_their_batches():
    data = read_data("train", Sequence())
    assert data.num_batches == 3
    assert not data.is_endless
    assert [float(x[0, 0]) for x, _ in data.batches()] == [0, 1, 2]


@pytest.mark.parametrize(
    "data", [None, np.zeros((3, 2)), (np.zeros(3),), "folder", iter([1]), {"x": 1}]
)
def test_other_kinds_of_data_are_refused(data):
    with pytest.raises(TypeError, match="`valid` must be a batched .* Received: valid"):
        read_data("valid", data)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(
        ValueError, match=r"one row .* Received: shapes \(\(3, 2\), \(4"
    ):
        read_data("train", (np.zeros((3, 2)), np.zeros(4)))
