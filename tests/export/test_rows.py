import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export.inputs import read_input
from tftransfer.export.rows import MOST_ROWS, make_rows, take_rows


@pytest.fixture
def images(small_model):
    return read_input(small_model())


@pytest.fixture
def numbers():
    inputs = keras.Input((None, 3))
    return read_input(keras.Model(inputs, keras.layers.Dense(2)(inputs)))


@pytest.fixture
def texts():
    inputs = keras.Input((1,), dtype="string")
    return read_input(keras.Model(inputs, keras.layers.Identity()(inputs)))


def test_made_images_differ_in_size_and_are_the_same_each_time(images):
    rows = take_rows(None, images)
    assert len({row.shape for row in rows}) == len(rows) >= 4
    assert all(row.dtype == np.uint8 for row in rows)
    for row, again in zip(rows, make_rows(images), strict=True):
        np.testing.assert_array_equal(row, again)


def test_made_rows_fit_models_of_numbers_and_texts(numbers, texts):
    assert {row.shape for row in make_rows(numbers)} == {(8, 3)}
    assert {row.shape for row in make_rows(texts)} == {(1,)}


def test_rows_of_a_labeled_dataset_are_its_images(images):
    pixels = np.arange(5 * 4 * 4 * 3, dtype="float32").reshape(5, 4, 4, 3)
    dataset = tf.data.Dataset.from_tensor_slices((pixels, range(5)))
    for given in (dataset, dataset.batch(2), dataset.batch(2).map(lambda x, _: x)):
        rows = take_rows(given, images)
        np.testing.assert_array_equal(np.stack(rows), pixels.astype("uint8"))


def test_of_a_domain_pair_the_source_is_taken(images):
    source, target = np.ones((2, 4, 4, 3), "uint8"), np.zeros((2, 4, 4, 3), "uint8")
    dataset = tf.data.Dataset.from_tensors(((source, target), [0, 1]))
    assert np.min(take_rows(dataset, images)) == 1


def test_at_most_some_rows_are_taken(images):
    assert len(take_rows(np.zeros((100, 4, 4, 3), "uint8"), images)) == MOST_ROWS


def test_float_pixels_are_rounded_to_what_a_file_holds(images):
    pixels = np.array([-3.0, 0.4, 0.6, 254.6, 255.4, 300]).reshape(1, 1, 2, 3)
    (row,) = take_rows(pixels, images)
    assert row.ravel().tolist() == [0, 0, 1, 255, 255, 255]
    assert row.dtype == np.uint8


def test_list_may_hold_different_sizes(images, photo):
    rows = take_rows([photo(5, 6), photo(7, 8)], images)
    assert [row.shape for row in rows] == [(5, 6, 3), (7, 8, 3)]


def test_texts_are_taken_as_they_are():
    inputs = keras.Input((), dtype="string")
    model = read_input(keras.Model(inputs, keras.layers.Identity()(inputs)))
    rows = take_rows(["good", "bad"], model)
    assert [str(row) for row in rows] == ["good", "bad"]
    dataset = tf.data.Dataset.from_tensor_slices((["good", "bad"], [1, 0])).batch(2)
    assert take_rows(dataset, model) == [b"good", b"bad"]


@pytest.mark.parametrize("given", [[], np.zeros((0, 4, 4, 3))])
def test_no_rows_are_refused(images, given):
    with pytest.raises(ValueError, match="Received: examples with 0 rows"):
        take_rows(given, images)


@pytest.mark.parametrize("shape", [(2, 4, 4, 1), (2, 4, 4), (7,)])
def test_rows_of_another_shape_are_refused(images, shape):
    with pytest.raises(ValueError, match="Received: a row of shape"):
        take_rows(np.zeros(shape, "uint8"), images)


def test_what_holds_no_rows_is_refused(images):
    with pytest.raises(TypeError, match="Received: examples=7 of type int"):
        take_rows(7, images)
