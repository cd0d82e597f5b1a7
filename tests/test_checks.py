"""What the argument checks accept, and every word of what they refuse."""

import re
import sys

import numpy as np
import pytest

from tftransfer.checks import (
    check_choice,
    check_image_size,
    check_number,
    check_positive,
    check_same_width,
    check_whole_number,
    did_you_mean,
    import_optional,
    nearest,
)

COLORS = ("red", "green", "blue")


def refuses(error, message, function, *args, **kwargs):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        function(*args, **kwargs)


def test_nearest_names_come_best_first_and_keep_their_spelling():
    names = ["ResNet50", "ResNet101", "VGG16", "ResNet50V2"]
    assert nearest("resnet50", names) == ["ResNet50", "ResNet50V2", "ResNet101"]
    assert nearest("resnet50", names, count=1) == ["ResNet50"]
    assert nearest("zzz", names) == []


def test_did_you_mean_names_up_to_three_or_nothing():
    assert did_you_mean("bleu", COLORS) == "Did you mean 'blue'?"
    assert did_you_mean("vgg", ["VGG16", "vgg"]) == "Did you mean 'vgg' or 'VGG16'?"
    assert did_you_mean("xyz", COLORS) == ""


@pytest.mark.parametrize("choices", [COLORS, set(COLORS), dict.fromkeys(COLORS)])
def test_a_choice_passes(choices):
    check_choice("color", "red", choices)


def test_a_wrong_choice_is_refused_with_all_choices_and_the_nearest():
    refuses(
        ValueError,
        "`color` must be one of ['blue', 'green', 'red']. "
        "Received: color='bleu'. Did you mean 'blue'? See the docs.",
        check_choice,
        "color",
        "bleu",
        COLORS,
        advice="See the docs.",
    )


@pytest.mark.parametrize("value", [[1, 2], None, 3])
def test_a_choice_of_another_type_is_refused_not_crashed_on(value):
    refuses(
        ValueError,
        f"`color` must be one of ['blue', 'green', 'red']. Received: color={value!r}.",
        check_choice,
        "color",
        value,
        set(COLORS),
    )


def test_choices_of_mixed_types_can_be_listed():
    with pytest.raises(ValueError, match=re.escape("[None, 'a']")):
        check_choice("kind", "zzz", ["a", None])


@pytest.mark.parametrize(("value", "minimum"), [(1, 1), (0, 0), (10**12, 1), (-3, -3)])
def test_whole_numbers_from_the_minimum_on_pass(value, minimum):
    check_whole_number("count", value, minimum)


def test_a_too_small_whole_number_is_refused():
    refuses(
        ValueError,
        "`count` must be a whole number >= 1. Received: count=0. Add some.",
        check_whole_number,
        "count",
        0,
        advice="Add some.",
    )


@pytest.mark.parametrize("value", [1.0, "1", True, None])
def test_what_is_no_whole_number_is_refused(value):
    refuses(
        TypeError,
        "`count` must be a whole number >= 1. "
        f"Received: count={value!r} of type {type(value).__name__}.",
        check_whole_number,
        "count",
        value,
    )


def test_a_numpy_integer_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"of type int64. Pass count=3\.$"):
        check_whole_number("count", np.int64(3))


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float64(0.3)])
def test_numbers_on_and_between_the_bounds_pass(value):
    check_number("rate", value, 0, 1)


def test_any_finite_number_passes_without_bounds():
    check_number("rate", -1e300)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_numbers_outside_the_bounds_are_refused(value):
    refuses(
        ValueError,
        "`rate` must be a finite number >= 0 and <= 1. "
        f"Received: rate={value!r}. Half?",
        check_number,
        "rate",
        value,
        0,
        1,
        advice="Half?",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    refuses(
        ValueError,
        f"`rate` must be a finite number. Received: rate={value!r}.",
        check_number,
        "rate",
        value,
    )


@pytest.mark.parametrize("value", ["1", True, None, 1j])
def test_what_is_no_number_is_refused(value):
    refuses(
        TypeError,
        "`rate` must be a finite number >= 0. "
        f"Received: rate={value!r} of type {type(value).__name__}.",
        check_number,
        "rate",
        value,
        0,
    )


@pytest.mark.parametrize("value", [5e-324, 1e-12, 3, np.float64(0.3)])
def test_numbers_above_zero_pass(value):
    check_positive("rate", value)


@pytest.mark.parametrize("value", [0, 0.0, -1.0, float("nan"), float("inf")])
def test_numbers_that_are_not_above_zero_are_refused(value):
    refuses(
        ValueError,
        f"`rate` must be a finite number above 0. Received: rate={value!r}. Half?",
        check_positive,
        "rate",
        value,
        "Half?",
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (224, (224, 224)),
        ((3, 5), (3, 5)),
        ([3, 5], (3, 5)),
        (np.array([3, 5]), (3, 5)),
        (np.int32(7), (7, 7)),
    ],
)
def test_image_sizes_become_two_plain_integers(value, expected):
    size = check_image_size("image_size", value)
    assert size == expected
    assert [type(side) for side in size] == [int, int]


@pytest.mark.parametrize(
    "value", [None, "ab", True, (3,), (3, 4, 5), (3, 0), (3.0, 4), (True, 4), -2, 2.5]
)
def test_what_is_no_image_size_is_refused(value):
    refuses(
        ValueError,
        "`size` must be (height, width) in pixels, two whole numbers >= 1. "
        f"Received: size={value!r}. Pass for example size=(224, 224).",
        check_image_size,
        "size",
        value,
    )


def test_batches_of_equal_width_pass_whatever_their_sizes():
    check_same_width(np.zeros((2, 3)), np.zeros((5, 3)))


@pytest.mark.parametrize("shapes", [((2, 3), (2, 4)), ((2, 3), (3,)), ((2, 3, 1),) * 2])
def test_batches_of_other_shapes_are_refused(shapes):
    message = f"Received: source.shape={shapes[0]}, target.shape={shapes[1]}. Pool"
    with pytest.raises(ValueError, match=re.escape(message)):
        check_same_width(*map(np.zeros, shapes))


def test_optional_modules_come_in_the_order_of_their_names():
    wanted = "xml.dom.minidom", "json"
    found = import_optional(*wanted, needs="This needs Python", extra="demo")
    assert [module.__name__ for module in found] == [*wanted]


def test_a_missing_package_is_told_with_its_pip_line(monkeypatch):
    import_optional("xml.dom.minidom", needs="This needs XML", extra="text")
    monkeypatch.setitem(sys.modules, "xml", None)  # its parts are still loaded
    with pytest.raises(ImportError) as caught:
        import_optional("xml.dom.minidom", needs="This needs XML", extra="text")
    assert str(caught.value) == (
        'This needs XML. Run `pip install "tftransfer[text]"`.'
    )
