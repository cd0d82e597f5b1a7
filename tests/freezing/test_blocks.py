import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.freezing.blocks import model_blocks, split_model


def names(model):
    return [block.name for block in model_blocks(model)]


def test_blocks_of_a_residual_network(tiny):
    blocks, head = split_model(tiny)
    assert [(block.name, block.num_parameters) for block in blocks] == [
        ("stem", 120),
        ("block1", 184),
        ("block2", 368),
    ]
    assert [layer.name for layer in head] == ["head_dropout", "logits"]


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("VGG16", 5, "block1", "block5"),
        ("MobileNetV2", 19, "Conv1", "Conv_1"),
        ("EfficientNetB0", 18, "stem", "top"),
        ("DenseNet121", 62, "conv1", "conv5_block16"),
        ("ConvNeXtTiny", 22, "convnext_tiny_stem", "convnext_tiny_stage_3_block_2"),
        ("ResNet50V2", 17, "conv1", "conv5_block3"),
        pytest.param(
            *("NASNetMobile", 2, "stem_conv1", "normal_concat_12"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_blocks_of_keras_applications(name, count, first, last):
    build = getattr(keras.applications, name)
    model = build(weights=None, classes=7, input_shape=(32, 32, 3))
    blocks, head = split_model(model)
    found = [block.name for block in blocks]
    assert len(found) == len(set(found)) == count
    assert (found[0], found[-1]) == (first, last)
    in_parts = {
        id(x) for block in blocks for layer in block.layers for x in layer.weights
    }
    in_parts |= {id(x) for layer in head for x in layer.weights}
    missing = [x for x in model.weights if id(x) not in in_parts]
    # All but the preprocessing statistics of EfficientNet.
    assert all(x.path.startswith("normalization") for x in missing)


def test_blocks_are_the_same_in_a_nested_model(nested):
    blocks, head = split_model(nested)
    assert [block.name for block in blocks] == ["stem", "block1", "block2"]
    assert [layer.name for layer in head] == ["hidden", "logits"]


def test_all_above_the_layer_named_features_is_head():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="below")(inputs)
    x = layers.Activation("linear", name="features")(x)
    x = layers.Dense(4, name="a")(x)
    x = layers.Flatten()(x)
    blocks, head = split_model(keras.Model(inputs, layers.Dense(2, name="b")(x)))
    assert [block.name for block in blocks] == ["below"]
    assert [layer.name for layer in head if layer.weights] == ["a", "b"]


def test_a_head_may_read_the_feature_map_below_the_features():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="block1_conv")(inputs)
    feature_map = layers.Conv2D(4, 3, name="block2_conv")(x)
    x = layers.GlobalAveragePooling2D(name="features")(feature_map)
    y = layers.Conv2DTranspose(2, 3, name="upsampling")(feature_map)
    y = layers.GlobalMaxPooling2D()(y)
    model = keras.Model(inputs, layers.Concatenate()([x, y]))
    blocks, head = split_model(model)
    assert [block.name for block in blocks] == ["block1", "block2"]
    assert "upsampling" in [layer.name for layer in head]


def test_without_pooling_the_last_layers_with_weights_are_the_head():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="below")(inputs)
    outputs = [layers.Dense(2, name="a")(x), layers.Dense(3, name="b")(x)]
    blocks, head = split_model(keras.Model(inputs, outputs))
    assert [block.name for block in blocks] == ["below"]
    assert [layer.name for layer in head] == ["a", "b"]


def test_a_pooling_with_no_weights_above_leaves_an_empty_head():
    model = keras.applications.MobileNetV2(
        weights=None, alpha=0.35, include_top=False, pooling="avg"
    )
    blocks, head = split_model(model)
    assert len(blocks) == 19
    assert not head


def test_a_single_layer_is_all_head():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="only")])
    assert names(model) == []


def test_a_layer_used_twice_belongs_to_its_first_place():
    shared = layers.Dense(4, name="shared")
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="between")(shared(inputs))
    model = keras.Model(inputs, layers.Dense(2)(shared(x)))
    assert names(model) == ["shared", "between"]


def test_preprocessing_statistics_are_no_block():
    normalization = layers.Normalization(mean=[1.0] * 4, variance=[2.0] * 4)
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="first")(normalization(inputs))
    blocks = model_blocks(keras.Model(inputs, layers.Dense(2)(x)))
    assert [(block.name, block.num_parameters) for block in blocks] == [("first", 15)]


def test_equal_names_in_two_places_are_told_apart():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="block1_a")(inputs)
    x = layers.Dense(4, name="between")(x)
    x = layers.Dense(4, name="block1_b")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert names(model) == ["block1", "between", "block1#2"]


def test_a_layer_with_variable_blocks_gives_them_as_blocks():
    class Module(layers.Layer):
        def build(self, shape):
            self.low = self.add_weight(shape=(4, 4), name="low")
            self.high = self.add_weight(shape=(4, 2), name="high")

        @property
        def variable_blocks(self):
            return [("stage1", [self.low]), ("stage2", [self.high])]

        def call(self, x):
            return x @ self.low @ self.high

    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(Module()(inputs)))
    blocks = model_blocks(model)
    assert [(x.name, x.num_parameters) for x in blocks] == [
        ("stage1", 16),
        ("stage2", 8),
    ]
    assert np.all([len(block.variables) == 1 for block in blocks])
