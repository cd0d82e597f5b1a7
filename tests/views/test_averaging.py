"""Averages of outputs against NumPy in float64, and the model that makes them."""

import keras
import numpy as np
import pytest

from tftransfer.resizing import build_resizing
from tftransfer.tasks import Task
from tftransfer.views.averaging import average_outputs, build_averaging, check_model
from tftransfer.views.views import read_views


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(
    ("name", "width", "activation"),
    [
        ("classification", 3, softmax),
        ("classification", 1, sigmoid),
        ("multi_label", 3, sigmoid),
    ],
)
def test_averaged_logits_give_the_mean_of_probabilities(rng, name, width, activation):
    logits = rng.normal(size=(4, 6, width), scale=4).astype("float32")
    averaged = np.asarray(average_outputs(logits, Task(name, width)))
    assert averaged.shape == (6, width)
    expected = activation(logits.astype("float64")).mean(axis=0)
    np.testing.assert_allclose(activation(averaged), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "task", [Task("classification", 3, from_logits=False), Task("regression", 3)]
)
def test_probabilities_and_values_are_averaged_as_they_are(rng, task):
    outputs = rng.uniform(size=(2, 5, 3)).astype("float32")
    averaged = average_outputs(outputs, task)
    np.testing.assert_allclose(averaged, outputs.mean(axis=0), rtol=1e-6)


def test_a_single_view_is_left_as_it_is(rng):
    logits = rng.normal(size=(1, 5, 3)).astype("float32")
    averaged = average_outputs(logits, Task("classification", 3))
    np.testing.assert_array_equal(averaged, logits[0])


def test_nothing_is_lost_where_a_network_is_sure():
    # exp(-200) is 0 in float32; the mean of equal views is the view.
    sure = np.array([[[0.0, -200.0]]] * 2, "float32")
    averaged = np.asarray(average_outputs(sure, Task("classification", 2)))
    np.testing.assert_allclose(averaged, sure[0], atol=1e-4)
    one = np.array([[[90.0]], [[90.0]]], "float32")
    averaged = np.asarray(average_outputs(one, Task("classification", 1)))
    np.testing.assert_allclose(averaged, [[90.0]], rtol=1e-5)


def network(shape=(None, None, 3), size=(16, 16)):
    inputs = keras.Input(shape)
    x = build_resizing(size)(inputs, training=False) if size else inputs
    x = keras.layers.Conv2D(4, 5, strides=3, activation="relu")(x)
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Rescaling(1 / 99)(x))
    return keras.Model(inputs, keras.layers.Dense(3)(x), name="small")


def test_one_graph_averages_over_views_of_the_resized_image(rng):
    model, task = network(), Task("classification", 3)
    both = build_averaging(model, read_views(8), task)
    assert both.weights == model.weights and both.name == "small"
    images = rng.integers(0, 256, (5, 20, 30, 3)).astype("float32")
    resized = build_resizing((16, 16))(images).numpy()
    turned = [np.rot90(resized, k, (1, 2)) for k in range(4)]
    turned += [np.flip(images, 2) for images in turned]
    expected = np.mean([softmax(model(x).numpy()) for x in turned], axis=0)
    found = softmax(both.predict(images, verbose=0))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - softmax(model(images).numpy())).max() > 1e-3


def test_models_that_see_no_squares_or_no_images_are_refused():
    with pytest.raises(ValueError, match="16 x 12 pixels.*Received: rotate90"):
        check_model(network(size=(16, 12)), read_views(8))
    with pytest.raises(ValueError, match="8 x 9 pixels.*Received: rotate90"):
        check_model(network((8, 9, 3), size=None), read_views(8))
    texts = keras.Model(
        x := keras.Input((), dtype="string"), keras.layers.Identity()(x)
    )
    with pytest.raises(ValueError, match=r"for inputs of shape \(None,\). Leave it"):
        check_model(texts, read_views(2))
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    two = keras.Model(inputs, keras.ops.add(*inputs))
    with pytest.raises(ValueError, match=r"for inputs of shape \(\). Leave it out"):
        check_model(two, read_views(2))


def test_images_of_any_size_cannot_be_averaged_within_a_graph():
    model = network(size=None)
    with pytest.raises(
        ValueError, match=r"of any size. Received: .*None, 3\). Put tft"
    ):
        build_averaging(model, read_views(2), Task("classification", 3))
