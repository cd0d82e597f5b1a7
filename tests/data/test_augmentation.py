import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.augmentation import AUGMENTATIONS, augment_image

NAMES = sorted(AUGMENTATIONS)


def square_image():
    return np.random.default_rng(0).integers(0, 256, (16, 16, 3), "uint8")


@pytest.mark.parametrize("name", NAMES)
def test_eager_and_mapped_results_are_equal(name):
    image = square_image()
    seeds = np.array([[0, i] for i in range(8)])
    eager = [augment_image(image, seed, (name,)).numpy() for seed in seeds]
    mapped = tf.data.Dataset.from_tensor_slices(seeds).map(
        lambda seed: augment_image(image, seed, (name,))
    )
    for one, other in zip(eager, mapped.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_decide_and_shape_and_dtype_stay(name):
    image = square_image()
    results = [augment_image(image, (0, i), (name,)) for i in range(12)]
    assert all(r.shape == image.shape and r.dtype == tf.uint8 for r in results)
    np.testing.assert_array_equal(results[0], augment_image(image, (0, 0), (name,)))
    assert len({r.numpy().tobytes() for r in results}) > 1


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("flip", lambda x: [x, x[:, ::-1]]),
        ("flip_vertical", lambda x: [x, x[::-1]]),
        ("rotate90", lambda x: [np.rot90(x, k) for k in range(4)]),
    ],
)
def test_geometry_is_one_of_the_known_moves_and_all_occur(name, candidates):
    wanted = {np.ascontiguousarray(c).tobytes() for c in candidates(square_image())}
    seen = {
        augment_image(square_image(), (0, i), (name,)).numpy().tobytes()
        for i in range(40)
    }
    assert seen == wanted


def test_oblong_images_keep_their_shape_when_turned():
    image = square_image()[:8]
    seen = {
        augment_image(image, (0, i), ("rotate90",)).numpy().tobytes() for i in range(20)
    }
    assert seen == {image.tobytes(), np.rot90(image, 2).tobytes()}


def test_crop_is_a_window_of_the_mirrored_image():
    image = square_image()
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    windows = {
        padded[y : y + 16, x : x + 16].tobytes() for y in range(5) for x in range(5)
    }
    for i in range(10):
        assert augment_image(image, (0, i), ("crop",)).numpy().tobytes() in windows


def test_brightness_adds_one_value_and_clips():
    image = np.full((4, 4, 3), 100, "float32")
    added = [
        float(augment_image(image, (0, i), ("brightness",))[0, 0, 0]) - 100
        for i in range(50)
    ]
    assert -25 <= min(added) < -5 and 5 < max(added) <= 25
    bright = augment_image(np.full((4, 4, 3), 250, "uint8"), (0, 0), ("brightness",))
    assert bright.numpy().max() <= 255 and bright.dtype == tf.uint8


def test_contrast_keeps_the_mean_and_scales_the_distance():
    image = np.float32([[[100], [140]]])
    for i in range(20):
        low, high = augment_image(image, (0, i), ("contrast",)).numpy().ravel()
        assert (low + high) / 2 == pytest.approx(120, abs=1e-3)
        assert 0.8 <= (high - low) / 40 <= 1.25


def test_functions_and_names_are_applied_in_order():
    def invert(image, seed):
        return 255 - image

    image = square_image()
    both = augment_image(image, (0, 1), (invert, "flip"))
    np.testing.assert_array_equal(
        both, augment_image(255 - image, (0, 1), (lambda x, s: x, "flip"))
    )


def test_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match="Received: augment='flop'. Did you mean 'flip'"
    ):
        augment_image(square_image(), (0, 0), ("flop",))
