import keras
import numpy as np
import pytest

from tftransfer.explanation.maps import resize_heat, seen_box, to_heat, weigh_channels


def test_channels_are_weighed_row_by_row(rng):
    feature_map, weights = rng.normal(size=(3, 4, 5, 6)), rng.normal(size=(3, 6))
    expected = np.stack([(feature_map[i] * weights[i]).sum(axis=-1) for i in range(3)])
    np.testing.assert_allclose(
        weigh_channels(feature_map, weights), expected, rtol=1e-4, atol=1e-5
    )


def test_heat_is_the_positive_part_up_to_one(rng):
    maps = rng.normal(size=(3, 4, 5))
    heat = keras.ops.convert_to_numpy(to_heat(maps))
    for row in range(3):
        expected = np.maximum(maps[row], 0) / maps[row].max()
        np.testing.assert_allclose(heat[row], expected, rtol=1e-5)


def test_no_evidence_is_cold_and_finite():
    assert not np.any(to_heat(-np.ones((1, 2, 2))))


def test_heat_is_laid_into_its_box(rng):
    heat = np.ones((2, 3, 3), "float32")
    found = keras.ops.convert_to_numpy(resize_heat(heat, (1, 2, 4, 5), (6, 9)))
    expected = np.zeros((6, 9))
    expected[1:5, 2:7] = 1
    np.testing.assert_array_equal(found, np.stack([expected] * 2))


def test_what_lies_beyond_the_image_is_cut_off():
    heat = np.array([[[0.0], [0.5], [1.0], [0.0]]], "float32")  # rows of the box
    found = keras.ops.convert_to_numpy(resize_heat(heat, (-1, 0, 4, 2), (2, 2)))
    np.testing.assert_allclose(found[0], [[0.5, 0.5], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("size", "resizing"),
    [((40, 60), (8, 8)), ((61, 40), (8, 8)), ((50, 50), (6, 9)), ((33, 70), (10, 7))],
)
def test_the_box_is_what_keras_shows(size, resizing):
    layer = keras.layers.Resizing(*resizing, crop_to_aspect_ratio=True)
    top, left, height, width = seen_box(size, layer)
    images = np.random.default_rng(0).random((1, *size, 3)).astype("float32")
    part = images[:, top : top + height, left : left + width]
    np.testing.assert_allclose(
        layer(images), keras.layers.Resizing(*resizing)(part), atol=1e-5
    )


def test_the_box_of_a_padded_image_is_larger():
    layer = keras.layers.Resizing(8, 8, pad_to_aspect_ratio=True)
    assert seen_box((40, 60), layer) == (-10, 0, 60, 60)


def test_without_resizing_all_is_seen():
    assert seen_box((40, 60), None) == (0, 0, 40, 60)
