import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export import format_rows
from tftransfer.export.format_rows import take_proof_rows, take_representative
from tftransfer.export.inputs import read_input
from tftransfer.resizing import build_resizing, resize_images
from tftransfer.tasks import Task

TASK = Task("classification", 3)


@pytest.fixture
def image_input(small_model):
    return read_input(small_model())  # resizes to 32 x 24


def test_images_are_resized_as_the_model_does_and_rounded(image_input, photo):
    images = [photo(32, 24, seed=1), photo(50, 61, seed=2)]
    rows, labels = take_proof_rows(images, image_input, TASK)
    assert rows.shape == (2, 32, 24, 3) and rows.dtype == np.uint8
    assert labels is None
    np.testing.assert_array_equal(rows[0], images[0])
    expected = np.rint(resize_images(images[1], build_resizing((32, 24))))
    np.testing.assert_array_equal(rows[1], expected)


@pytest.mark.parametrize("batch_size", [None, 2])
def test_labels_come_with_the_rows_batched_or_not(image_input, photo, batch_size):
    images = np.stack([photo(32, 24, seed=seed) for seed in range(5)])
    dataset = tf.data.Dataset.from_tensor_slices((images, [2, 0, 1, 1, 0]))
    dataset = dataset.batch(batch_size) if batch_size else dataset
    rows, labels = take_proof_rows(dataset, image_input, TASK)
    np.testing.assert_array_equal(rows, images)
    assert labels.tolist() == [2, 0, 1, 1, 0]


def test_one_hot_labels_become_class_numbers(image_input, photo):
    images = np.stack([photo(32, 24)] * 2)
    dataset = tf.data.Dataset.from_tensors((images, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    assert take_proof_rows(dataset, image_input, TASK)[1].tolist() == [2, 0]


def test_labels_of_pairs_are_not_those_of_the_first(image_input, photo):
    images = np.stack([photo(32, 24)] * 2)
    dataset = tf.data.Dataset.from_tensors(((images, images + 1), [0, 1]))
    rows, labels = take_proof_rows(dataset, image_input, TASK)
    np.testing.assert_array_equal(rows, images)
    assert labels is None


def test_rows_are_as_many_as_can_be_afforded(image_input, photo, monkeypatch):
    monkeypatch.setattr(format_rows, "MOST_BYTES", 4 * 32 * 24 * 3)
    images = [photo(32, 24)] * 9
    assert len(take_proof_rows(images, image_input, TASK)[0]) == 4
    monkeypatch.setattr(format_rows, "MOST_REPRESENTATIVE", 3)
    assert len(take_representative(images, image_input)) == 3


def test_rows_are_made_where_there_are_none(image_input):
    rows, labels = take_proof_rows(None, image_input, TASK)
    assert rows.shape == (6, 32, 24, 3) and labels is None


def test_texts_become_one_array():
    model_input = read_input(
        keras.Sequential([keras.Input((), dtype="string"), Length()])
    )
    rows, _ = take_proof_rows(["good", "nicht übel"], model_input, TASK)
    assert rows.tolist() == ["good", "nicht übel"]
    assert tf.constant(rows).numpy()[1] == "nicht übel".encode()


class Length(keras.layers.Layer):
    def call(self, texts):
        return tf.strings.length(texts)[:, None]

    def compute_output_spec(self, texts):
        return keras.KerasTensor((None, 1))


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([], ValueError, "Received: representative_data with 0 rows"),
        (3, TypeError, "Received: representative_data=3 of type int"),
        ([np.zeros((4, 4), "uint8")], ValueError, "a row of shape .4, 4."),
    ],
)
def test_what_is_no_rows_is_refused_by_name(image_input, data, error, words):
    with pytest.raises(error, match=words) as raised:
        take_representative(data, image_input)
    assert "`representative_data` must" in str(raised.value)


def test_labels_that_do_not_fit_the_task_are_refused(image_input, photo):
    dataset = tf.data.Dataset.from_tensors((photo(32, 24)[None], [3]))
    with pytest.raises(ValueError, match=r"Received: labels=\[3\]"):
        take_proof_rows(dataset, image_input, TASK)
