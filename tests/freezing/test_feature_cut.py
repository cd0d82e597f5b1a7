import keras
import pytest

from tftransfer.freezing.feature_cut import feature_cut


def test_the_layer_named_features_is_taken():
    x = inputs = keras.Input((3,))
    for width, name in ((4, "features"), (5, "hidden"), (2, "logits")):
        x = keras.layers.Dense(width, name=name)(x)
    assert feature_cut(keras.Model(inputs, x)).name == "features"


def test_otherwise_what_the_last_weights_read():
    x = inputs = keras.Input((3,))
    x = keras.layers.Dense(4, name="hidden")(x)
    x = keras.layers.Dropout(0.5, name="dropped")(x)
    x = keras.layers.Dense(2, name="last")(x)
    model = keras.Model(inputs, keras.layers.Softmax(name="chances")(x))
    assert feature_cut(model).name == "dropped"


def test_a_nested_backbone_is_entered():
    inner = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(inner)
    pool = keras.layers.GlobalAveragePooling2D(name="inner_pool")(x)
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Dense(2)(keras.Model(inner, pool)(inputs))
    assert feature_cut(keras.Model(inputs, outputs)).name == "inner_pool"


def test_a_model_without_features_is_refused():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs), name="flat")
    with pytest.raises(ValueError, match="Received: 'flat', in which no such tensor"):
        feature_cut(model)
