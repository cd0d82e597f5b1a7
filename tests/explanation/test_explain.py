import functools

import keras
import numpy as np
import pytest

import tftransfer as tft
from tftransfer.explanation.explain import explain


def feature_map_of(model, images):
    inner = next((x for x in model.layers if x.name == "backbone"), model)
    reader = keras.Model(inner.inputs, inner.get_layer("map").output)
    return reader.predict(images.astype("float32"), verbose=0)


def cam_by_hand(model, images, classes):
    """Zhou et al., equation 2, as a loop over channels."""
    feature_map = feature_map_of(model, images)
    kernel = keras.ops.convert_to_numpy(model.get_layer("last").kernel)
    maps = np.zeros(feature_map.shape[:3])
    for row, k in enumerate(classes):
        for channel in range(feature_map.shape[-1]):
            maps[row] += kernel[channel, k] * feature_map[row, ..., channel]
    return maps


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_cam_is_weights_times_map(make_model, average, images, nested):
    model = make_model(average, nested=nested)
    found = explain(model, images, [0, 3, 1], task="classification")
    assert found.method == "cam"
    assert found.classes.tolist() == [0, 3, 1]
    np.testing.assert_allclose(
        found.maps, cam_by_hand(model, images, [0, 3, 1]), rtol=1e-4, atol=1e-5
    )


def test_the_mean_of_the_map_is_the_logit_without_the_bias(make_model, average, images):
    model = make_model(average)
    logits = model.predict(images.astype("float32"), verbose=0)
    bias = keras.ops.convert_to_numpy(model.get_layer("last").bias)
    for k in range(4):
        found = explain(model, images, k, task="classification")
        np.testing.assert_allclose(
            found.maps.mean(axis=(1, 2)) + bias[k], logits[:, k], rtol=1e-4, atol=1e-5
        )


def test_without_a_class_the_predicted_one_is_explained(make_model, average, images):
    model = make_model(average)
    predicted = model.predict(images.astype("float32"), verbose=0).argmax(axis=1)
    found = explain(model, images, task="classification")
    np.testing.assert_array_equal(found.classes, predicted)
    again = explain(model, images, predicted, task="classification")
    np.testing.assert_array_equal(found.maps, again.maps)


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_grad_cam_is_cam_up_to_the_number_of_places(
    make_model, average, images, nested
):
    model = make_model(average, nested=nested)
    cam = explain(model, images, task="classification")
    grad_cam = explain(model, images, method="grad_cam", task="classification")
    assert grad_cam.method == "grad_cam"
    places = cam.maps[0].size
    np.testing.assert_allclose(places * grad_cam.maps, cam.maps, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(grad_cam.heat_maps, cam.heat_maps, atol=1e-4)


def test_grad_cam_of_hidden_layers_is_that_by_hand(make_model, flat, images):
    model = make_model(flat)
    found = explain(model, images, [0, 3, 1], task="classification")
    assert found.method == "grad_cam"
    feature_map = feature_map_of(model, images)
    weights = [
        keras.ops.convert_to_numpy(model.get_layer(name).kernel)
        for name in ("hidden", "last")
    ]
    for row, k in enumerate([0, 3, 1]):
        # y = W2' relu(W1' f), so dy/df = W1 (active * W2[:, k]); then equation 1.
        active = feature_map[row].ravel() @ weights[0] > 0
        gradient = weights[0] @ (active * weights[1][:, k])
        alpha = gradient.reshape(feature_map[row].shape).mean(axis=(0, 1))
        expected = (feature_map[row] * alpha).sum(axis=-1)
        np.testing.assert_allclose(found.maps[row], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", ["cam", "grad_cam"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_probabilities_are_explained_by_the_logits_behind_them(
    make_model, average, images, method, activation
):
    plain = make_model(average)
    squashed = make_model(functools.partial(average, activation=activation))
    squashed.set_weights(plain.get_weights())
    apart = keras.Model(plain.input, keras.layers.Activation(activation)(plain.output))
    options = {"method": method, "task": "classification"}
    expected = explain(plain, images, **options)
    for model in (squashed, apart):
        found = explain(model, images, **options)
        np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-5, atol=1e-8)
        np.testing.assert_array_equal(found.classes, expected.classes)


@pytest.mark.parametrize("method", ["cam", "grad_cam"])
def test_what_speaks_for_one_class_of_two_speaks_against_the_other(
    make_model, average, images, method
):
    model = make_model(average, num_outputs=1)
    options = {"method": method, "task": "classification"}
    for_one = explain(model, images, 1, **options)
    for_zero = explain(model, images, 0, **options)
    np.testing.assert_allclose(for_one.maps, -for_zero.maps)
    predicted = explain(model, images, **options).classes
    logit = model.predict(images.astype("float32"), verbose=0)[:, 0]
    np.testing.assert_array_equal(predicted, logit > 0)


