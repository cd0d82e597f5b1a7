"""load_hub_model: raw input to features, and a published third-party module."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.hub import HubLayer, load_hub_model

IMAGES = tf.TensorSpec((None, 4, 6, 3))


def average(images):
    return tf.reduce_mean(images, [1, 2])


def test_image_modules_get_resized_and_scaled_pixels(save_function, rng):
    folder = save_function(average, IMAGES)
    model = load_hub_model(folder, pixel_range=(-1, 1))
    pixels = rng.integers(0, 256, (2, 4, 6, 3), dtype="uint8")
    expected = pixels.astype("float32").mean((1, 2)) / 127.5 - 1
    np.testing.assert_allclose(model(pixels), expected, atol=1e-5)
    white = np.full((1, 9, 5, 3), 255, "uint8")  # any size
    np.testing.assert_allclose(model.predict(white, verbose=0), [[1, 1, 1]], atol=1e-5)


def test_the_graph_is_flat_and_ends_in_features(save_function):
    model = load_hub_model(save_function(average, IMAGES))
    assert [layer.name for layer in model.layers[1:3]] == ["resizing", "rescaling"]
    assert [type(layer) for layer in model.layers].count(HubLayer) == 1
    assert model.layers[-1].name == "features"
    assert model.input_shape == (None, None, None, 3)
    assert model.output_shape == (None, 3)


def test_an_open_image_size_must_be_given(save_function):
    spec = tf.TensorSpec((None, None, None, 3))
    folder = save_function(lambda x: {"map": x, "size": tf.shape(x)}, spec)
    with pytest.raises(ValueError, match="Received: image_size=None. Pass the size"):
        load_hub_model(folder, output_key="map")
    model = load_hub_model(folder, output_key="map", image_size=(5, 7))
    assert model.get_layer("resizing").compute_output_shape((1, 9, 9, 3)) == (
        1,
        5,
        7,
        3,
    )
    message = r"floating type with shape.*Received: an output of shape \(4,\) and dtype"
    with pytest.raises(ValueError, match=message):
        load_hub_model(folder, output_key="size", image_size=(5, 7))


def test_a_fixed_image_size_is_kept(save_function):
    folder = save_function(average, IMAGES)
    assert load_hub_model(folder, image_size=(4, 6)).output_shape == (None, 3)
    message = r"must be \(4, 6\).*Received: image_size=\(5, 5\). Leave it out"
    with pytest.raises(ValueError, match=message):
        load_hub_model(folder, image_size=5)


def test_whole_number_modules_get_rounded_pixels_0_to_255(save_function):
    spec = tf.TensorSpec((None, 1, 1, 3), tf.uint8)
    folder = save_function(lambda x: average(tf.cast(x, "float32")), spec)
    pixels = np.array([[[[0, 10, 255]], [[3, 11, 255]]]], "uint8")
    np.testing.assert_array_equal(load_hub_model(folder)(pixels), [[2, 10, 255]])


def test_feature_maps_and_sequences_are_averaged(save_function, rng):
    folder = save_function(
        lambda x: {"map": x, "steps": x[:, 0]}, tf.TensorSpec((None, 4, 6, 5))
    )
    values = rng.normal(size=(2, 4, 6, 5)).astype("float32")
    features = load_hub_model(folder, output_key="map")(values)
    np.testing.assert_allclose(features, values.mean((1, 2)), atol=1e-6)
    features = load_hub_model(folder, output_key="steps")(values)
    np.testing.assert_allclose(features, values[:, 0].mean(1), atol=1e-6)


def test_text_modules_take_strings(text_module):
    model = load_hub_model(text_module)
    assert (model.input_shape, model.input.dtype) == ((None,), "string")
    features = model.predict(tf.constant(["bad", "unheard"]), verbose=0)
    np.testing.assert_array_equal(features, [[2.0, 3.0], [4.0, 5.0]])
    message = r"Received: image_size=\(8, 8\); the module's input has shape \(None,\)"
    with pytest.raises(ValueError, match=message):
        load_hub_model(text_module, image_size=(8, 8))


def test_an_input_of_unknown_rank_is_refused(save_function):
    folder = save_function(lambda x: tf.reshape(x, (-1, 4)), tf.TensorSpec(None))
    with pytest.raises(ValueError, match="Received: an input of unknown shape"):
        load_hub_model(folder)


def test_a_head_on_a_small_network_fits(small_module, rng):
    backbone = load_hub_model(small_module, trainable=True)
    outputs = keras.layers.Dense(1)(backbone.output)
    model = keras.Model(backbone.input, outputs)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    images = rng.integers(0, 256, (16, 10, 10, 3), dtype="uint8")
    labels = np.arange(16) % 2
    images[labels == 1] //= 4
    history = model.fit(images, labels, epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.fixture
def basic_pitch(shared_data):
    return shared_data / "saved_model_basic_pitch"


@pytest.fixture
def tone():
    """Two seconds of 440 Hz at 22,050 samples a second."""
    time = np.arange(43844) / 22050
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype("float32")[None, :, None]


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_a_440_hz_tone_is_the_note_a4(basic_pitch, tone):
    model = load_hub_model(basic_pitch, output_key="note")
    (notes,) = np.asarray(model(tone))
    assert notes.shape == (88,)
    assert 21 + np.argmax(notes) == 69  # piano keys begin at MIDI 21; A4 is 69
    print("note", notes.max(), np.sort(notes)[-2])
    assert notes.max() > 3 * np.sort(notes)[-2]
    assert len(model.weights) == 24
    with pytest.raises(ValueError, match=r"\['contour', 'note', 'onset'\]"):
        load_hub_model(basic_pitch)


@pytest.mark.slow
@pytest.mark.needs_shared_data
@pytest.mark.parametrize(
    "trainable", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_one_step_on_a_published_module_changes_what_is_trainable(
    basic_pitch, tone, trainable
):
    backbone = load_hub_model(basic_pitch, output_key="onset", trainable=trainable)
    layer = next(x for x in backbone.layers if isinstance(x, HubLayer))
    model = keras.Model(backbone.input, keras.layers.Dense(1)(backbone.output))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = [weight.numpy() for weight in layer.weights]
    model.fit(tone, np.ones((1, 1)), verbose=0)
    changed = {
        weight.name
        for weight, value in zip(layer.weights, before, strict=True)
        if not np.array_equal(weight, value)
    }
    assert changed == {weight.name for weight in layer.trainable_weights}
    assert len(changed) == (18 if trainable else 0)


@pytest.mark.needs_shared_data
def test_a_published_module_tells_its_blocks(basic_pitch):
    layer = HubLayer(basic_pitch, output_key="onset")
    names = [name for name, _ in layer.variable_blocks]
    assert names[:3] == ["batch_normalization", "conv2d_1", "batch_normalization_2"]
    assert len(names) == 9


@pytest.mark.parametrize("pixel_range", [(1, 0), 255, (0, 1, 2), ("0", 1)])
def test_a_pixel_range_that_is_none_is_refused(pixel_range):
    with pytest.raises(ValueError, match="Received: pixel_range=.*example .-1, 1"):
        load_hub_model("never looked at", pixel_range=pixel_range)
