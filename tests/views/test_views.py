"""Views of images against NumPy, and which of them are refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.views.views import VIEWS, check_views, read_views, view_images

AXES = (1, 2)
SYMMETRIES = {
    "identity": lambda x: x,
    "flip": lambda x: np.flip(x, 2),
    "flip_vertical": lambda x: np.flip(x, 1),
    "rotate90": lambda x: np.rot90(x, 1, AXES),
    "rotate180": lambda x: np.rot90(x, 2, AXES),
    "rotate270": lambda x: np.rot90(x, 3, AXES),
    "transpose": lambda x: np.swapaxes(x, 1, 2),
    "transverse": lambda x: np.swapaxes(np.rot90(x, 2, AXES), 1, 2),
}


@pytest.fixture
def squares(rng):
    return rng.integers(0, 256, (2, 32, 32, 3)).astype("uint8")


def view(images, name):
    return keras.ops.convert_to_numpy(view_images(images, name))


@pytest.mark.parametrize("name", SYMMETRIES)
def test_symmetries_are_those_of_numpy(squares, name):
    seen = view(squares, name)
    assert seen.dtype == "uint8"
    np.testing.assert_array_equal(seen, SYMMETRIES[name](squares))


def test_eight_views_are_all_symmetries_of_a_square(squares):
    assert set(read_views(8)) == set(SYMMETRIES)
    different = {view(squares, name).tobytes() for name in read_views(8)}
    assert len(different) == 8
    # Closed: one after the other is again one of them.
    twice = view(squares, "rotate90+transverse").tobytes()
    assert twice in different


def test_the_first_four_fit_oblong_images(rng):
    images = rng.normal(size=(1, 16, 48, 1)).astype("float32")
    assert read_views(4) == ("identity", "flip", "flip_vertical", "rotate180")
    for name in read_views(4):
        np.testing.assert_array_equal(view(images, name), SYMMETRIES[name](images))


def test_shifts_move_by_a_sixteenth_and_mirror_the_border(rng):
    images = rng.normal(size=(2, 32, 48, 3)).astype("float32")
    right = view(images, "shift_right")
    np.testing.assert_array_equal(right[:, :, 3:], images[:, :, :-3])
    np.testing.assert_array_equal(right[:, :, :3], images[:, :, 2::-1])
    left = view(images, "shift_left")
    np.testing.assert_array_equal(left[:, :, :-3], images[:, :, 3:])
    np.testing.assert_array_equal(left[:, :, -3:], images[:, :, :-4:-1])
    down, up = view(images, "shift_down"), view(images, "shift_up")
    np.testing.assert_array_equal(down[:, 2:], images[:, :-2])
    np.testing.assert_array_equal(up[:, :-2], images[:, 2:])


def test_zoom_is_the_middle_enlarged(rng):
    images = rng.integers(0, 256, (2, 32, 48, 3)).astype("uint8")
    expected = tf.image.resize(images[:, 2:-2, 3:-3], (32, 48))
    np.testing.assert_allclose(view(images, "zoom"), expected, atol=1e-4)


def test_joined_views_are_taken_one_after_the_other(squares):
    expected = np.flip(np.rot90(squares, 1, AXES), 2)
    np.testing.assert_array_equal(view(squares, "rotate90+flip"), expected)


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_the_same_within_a_graph(squares, name):
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    inside = keras.Model(inputs, view_images(inputs, name))(squares)
    np.testing.assert_allclose(inside, view(squares, name), atol=1e-5)


def test_the_image_itself_is_always_among_them():
    assert read_views(None) == read_views(1) == read_views([]) == ("identity",)
    assert read_views("flip") == read_views(2) == ("identity", "flip")
    assert read_views(("flip", "identity")) == ("identity", "flip")


@pytest.mark.parametrize(
    ("augment", "error", "message"),
    [
        (3, ValueError, r"one of \[1, 2, 4, 8\]. Received: augment=3. Or pass a list"),
        ("flop", ValueError, "Received: augment='flop'. Did you mean 'flip'"),
        (["flip+zoo"], ValueError, "Received: augment='zoo'. Did you mean 'zoom'"),
        (["flip", "flip"], ValueError, r"once. Received: augment=\['flip', 'flip'\]"),
        (True, TypeError, r"names of views. Received: augment=True. Pass for example"),
        ([1, 2], TypeError, r"names of views. Received: augment=\[1, 2\]"),
        (2.0, TypeError, r"Received: augment=2.0"),
    ],
)
def test_what_names_no_views_is_refused(augment, error, message):
    with pytest.raises(error, match=message):
        read_views(augment)


def test_quarter_turns_are_for_squares():
    with pytest.raises(ValueError, match="32 x 24 pixels.*: flip.transpose. Pass augm"):
        check_views(("identity", "flip", "flip+transpose"), (None, 32, 24, 3))
    check_views(read_views(8), (None, 24, 24, 3))
    check_views(read_views(8), (None, None, 24, 3))  # the first batch will tell
    check_views(read_views(4), (None, 32, 24, 3))


def test_views_are_of_images():
    with pytest.raises(
        ValueError, match=r"Received: augment=\['flip'\] for inputs of shape \(5, 7\)"
    ):
        check_views(("identity", "flip"), (5, 7))
    check_views(("identity",), (5, 7))
