import keras
import numpy as np
import pytest

from tftransfer.backbones.widening import (
    copy_weights_widened,
    widen_first_kernel,
    widen_statistics,
)


@pytest.fixture
def kernel(rng):
    return rng.normal(size=(3, 3, 3, 5)).astype("float32")


def small_network(channels, filters=4):
    return keras.Sequential(
        [
            keras.Input((8, 8, channels)),
            keras.layers.Normalization(),
            keras.Sequential([keras.layers.Conv2D(filters, 3, padding="same")]),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


def test_grey_kernel_is_the_sum_over_the_colors(kernel):
    widened = widen_first_kernel(kernel, 1)
    assert widened.shape == (3, 3, 1, 5)
    np.testing.assert_allclose(
        widened[:, :, 0], kernel[:, :, 0] + kernel[:, :, 1] + kernel[:, :, 2], 1e-6
    )


@pytest.mark.parametrize("channels", [2, 3, 4, 6, 12])
def test_channels_repeat_the_colors_and_are_rescaled(kernel, channels):
    widened = widen_first_kernel(kernel, channels)
    assert widened.dtype == kernel.dtype
    for channel in range(channels):
        np.testing.assert_allclose(
            widened[:, :, channel], kernel[:, :, channel % 3] * 3 / channels, 1e-6
        )


@pytest.mark.parametrize("repeats", [2, 4])
def test_repeated_images_give_the_same_activations(kernel, rng, repeats):
    image = rng.normal(size=(3, 3, 3)).astype("float32")
    wanted = np.tensordot(image, kernel, 3)
    wide = np.tensordot(
        np.tile(image, repeats), widen_first_kernel(kernel, 3 * repeats), 3
    )
    np.testing.assert_allclose(wide, wanted, rtol=1e-4, atol=1e-5)


def test_statistics_repeat_and_grey_takes_their_mean():
    assert widen_statistics((1, 2, 6), 1) == [3.0]
    assert widen_statistics((1, 2, 6), 2) == [1.0, 2.0]
    assert widen_statistics((1, 2, 6), 5) == [1.0, 2.0, 6.0, 1.0, 2.0]


def test_wrong_kernels_and_channels_are_refused(kernel):
    with pytest.raises(ValueError, match=r"Received: kernel.shape=\(3, 3, 4, 5\)"):
        widen_first_kernel(np.zeros((3, 3, 4, 5)), 1)
    with pytest.raises(ValueError, match="Received: in_channels=0"):
        widen_first_kernel(kernel, 0)
    with pytest.raises(TypeError, match="Received: in_channels=1.5"):
        widen_statistics((1, 2, 3), 1.5)


def test_copied_network_gives_on_grey_what_the_original_gives_on_repeated_grey(rng):
    color, grey = small_network(3), small_network(1)
    color.layers[0].adapt(rng.uniform(0, 255, (20, 8, 8, 1)).repeat(3, axis=-1))
    image = rng.uniform(0, 255, (2, 8, 8, 1)).astype("float32")
    copy_weights_widened(color, grey)
    np.testing.assert_allclose(
        grey(image), color(image.repeat(3, axis=-1)), rtol=1e-4, atol=1e-5
    )


def test_reversed_colors_reverse_the_first_kernel(rng):
    color, wide = small_network(3), small_network(6)
    image = rng.uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    copy_weights_widened(color, wide, reverse_colors=True)
    reversed_twice = np.tile(image[..., ::-1], 2)
    np.testing.assert_allclose(wide(reversed_twice), color(image), rtol=1e-4, atol=1e-5)


def test_different_networks_are_refused():
    with pytest.raises(ValueError, match="Received: 1 layers with weights against 3"):
        copy_weights_widened(
            small_network(3),
            keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]),
        )
    with pytest.raises(ValueError, match=r"Received: layer 'conv2d\w*' with weights"):
        copy_weights_widened(small_network(3), small_network(3, filters=5))
