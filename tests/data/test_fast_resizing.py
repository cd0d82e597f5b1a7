import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.fast_resizing import KERNELS, resize_as
from tftransfer.resizing import INTERPOLATIONS, build_resizing

SIZES = [(7, 41), (20, 9), (20, 30)]  # one side may grow, stay, or both


def graph(resize, shape, dtype="uint8"):
    return tf.function(resize, input_signature=[tf.TensorSpec(shape, dtype)])


def in_the_model(layer, images):
    """Pixels as the model's first layer makes them, sizes not known beforehand."""
    return graph(lambda x: layer(tf.cast(x, "float32")), (None, None, None, 3))(images)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 20, 30, 3), dtype="uint8")


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_the_model_to_the_last_bit(images, size, interpolation):
    layer = build_resizing(size, interpolation=interpolation)
    wanted = in_the_model(layer, images)
    np.testing.assert_array_equal(resize_as(layer, images), wanted)
    unknown = graph(lambda x: resize_as(layer, x), (None, None, None, 3))
    np.testing.assert_array_equal(unknown(images), wanted)


@pytest.mark.parametrize(
    ("side", "size", "bound"),
    [
        (32, 224, 1e-4),
        (28, 224, 1e-4),
        (29, 327, 0.002),
        (127, 355, 0.008),
        (254, 344, 0.016),
    ],
)
def test_enlarged_pixels_are_those_of_the_model_within_the_bound(
    rng, side, size, bound
):
    # Black and white noise is the worst that can come.
    images = (255 * rng.integers(0, 2, (1, side, side, 3))).astype("uint8")
    layer = build_resizing(size)
    wanted = in_the_model(layer, images)
    for height in (side, None):
        found = graph(lambda x: resize_as(layer, x), (None, height, height, 3))(images)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=bound if height else 0)
        assert found.dtype == tf.float32


def test_large_images_are_exact_when_enlarged_too(rng):
    images = rng.integers(0, 256, (1, 300, 8, 3), dtype="uint8")
    layer = build_resizing((301, 9))
    np.testing.assert_array_equal(resize_as(layer, images), in_the_model(layer, images))


def test_sides_unlike_each_other_are_exact_for_every_filter(images):
    for interpolation in KERNELS:
        layer = build_resizing((60, 13), interpolation=interpolation)
        np.testing.assert_array_equal(
            resize_as(layer, images), in_the_model(layer, images)
        )


def test_one_image_and_one_channel_go_the_same_way(images):
    layer = build_resizing((7, 9))
    whole = resize_as(layer, images).numpy()
    np.testing.assert_array_equal(resize_as(layer, images[1]), whole[1])
    np.testing.assert_array_equal(resize_as(layer, images[..., :1]), whole[..., :1])


@pytest.mark.parametrize("dtype", ["int16", "int64", "float16", "float64"])
def test_every_number_type_gives_float32(images, dtype):
    layer = build_resizing((7, 9))
    found = resize_as(layer, images.astype(dtype))
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, resize_as(layer, images))


def test_layers_that_do_more_are_called_as_they_are(images):
    class Brighter(keras.layers.Resizing):
        def call(self, data):
            return super().call(data) + 1

    plain = build_resizing((7, 9))
    brighter = Brighter(7, 9, antialias=True, dtype="float32")
    np.testing.assert_array_equal(
        resize_as(brighter, images), resize_as(plain, images) + 1
    )
    padded = keras.layers.Resizing(7, 9, pad_to_aspect_ratio=True, antialias=True)
    for layer in (build_resizing((7, 9), crop=True), padded):
        np.testing.assert_array_equal(
            resize_as(layer, images), in_the_model(layer, images)
        )


def test_the_right_size_is_left_alone(images):
    found = resize_as(build_resizing((20, 30)), images)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, images)
