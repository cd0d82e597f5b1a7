import keras
import numpy as np
import pytest

from tftransfer.explanation.places import class_scores, find_map, linear_head


def network(*layers, size=(12, 16, 3), dtype=None):
    x = inputs = keras.Input(size, dtype=dtype)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x, name="network")


def conv(name="map", **options):
    return keras.layers.Conv2D(5, 3, name=name, **options)


def average(**options):
    return keras.layers.GlobalAveragePooling2D(**options)


def test_the_last_map_is_found_at_any_depth(make_model, average):
    for nested in (False, True):
        cut = find_map(make_model(average, nested=nested))
        assert cut.name == "map"
        assert tuple(cut.tensor.shape) == (None, 4, 6, 5)


def test_a_map_of_one_place_is_passed_over():
    model = network(
        conv("wide"), conv("single", strides=16), average(), keras.layers.Dense(2)
    )
    assert find_map(model).name == "wide"


@pytest.mark.parametrize(
    ("above", "is_linear"),
    [
        ([average(), keras.layers.Dense(2)], True),
        ([average(), keras.layers.Dense(2, activation="softmax")], True),
        ([average(), keras.layers.Dense(2), keras.layers.Softmax()], True),
        ([average(), keras.layers.Dropout(0.1), keras.layers.Dense(2)], True),
        (
            [average(), keras.layers.Dense(2), keras.layers.Activation("linear")],
            True,
        ),
        ([average(), keras.layers.Dense(2, activation="relu")], False),
        ([average(), keras.layers.Dense(3), keras.layers.Dense(2)], False),
        (
            [
                average(),
                keras.layers.Dense(3),
                keras.layers.Dense(2, activation="softmax"),
            ],
            False,
        ),
        ([average(), keras.layers.LayerNormalization(), keras.layers.Dense(2)], False),
        ([keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(2)], False),
        ([keras.layers.Flatten(), keras.layers.Dense(2)], False),
        ([average()], False),
    ],
)
def test_a_linear_head_is_told(above, is_linear):
    cut = find_map(network(conv(), *above))
    found = linear_head(cut)
    assert (found is not None) == is_linear
    if is_linear:
        assert isinstance(found, keras.layers.Dense)


def test_branches_above_the_map_are_no_linear_head():
    inputs = keras.Input((12, 16, 3))
    pooled = average()(conv()(inputs))
    model = keras.Model(
        inputs, keras.layers.Add()([keras.layers.Dense(5)(pooled), pooled])
    )
    assert linear_head(find_map(model)) is None


@pytest.mark.parametrize(
    "last",
    [
        [keras.layers.Dense(2, activation="softmax")],
        [keras.layers.Dense(2, activation="softmax", use_bias=False)],
        [keras.layers.Dense(2, name="logits"), keras.layers.Softmax()],
        [keras.layers.Dense(2, name="logits"), keras.ops.softmax],
    ],
)
def test_scores_are_those_before_softmax(rng, last):
    model = network(conv(), average(), *last)
    images = rng.normal(size=(3, 12, 16, 3)).astype("float32")
    cut = find_map(model)
    scores = class_scores(cut, cut.run_below(images, training=False))
    chances = model.predict(images, verbose=0)
    np.testing.assert_allclose(keras.ops.softmax(scores), chances, rtol=1e-5)
    assert abs(np.sum(scores, axis=1) - 1).max() > 1e-3  # they are not the chances


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (network(keras.layers.Dense(2), size=(3,)), r"with inputs \[\(\(None, 3\)"),
        (network(keras.layers.Identity(), size=(), dtype="string"), "'string'"),
        (network(conv()), r"outputs of shape \[\(None, 10, 14, 5\)\]"),
        (
            network(keras.layers.Flatten(), keras.layers.Dense(2)),
            "Received: 'network', which has none",
        ),
    ],
    ids=["numbers", "texts", "a map", "no convolution"],
)
def test_what_has_no_places_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        find_map(model)


def test_networks_side_by_side_are_refused():
    inputs = keras.Input((12, 16, 3))
    sides = [average()(conv(name)(inputs)) for name in ("left", "right")]
    x = keras.layers.Concatenate()(sides)
    model = keras.Model(inputs, keras.layers.Dense(2)(x), name="sides")
    with pytest.raises(ValueError, match="Received: 'sides', which has none"):
        find_map(model)


def test_channels_first_are_refused():
    model = network(conv(), average(), keras.layers.Dense(2))
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="Received: Keras set to 'channels_first'"):
            find_map(model)
    finally:
        keras.config.set_image_data_format("channels_last")
