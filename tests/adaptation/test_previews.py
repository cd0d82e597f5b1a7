import pathlib

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tftransfer.adaptation.previews import describe_calls, pick_inputs
from tftransfer.data.unlabeled import UnlabeledDomain

PIXELS = np.arange(5 * 2 * 2 * 3, dtype="uint8").reshape(5, 2, 2, 3)


def test_bytes_of_images_stay_as_they_are():
    found = pick_inputs(PIXELS, [3, 1], 5)
    np.testing.assert_array_equal(found, PIXELS[[3, 1]])
    assert found[0].dtype == np.uint8


@pytest.mark.parametrize(
    "scale", [lambda x: x.astype("float32"), lambda x: x / 255, lambda x: x.astype(int)]
)
def test_other_numbers_become_bytes(scale):
    images = PIXELS * 4
    found = pick_inputs(scale(images), [0, 4], 5)
    np.testing.assert_array_equal(found, images[[0, 4]])
    assert found[0].dtype == np.uint8


def test_standardized_pixels_are_stretched_by_one_rule():
    images = np.array([[[-1.0, 0.0]], [[0.0, 1.0]]])
    first, second = pick_inputs(images, [0, 1], 2)
    assert first.tolist() == [[0, 128]] and second.tolist() == [[128, 255]]


def test_texts_paths_features_and_dictionaries_stay_what_they_are():
    path = pathlib.Path("a.png")
    found = pick_inputs(["a", b"\xc3\xa9", path, {"x": 1}, np.arange(3)], range(5), 5)
    assert found[:4] == ["a", "é", path, {"x": 1}]
    assert found[4].tolist() == [0, 1, 2]
    (row,) = pick_inputs(sparse.csr_array(np.eye(4)), [2], 4)
    assert row.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("wrap", [lambda dataset: dataset, UnlabeledDomain])
def test_rows_of_a_dataset_are_found_across_batches(wrap, capsys):
    pairs = tf.data.Dataset.from_tensor_slices((PIXELS, np.arange(5)))
    found = pick_inputs(wrap(pairs.batch(2)), [4, 0], 5)
    np.testing.assert_array_equal(found, PIXELS[[4, 0]])


def test_texts_of_a_dataset_are_read():
    texts = tf.data.Dataset.from_tensor_slices(["one", "two", "three"]).batch(2)
    assert pick_inputs(texts, [2, 0], 3) == ["three", "one"]


def test_a_dataset_that_is_shuffled_is_refused():
    dataset = tf.data.Dataset.from_tensor_slices(PIXELS).shuffle(5).batch(2)
    with pytest.raises(ValueError, match="Received: inputs that are shuffled"):
        pick_inputs(dataset, [0], 5)


@pytest.mark.parametrize(
    "inputs", [PIXELS, tf.data.Dataset.from_tensor_slices(PIXELS).batch(2), ["a"] * 5]
)
def test_inputs_of_another_number_are_refused(inputs):
    with pytest.raises(ValueError, match="hold the 6 target rows .* with 5 rows"):
        pick_inputs(inputs, [0], 6)


def test_without_inputs_the_row_and_the_calls_are_shown():
    calls = {"control": np.array([0, 1]), "E10": np.array([0, 0])}
    assert describe_calls(calls, 1, ["ant", "bee"]) == {
        "row": 1,
        "control": "bee",
        "E10": "ant",
    }
