import keras
import pytest
from keras import layers

from tftransfer.lora.targets import find_targets, list_candidates


def build_encoder():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8, name="tokens")(inputs)
    for number in range(2):
        attention = layers.MultiHeadAttention(2, 4, name=f"block{number}_attention")
        x = layers.Add(name=f"block{number}_add")([x, attention(x, x)])
        x = layers.Dense(8, name=f"block{number}_dense")(x)
    x = layers.GlobalAveragePooling1D(name="features")(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def names(model, targets):
    return [target.name for target in find_targets(model, targets)]


def test_candidates_tell_block_kind_and_shape(build_cnn):
    first, second, third, *_ = list_candidates(build_cnn())
    assert (first.name, first.block, first.kind) == ("stem_conv", "stem", "Conv2D")
    assert first.shape == (27, 16) and first.owner is first.layer and first.path == ""
    assert (second.name, second.kind) == ("block1_dwconv", "DepthwiseConv2D")
    assert second.shape is None and third.shape == (16, 16)


def test_the_head_is_no_candidate(build_cnn):
    assert "logits" not in [x.name for x in list_candidates(build_cnn())]


@pytest.mark.parametrize(
    "targets, expected",
    [
        (
            "auto",
            "stem_conv block1_dwconv block1_conv block2_dwconv block2_conv",
        ),
        ("Conv2D", "stem_conv block1_conv block2_conv"),
        (["DepthwiseConv2D"], "block1_dwconv block2_dwconv"),
        ("block2", "block2_dwconv block2_conv"),
        ("block2_conv", "block2_conv"),
        ("block[12]_conv", "block1_conv block2_conv"),
        (("block2_conv", "stem*", "stem_conv"), "stem_conv block2_conv"),
    ],
)
def test_targets_are_names_patterns_blocks_or_kinds(build_cnn, targets, expected):
    assert names(build_cnn(), targets) == expected.split()


def test_attention_usually_gets_adapters_at_query_and_value():
    assert names(build_encoder(), "auto") == [
        "block0_attention/query",
        "block0_attention/value",
        "block1_attention/query",
        "block1_attention/value",
    ]


def test_layers_inside_others_go_by_either_name():
    model = build_encoder()
    assert names(model, "attention_output") == [
        "block0_attention/attention_output",
        "block1_attention/attention_output",
    ]
    assert names(model, "block1_attention/key") == ["block1_attention/key"]
    assert names(model, "Embedding") == ["tokens"]
    (target,) = find_targets(model, "block1_attention/key")
    assert target.owner is model.get_layer("block1_attention")
    assert target.path == "key"


def test_embeddings_get_adapters_where_there_is_nothing_else():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8, name="words")(inputs)
    x = layers.GlobalAveragePooling1D(name="features")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert names(model, "auto") == ["words"]


def test_layers_that_share_a_name_in_nested_models_are_told_apart():
    def nested(name):
        inputs = keras.Input((4,))
        outputs = layers.Dense(4, name="dense")(inputs)
        return keras.Model(inputs, outputs, name=name)

    inputs = keras.Input((4,))
    x = layers.Activation("linear", name="features")(nested("b")(nested("a")(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert names(model, "dense") == ["dense", "dense#2"]


def test_a_layer_used_twice_is_one_target():
    shared = layers.Dense(4, name="shared")
    inputs = keras.Input((4,))
    x = layers.Activation("linear", name="features")(shared(shared(inputs)))
    assert names(keras.Model(inputs, layers.Dense(2)(x)), "auto") == ["shared"]


@pytest.mark.parametrize("rank, whole", [(1, False), (7, False), (8, True), (20, True)])
def test_adapters_as_large_as_the_matrix_are_none(build_cnn, rank, whole):
    (target,) = find_targets(build_cnn(), "block1_conv")  # 16 x 16: 32 for each rank
    assert target.learns_whole(rank) is whole


@pytest.mark.parametrize(
    "targets, message",
    [
        ("block2_konv", "'block2_konv', which matches none. Did you mean 'block2_conv"),
        ("conv2d", "'conv2d', which matches none. Did you mean 'Conv2D'"),
        (["Conv2D", "block3"], "'block3', which matches none. Did you mean 'block"),
        ("logits", "'logits', which matches none. That is in the head"),
        ("*query*", "kinds Conv2D, DepthwiseConv2D, such as .* blocks stem, block1"),
    ],
)
def test_targets_that_match_nothing_are_refused(build_cnn, targets, message):
    with pytest.raises(ValueError, match=message):
        find_targets(build_cnn(), targets)


@pytest.mark.parametrize("targets", [[], None, 3, ["Conv2D", 3]])
def test_targets_of_another_type_are_refused(build_cnn, targets):
    with pytest.raises(TypeError, match="Received: targets="):
        find_targets(build_cnn(), targets)


def test_a_model_without_layers_to_adapt_is_refused():
    inputs = keras.Input((4,))
    x = layers.BatchNormalization(name="features")(inputs)
    with pytest.raises(ValueError, match="Received: 'plain', where there is none"):
        find_targets(keras.Model(inputs, layers.Dense(2)(x), name="plain"), "auto")
