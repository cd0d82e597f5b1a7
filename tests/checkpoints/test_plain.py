"""Plain values come back from JSON and arrays as they were."""

import json

import keras
import numpy as np
import pytest

from tftransfer.checkpoints.plain import NotPlain, from_plain, to_plain


def through_json(value):
    arrays = []
    content = json.loads(json.dumps(to_plain(value, arrays)))
    return from_plain(content, arrays)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        0.1 + 0.2,
        float("inf"),
        "text",
        b"\x00\xff",
        [1, [2.5, None]],
        (1, ("a", b"c")),
        {1: "one", "two": 2, (3, 4): [5]},
        {1, 2, 3},
    ],
    ids=str,
)
def test_values_come_back(value):
    back = through_json(value)
    assert back == value
    assert type(back) is type(value)


def test_arrays_come_back_to_the_bit():
    given = {"a": np.arange(6.0).reshape(2, 3), "b": np.float32(0.1), "c": np.bool_(1)}
    back = through_json(given)
    np.testing.assert_array_equal(back["a"], given["a"])
    assert back["b"].dtype == np.float32
    assert back["b"] == np.float32(0.1)
    assert back["c"].dtype == bool


def test_a_generator_goes_on():
    generator = np.random.default_rng(3)
    generator.random(5)
    back = through_json(generator)
    np.testing.assert_array_equal(back.random(4), generator.random(4))


def test_functions_of_keras_come_back():
    assert through_json(keras.ops.less) is keras.ops.less


@pytest.mark.parametrize(
    "value", [object(), print, [1, {"a": iter([])}]], ids=["object", "print", "inside"]
)
def test_anything_else_is_refused(value):
    with pytest.raises(NotPlain):
        to_plain(value, [])