def color_model(first=None):
    """Class 0 is red, class 1 is green, seen in squares of 4 x 4 pixels."""
    x = inputs = keras.Input((None, None, 3) if first else (16, 16, 3))
    if first:
        x = first(x, training=False)
    x = keras.layers.Conv2D(3, 4, strides=4, use_bias=False, name="squares")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(x))
    kernel = np.broadcast_to(np.eye(3) / 16, (4, 4, 3, 3))
    model.set_weights([kernel, np.array([[1, -1], [-1, 1], [0, 0]])])
    return model


def painted(height, width, top, left, color):
    image = np.zeros((1, height, width, 3), "uint8")
    image[0, top : top + 4, left : left + 4, color] = 255
    return image


def test_heat_lies_where_the_color_is():
    image = painted(16, 16, 4, 0, color=0) + painted(16, 16, 12, 8, color=1)
    for k, (top, left) in enumerate([(4, 0), (12, 8)]):
        heat = explain(color_model(), image, k, task="classification").heat_maps[0]
        assert heat.shape == (16, 16)
        assert heat.max() == pytest.approx(1)
        assert heat[top : top + 4, left : left + 4].min() > 0.3
        other = (4, 0) if k else (12, 8)
        assert heat[other[0] + 2, other[1] + 2] == 0  # evidence against is cold


def test_no_evidence_is_no_heat():
    image = painted(16, 16, 4, 0, color=1)
    found = explain(color_model(), image, 0, task="classification")
    assert found.maps.min() < 0
    assert not found.heat_maps.any()


def test_heat_lies_in_the_part_that_is_cropped():
    model = color_model(tft.build_resizing(16, crop=True))
    image = painted(16, 32, 4, 12, color=0)  # columns 8 to 24 are seen
    heat = explain(model, image, 0, task="classification").heat_maps[0]
    assert heat.shape == (16, 32)
    assert not heat[:, :8].any()
    assert not heat[:, 24:].any()
    place = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= place[0] < 8
    assert 12 <= place[1] < 16


def test_heat_does_not_lie_in_what_is_padded():
    model = color_model(keras.layers.Resizing(16, 16, pad_to_aspect_ratio=True))
    image = painted(8, 16, 4, 12, color=0)
    heat = explain(model, image, 0, task="classification").heat_maps[0]
    assert heat.shape == (8, 16)
    place = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= place[0] < 8
    assert 12 <= place[1] < 16


def test_batches_do_not_matter(make_model, flat, images):
    model = make_model(flat)
    whole = explain(model, images, [1, 2, 3], task="classification")
    single = explain(model, images, [1, 2, 3], task="classification", batch_size=1)
    np.testing.assert_allclose(single.maps, whole.maps, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(single.heat_maps, whole.heat_maps, atol=1e-4)


@pytest.mark.slow
def test_our_models_are_explained_aligned_ones_too(rng):
    backbone = tft.load_backbone(
        "keras:MobileNetV2", alpha=0.35, weights=None, image_size=64
    )
    images = rng.integers(0, 256, (2, 50, 40, 3), "uint8")
    plain = tft.build_transfer_model(backbone, num_classes=3)
    aligned = tft.AlignedModel(plain, tft.CORAL())
    aligned.compile(loss=plain.loss)
    found = explain(aligned, images)
    assert found.method == "cam"
    np.testing.assert_array_equal(found.maps, explain(plain, images).maps)
    kernel = keras.ops.convert_to_numpy(plain.get_layer("logits").kernel)
    reader = keras.Model(plain.input, plain.get_layer("features").input)
    feature_map = reader.predict(images.astype("float32"), verbose=0)
    expected = np.einsum("nhwc,cn->nhw", feature_map, kernel[:, found.classes])
    np.testing.assert_allclose(found.maps, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (4, "classes=4"),
        (-1, "classes=-1"),
        ([0, 1], r"classes=\[0, 1\]"),
        ([0.5, 1, 2], r"classes=\[0.5, 1, 2\]"),
        ("cat", "classes='cat'"),
    ],
)
def test_classes_that_do_not_fit_are_refused(
    make_model, average, images, classes, message
):
    with pytest.raises(ValueError, match=f"of 3 images. Received: {message}"):
        explain(make_model(average), images, classes, task="classification")


def test_values_must_be_named(make_model, average, images):
    model = make_model(average, num_outputs=2)
    with pytest.raises(ValueError, match="Received: classes=None for 2 values"):
        explain(model, images, task="regression")
    assert explain(model, images, 1, task="regression").classes.tolist() == [1] * 3


@pytest.mark.parametrize(
    "images",
    [np.zeros((12, 16, 3)), np.zeros((1, 12, 17, 3)), np.zeros((0, 12, 16, 3))],
)
def test_images_that_do_not_fit_are_refused(make_model, average, images):
    with pytest.raises(ValueError, match="Received: images of shape"):
        explain(make_model(average), images, task="classification")
