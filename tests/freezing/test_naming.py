import keras
import pytest
from keras import layers

from tftransfer.freezing.naming import block_name


def layers_named(*names):
    return [layers.Activation("linear", name=name) for name in names]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["block5_conv1"], "block5"),
        (["conv4_block2_1_conv", "conv4_block2_add"], "conv4_block2"),
        (["block_16_expand"], "block_16"),
        (["block1a_se_squeeze", "block1a_se_excite"], "block1a"),
        (["block35_1_mixed", "block35_1_conv"], "block35_1"),
        (["expanded_conv_squeeze_excite"], "expanded_conv"),
        (["expanded_conv_10_squeeze_excite"], "expanded_conv_10"),
        (["net_stage_0_block_1_gelu"], "net_stage_0_block_1"),
        (["stem_conv", "stem_bn"], "stem"),
        (["bn_Conv1", "Conv1"], "Conv1"),
        (["conv"], "conv"),
        (["mixed9_1", "mixed10"], "mixed10"),
    ],
)
def test_a_block_is_named_by_what_its_layers_share(names, expected):
    assert block_name(layers_named(*names)) == expected


def test_names_given_by_keras_are_passed_over():
    keras.backend.clear_session()
    automatic = [layers.Conv2D(1, 1), layers.DepthwiseConv2D(1), layers.ReLU()]
    assert block_name([*automatic, *layers_named("mixed3")]) == "mixed3"


def test_without_other_names_the_largest_layer_gives_its_own():
    small, large = layers.Dense(2), layers.Dense(9)
    for layer in (small, large):
        layer.build((None, 3))
    assert block_name([small, large]) == large.name
