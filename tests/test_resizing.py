"""Resizing against TensorFlow's own function, and the traps around it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.resizing import INTERPOLATIONS, build_resizing, resize_images

ANTIALIASED = ("bicubic", "bilinear", "lanczos3", "lanczos5")
each_interpolation = pytest.mark.parametrize("interpolation", INTERPOLATIONS)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 20, 30, 3), dtype="uint8")


def graph_of(layer):
    """The layer as a loader or an export runs it: no static size."""
    return tf.function(
        lambda pixels: resize_images(pixels, layer),
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
    )


@each_interpolation
@pytest.mark.parametrize("size", [(7, 9), (41, 35)], ids=["smaller", "larger"])
def test_pixels_equal_tensorflow(images, interpolation, size):
    layer = build_resizing(size, interpolation=interpolation)
    expected = tf.image.resize(
        images, size, method=interpolation, antialias=interpolation in ANTIALIASED
    )
    expected = tf.cast(expected, "float32")
    np.testing.assert_array_equal(resize_images(images, layer), expected)
    np.testing.assert_array_equal(graph_of(layer)(images), expected)


def test_halving_is_filtered_by_hand():
    # Half size, triangle filter over four pixels: weights 1/8, 3/8, 3/8, 1/8.
    row = np.array([0, 80, 160, 240, 8, 16], "float32")
    halved = resize_images(row.reshape(1, 6, 1), build_resizing((1, 3)))
    middle = (80 + 3 * 160 + 3 * 240 + 8) / 8
    assert float(halved[0, 1, 0]) == pytest.approx(middle)


@each_interpolation
def test_the_right_size_is_left_alone(images, interpolation):
    layer = build_resizing((20, 30), interpolation=interpolation)
    atol = 1e-4 if interpolation.startswith("lanczos") else 0
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layer(inputs))
    for resized in (
        resize_images(images, layer),
        graph_of(layer)(images),
        model(images.astype("float32")),
    ):
        np.testing.assert_allclose(resized, images, atol=atol, rtol=0)


def test_resizing_twice_equals_once(images):
    layer = build_resizing((8, 8))
    once = resize_images(images, layer)
    np.testing.assert_array_equal(resize_images(once, layer), once)


def test_a_model_an_image_and_a_batch_agree(images):
    layer = build_resizing((9, 7))
    batch = resize_images(images, layer)
    inputs = keras.Input((None, None, 3))
    predicted = keras.Model(inputs, layer(inputs)).predict(
        images.astype("float32"), verbose=0
    )
    np.testing.assert_allclose(predicted, batch, atol=1e-4)
    np.testing.assert_array_equal(resize_images(images[1], layer), batch[1])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16", "float64"])
def test_every_dtype_gives_the_same_unrounded_float32(images, dtype):
    layer = build_resizing((7, 9))
    resized = resize_images(images.astype(dtype), layer)
    assert resized.dtype == "float32"
    expected = resize_images(images.astype("float32"), layer)
    np.testing.assert_array_equal(resized, expected)
    assert np.any(np.asarray(resized) % 1)


def test_keras_alone_would_round_uint8():
    # The trap that `resize_images` is there for.
    pixels = np.array([[[0], [255]]], "uint8")
    layer = build_resizing((1, 1))
    assert layer(pixels).dtype == "uint8"
    assert float(resize_images(pixels, layer)[0, 0, 0]) == 127.5


@pytest.mark.parametrize("shape", [(20, 30), (30, 20)], ids=["wide", "high"])
def test_crop_cuts_the_middle_before_it_resizes(rng, shape):
    image = rng.integers(0, 256, (*shape, 3)).astype("float32")
    middle = image[:, 5:25] if shape == (20, 30) else image[5:25]
    cropped = resize_images(image, build_resizing((8, 8), crop=True))
    expected = tf.image.resize(middle, (8, 8), antialias=True)
    np.testing.assert_array_equal(cropped, expected)


def test_without_crop_everything_is_squeezed_in():
    image = np.zeros((10, 40, 1), "float32")
    image[:, :5] = 255  # an edge that a crop would cut off
    kept = resize_images(image, build_resizing((10, 10)))
    cut = resize_images(image, build_resizing((10, 10), crop=True))
    assert float(kept[0, 0, 0]) > 200
    assert float(np.max(cut)) == 0


def test_the_layer_survives_its_configuration(images):
    layer = build_resizing((7, 9), interpolation="lanczos3", crop=True, name="shrink")
    again = keras.layers.Resizing.from_config(layer.get_config())
    assert again.name == "shrink"
    np.testing.assert_array_equal(
        resize_images(images, again), resize_images(images, layer)
    )


def test_mixed_precision_does_not_touch_pixels(images):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        layer = build_resizing((7, 9))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert resize_images(images, layer).dtype == "float32"


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(
        ValueError, match="Received: interpolation='bilinar'. Did you mean 'bilinear'"
    ):
        build_resizing(32, interpolation="bilinar")


def test_a_wrong_size_is_refused():
    with pytest.raises(ValueError, match=r"Received: image_size=\(0, 4\)"):
        build_resizing((0, 4))


def test_models_that_resize_are_not_compiled_by_xla_which_cannot(rng):
    images = keras.Input((None, None, 3))
    x = build_resizing((4, 4))(images, training=False)
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
        model.compile("sgd", "mse", jit_compile=True)
    assert not model.jit_compile
    model.evaluate(rng.uniform(size=(2, 9, 7, 3)), np.zeros((2, 3)), verbose=0)
