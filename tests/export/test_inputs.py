import keras
import numpy as np
import pytest

from tftransfer.export.inputs import read_input
from tftransfer.resizing import build_resizing


def model_of(inputs, *layers):
    x = inputs
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def test_own_resizing_layer_is_found(small_model):
    model = small_model(image_size=(32, 24))
    found = read_input(model)
    assert found.kind == "images"
    assert found.resizing is model.get_layer("resizing")
    assert found.resizes_itself
    assert (found.image_size, found.channels) == ((32, 24), 3)


def test_own_resizing_layer_is_found_in_a_nested_model():
    inner = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            build_resizing((8, 9)),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    outer = keras.Sequential([keras.Input((None, None, 3)), inner])
    assert read_input(outer).resizing is inner.layers[0]


def test_resizing_later_in_the_graph_is_not_the_first():
    inputs = keras.Input((16, 12, 3))
    model = model_of(inputs, keras.layers.Conv2D(3, 3), build_resizing((4, 4)))
    found = read_input(model)
    assert not found.resizes_itself
    assert found.image_size == (16, 12)


def test_fixed_size_is_served_like_the_loaders_resize():
    model = model_of(keras.Input((2, 3, 3)), keras.layers.Flatten())
    found = read_input(model)
    assert found.describe_resizing() == {
        "interpolation": "bilinear",
        "antialias": True,
        "crop": False,
        "pad": False,
    }
    resized = np.asarray(found.fit_size(np.full((1, 8, 9, 3), 200, "uint8")))
    np.testing.assert_allclose(resized, np.full((1, 2, 3, 3), 200.0), atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((), "string", "texts"),
        ((1,), "string", "texts"),
        ((5,), "float32", "numbers"),
        ((None, 7), "float32", "numbers"),
        ((None, None, 3), "float32", "images"),
    ],
)
def test_kind_follows_the_input(shape, dtype, kind):
    inputs = keras.Input(shape, dtype=dtype)
    first = build_resizing((4, 4)) if kind == "images" else keras.layers.Identity()
    found = read_input(keras.Model(inputs, first(inputs)))
    assert found.kind == kind
    assert found.channels == (3 if kind == "images" else None)
    assert (found.image_size is None) == (kind != "images")


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Received: model=3 of type int"):
        read_input(3)


def test_several_inputs_are_refused():
    inputs = [keras.Input((2,), name="left"), keras.Input((2,), name="right")]
    model = keras.Model(inputs, keras.layers.Add()(inputs))
    with pytest.raises(ValueError, match=r"Received: .*inputs \['left', 'right'\]"):
        read_input(model)


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match=r"Received: model='own.* of type Own.*\[\]"):
        read_input(Own(name="own"))


def test_images_of_any_size_without_resizing_are_refused():
    model = model_of(
        keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()
    )
    with pytest.raises(ValueError, match=r"Received: .*\(None, None, None, 3\)"):
        read_input(model)


def test_whole_number_input_before_a_resizing_is_refused():
    model = model_of(
        keras.Input((None, None, 3), dtype="uint8"), build_resizing((4, 4))
    )
    with pytest.raises(ValueError, match="Received: an input of dtype 'uint8'"):
        read_input(model)
