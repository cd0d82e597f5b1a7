from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.freezing import depth as depth_module
from tftransfer.freezing.blocks import model_blocks
from tftransfer.freezing.depth import is_backbone_frozen, set_trainable_depth

STEM, BLOCK1, BLOCK2 = "stem", "block1", "block2"
BACKBONE = 120 + 184 + 368  # weights, see conftest.py


def open_blocks(model):
    """Blocks with at least one layer that learns."""
    return [
        block.name
        for block in model_blocks(model)
        if any(x.trainable for layer in block.layers for x in layer.weights)
    ]


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, []),
        (1, [BLOCK2]),
        (2, [BLOCK1, BLOCK2]),
        (3, [STEM, BLOCK1, BLOCK2]),
        (np.int64(1), [BLOCK2]),
        (1e-9, [BLOCK2]),
        (368 / BACKBONE, [BLOCK2]),
        (369 / BACKBONE, [BLOCK1, BLOCK2]),
        (552 / BACKBONE, [BLOCK1, BLOCK2]),
        (553 / BACKBONE, [STEM, BLOCK1, BLOCK2]),
        (1.0, [STEM, BLOCK1, BLOCK2]),
        (np.float32(0.5), [BLOCK2]),
        ("stem", [STEM, BLOCK1, BLOCK2]),
        ("block1", [BLOCK1, BLOCK2]),
        ("block2", [BLOCK2]),
        ("all", [STEM, BLOCK1, BLOCK2]),
    ],
)
@pytest.mark.parametrize("kind", ["tiny", "nested"])
def test_depth_counts_from_the_output(kind, depth, expected, request):
    model = request.getfixturevalue(kind)
    set_trainable_depth(model, depth)
    assert open_blocks(model) == expected
    assert is_backbone_frozen(model) == (not expected)
    assert model.get_layer("logits").trainable


def test_depth_none_changes_nothing(tiny, compile_model):
    compile_model(tiny)
    optimizer = tiny.optimizer
    tiny.get_layer("block1_conv").trainable = False
    set_trainable_depth(tiny, None, batch_norm="train")
    assert tiny.optimizer is optimizer
    assert not tiny.get_layer("block1_conv").trainable
    assert tiny.get_layer("stem_conv").trainable


def test_a_layer_name_opens_its_block_from_there_up(tiny):
    set_trainable_depth(tiny, "block1_bn", batch_norm="train")
    states = {layer.name: layer.trainable for layer in tiny.layers if layer.weights}
    assert states == {
        **dict.fromkeys(["stem_conv", "stem_bn", "block1_conv"], False),
        "block1_shortcut": False,
        **dict.fromkeys(["block1_bn", "block2_shortcut", "block2_conv"], True),
        **dict.fromkeys(["block2_bn", "logits"], True),
    }


def test_depth_moves_in_both_directions_with_the_same_result(tiny):
    def state():
        return {x.path: x.trainable for x in tiny.weights}

    states = {}
    for depth in (0, 1, 2, "all", 2, 1, 0):
        set_trainable_depth(tiny, depth)
        assert states.setdefault(depth, state()) == state()


@pytest.mark.parametrize(
    "kind", ["tiny", pytest.param("nested", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "depth", [pytest.param(0, marks=pytest.mark.slow), 1, 2, "all"]
)
def test_frozen_weights_stay_equal_to_the_bit_and_free_ones_move(
    kind, depth, request, batch, compile_model, moved
):
    model = compile_model(request.getfixturevalue(kind))
    model.fit(*batch, verbose=0)  # the step is traced and the optimizer built
    set_trainable_depth(model, depth)
    free = {x.path for x in model.trainable_weights}
    assert moved(model, *batch) == free


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_leaves_frozen_weights_alone(
    optimizer, tiny, batch, compile_model, moved
):
    optimizer = keras.optimizers.get(
        {"class_name": optimizer, "config": {"weight_decay": 0.1}}
    )
    set_trainable_depth(compile_model(tiny, optimizer), 0)
    assert moved(tiny, *batch) == {"logits/kernel", "logits/bias"}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("inference", {"gamma", "beta"}),
        ("frozen", set()),
        ("train", {"gamma", "beta", "moving_mean", "moving_variance"}),
    ],
)
@pytest.mark.parametrize("kind", ["tiny", "nested"])
def test_batch_norm_policies_in_the_open_part(
    kind, policy, expected, request, batch, compile_model, moved
):
    model = compile_model(request.getfixturevalue(kind))
    set_trainable_depth(model, "block2", batch_norm=policy)
    moving = moved(model, *batch)
    of_open = {path.split("/")[-1] for path in moving if "block2_bn" in path}
    assert of_open == expected
    assert not [path for path in moving if "stem_bn" in path or "block1_bn" in path]
    assert any("block2_conv" in path for path in moving)


@pytest.mark.parametrize("policy", ["inference", "frozen"])
def test_fixed_statistics_are_used_while_training(policy, batch, compile_model, moved):
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="block1_bn")(inputs)
    x = layers.Conv2D(2, 3, name="block1_conv")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    model = compile_model(keras.Model(inputs, layers.Dense(5, name="logits")(x)))
    set_trainable_depth(model, "all", batch_norm=policy)
    np.testing.assert_array_equal(
        model(batch[0], training=True), model(batch[0], training=False)
    )


def test_batch_norm_of_the_head_always_trains(batch, compile_model, moved):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 3, name="block1_conv")(inputs)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.BatchNormalization(name="head_bn")(x)
    model = compile_model(keras.Model(inputs, layers.Dense(5)(x)))
    set_trainable_depth(model, 0, batch_norm="frozen")
    assert "head_bn/moving_mean" in moved(model, *batch)


@pytest.mark.slow
def test_real_backbones_keep_frozen_statistics(batch, compile_model, moved):
    backbone = keras.applications.MobileNetV2(
        weights=None, alpha=0.35, include_top=False, pooling="avg"
    )
    outputs = layers.Dense(5, name="logits")(backbone.output)
    model = compile_model(keras.Model(backbone.input, outputs))
    set_trainable_depth(model, "block_16")
    images = np.repeat(np.repeat(batch[0], 4, axis=1), 4, axis=2) / 255
    moving = moved(model, images, batch[1])
    free = {x.path for x in model.trainable_weights}
    assert moving <= free  # some scales are at a ReLU's dead end with random weights
    assert not [path for path in free if "moving" in path]
    assert "Conv_1/kernel" in moving
    assert {path[:8] for path in free} <= {
        "block_16",
        "Conv_1/k",
        "Conv_1_b",
        "logits/k",
        "logits/b",
    }


@pytest.mark.slow
@pytest.mark.parametrize("pooling", [None, "avg"])
def test_a_real_backbone_called_like_a_layer_as_in_the_guide_of_keras(
    pooling, batch, compile_model, moved
):
    backbone = keras.applications.MobileNetV2(
        weights=None,
        alpha=0.35,
        include_top=False,
        input_shape=(32, 32, 3),
        pooling=pooling,
    )
    backbone.trainable = False
    inputs = keras.Input((32, 32, 3))
    x = backbone(layers.Rescaling(1 / 127.5, -1.0)(inputs), training=False)
    x = layers.GlobalAveragePooling2D()(x) if pooling is None else x
    outputs = layers.Dense(5, name="logits")(layers.Dropout(0.2)(x))
    model = compile_model(keras.Model(inputs, outputs))
    assert len(model_blocks(model)) == 19
    images = np.repeat(np.repeat(batch[0], 4, axis=1), 4, axis=2)
    for depth, expected in (
        (1, {"Conv_1", "Conv_1_bn"}),
        (0, set()),
        ("block_16", {"Conv_1", "Conv_1_bn", "block_16"}),
    ):
        set_trainable_depth(model, depth)
        moving = moved(model, images, batch[1])
        free = {x.path for x in model.trainable_weights}
        owners = {path.split("/")[-2] for path in free} - {"logits"}
        parts = {x[:8] if x.startswith("block") else x for x in owners}
        assert parts == expected
        assert moving <= free and "logits/kernel" in moving
        assert depth == 0 or any("Conv_1/kernel" in path for path in moving)


@pytest.mark.slow
def test_nasnet_opens_from_a_layer_inside_its_one_large_block():
    model = keras.applications.NASNetMobile(weights=None, classes=7)
    set_trainable_depth(model, "normal_conv_1_12")
    assert not model.get_layer("normal_conv_1_10").trainable
    share = sum(np.prod(x.shape) for x in model.trainable_weights)
    assert 0 < share / model.count_params() < 0.3


def test_nested_models_of_frozen_layers_are_frozen_themselves(nested):
    set_trainable_depth(nested, 0)
    assert not nested.get_layer("tiny").trainable
    set_trainable_depth(nested, 1)
    assert nested.get_layer("tiny").trainable


class Module(layers.Layer):
    """Like a SavedModel: one layer, two groups of variables."""

    def build(self, shape):
        self.low = self.add_weight(shape=(3, 4), name="low")
        self.high = self.add_weight(shape=(4, 4), name="high")

    @property
    def variable_blocks(self):
        return [("stage1", [self.low]), ("stage2", [self.high])]

    def call(self, images):
        return keras.ops.mean(images, axis=(1, 2)) @ self.low @ self.high


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, set()),
        (1, {"module/high"}),
        ("stage2", {"module/high"}),
        ("all", {"module/low", "module/high"}),
        ("module", {"module/low", "module/high"}),
        (0.5, {"module/high"}),  # 16 of 28
    ],
)
def test_blocks_of_variables_freeze_variable_by_variable(
    depth, expected, batch, compile_model, moved
):
    inputs = keras.Input((8, 8, 3))
    x = Module(name="module")(inputs)
    model = compile_model(keras.Model(inputs, layers.Dense(5, name="logits")(x)))
    set_trainable_depth(model, depth)
    moving = moved(model, *batch)
    assert {path for path in moving if path.startswith("module")} == expected
    assert "logits/kernel" in moving
    assert is_backbone_frozen(model) == (not expected)


class Untold(layers.Layer):
    """Like a SavedModel whose names tell no blocks, and that may not be trainable."""

    def __init__(self, broken=False, **kwargs):
        super().__init__(**kwargs)
        self.broken = broken
        self.batch_norm = "inference"

    def build(self, shape):
        self.low = self.add_weight(shape=(3, 4), name="low")

    def _set_trainable(self, value):
        if value and getattr(self, "broken", False):
            raise ValueError("saved without gradients. Received: it.")
        layers.Layer.trainable.fset(self, value)

    trainable = layers.Layer.trainable.setter(_set_trainable)

    @property
    def variable_blocks(self):
        raise ValueError("names do not tell. Received: variable names.")

    def call(self, images):
        return keras.ops.mean(images, axis=(1, 2)) @ self.low


def build_untold(**options):
    inputs = keras.Input((8, 8, 3))
    x = Untold(name="module", **options)(inputs)
    return keras.Model(inputs, layers.Dense(5, name="logits")(x))


@pytest.mark.parametrize("depth", [1, 0.5])
def test_a_module_that_does_not_tell_its_blocks_refuses_to_count_them(depth):
    with pytest.raises(ValueError, match="names do not tell. Received"):
        set_trainable_depth(build_untold(), depth)


@pytest.mark.parametrize(
    ("depth", "learns"), [(0, False), ("all", True), (1.0, True), ("module", True)]
)
def test_a_module_that_does_not_tell_its_blocks_opens_as_a_whole(depth, learns):
    model = build_untold()
    set_trainable_depth(model, depth)
    assert model.get_layer("module").low.trainable == learns


def test_a_module_that_cannot_be_trained_can_be_frozen_but_not_opened():
    model = build_untold()
    module = model.get_layer("module")
    module.trainable = False
    module.broken = True
    set_trainable_depth(model, 0)
    model.get_layer("logits").bias.trainable = False
    with pytest.raises(ValueError, match="saved without gradients"):
        set_trainable_depth(model, "all")
    # An error leaves all flags as they were.
    assert not module.low.trainable
    assert not model.get_layer("logits").bias.trainable


@pytest.mark.parametrize(
    ("policy", "mode"),
    [("train", "train"), ("inference", "inference"), ("frozen", "inference")],
)
def test_the_batch_norm_policy_reaches_an_open_module(policy, mode):
    model = build_untold()
    module = model.get_layer("module")
    module.batch_norm = "untouched"
    set_trainable_depth(model, 0, batch_norm=policy)
    assert module.batch_norm == "untouched"
    set_trainable_depth(model, "all", batch_norm=policy)
    assert module.batch_norm == mode


class Wrapper(keras.Model):
    """Like `AlignedModel`: not functional, with a functional model inside."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)


@pytest.mark.slow
def test_a_wrapper_trains_what_its_inner_model_shows(tiny, batch, compile_model):
    wrapper = compile_model(Wrapper(compile_model(tiny)))
    wrapper.fit(*batch, verbose=0)
    for model in (wrapper, tiny):
        set_trainable_depth(wrapper, 1)
        before = {x.path: x.numpy() for x in tiny.weights}
        model.fit(*batch, verbose=0)
        moving = {x.path for x in tiny.weights if (before[x.path] != x.numpy()).any()}
        assert moving == {x.path for x in tiny.trainable_weights}
        assert moving == {x.path for x in wrapper.trainable_weights}


@pytest.mark.parametrize("policy", ["frozen", "train", "inference"])
def test_a_saved_model_goes_on_at_the_depth_set_again(
    policy, tiny, batch, compile_model, moved, tmp_path
):
    compile_model(tiny)
    set_trainable_depth(tiny, 1, batch_norm=policy)
    tiny.fit(*batch, verbose=0)
    tiny.save(tmp_path / "tiny.keras")
    if policy == "inference":  # Keras does not keep the flags of single variables
        with pytest.warns(UserWarning, match="Skipping variable loading"):
            loaded = keras.models.load_model(tmp_path / "tiny.keras")
        assert not loaded.get_layer("block2_bn").gamma.trainable
    else:
        loaded = keras.models.load_model(tmp_path / "tiny.keras")
    np.testing.assert_array_equal(
        loaded.predict(batch[0], verbose=0), tiny.predict(batch[0], verbose=0)
    )
    set_trainable_depth(loaded, 1, batch_norm=policy)
    free = {x.path for x in loaded.trainable_weights}
    assert free == {x.path for x in tiny.trainable_weights}
    assert moved(loaded, *batch) >= free


def test_no_file_here_imports_tensorflow():
    # So that it works on the other backends of Keras, which are not installed here.
    folder = Path(depth_module.__file__).parent
    for path in folder.glob("*.py"):
        assert "import tensorflow" not in path.read_text(), path


@pytest.mark.parametrize("depth", [True, False, [1], 1j, b"all"])
def test_other_types_are_refused(tiny, depth):
    with pytest.raises(TypeError, match="`trainable_depth` must be an int.* Received"):
        set_trainable_depth(tiny, depth)


def test_a_negative_number_of_blocks_is_refused(tiny):
    with pytest.raises(ValueError, match=">= 0. Received: trainable_depth=-1"):
        set_trainable_depth(tiny, -1)


@pytest.mark.parametrize("depth", [4, 100])
def test_too_many_blocks_are_refused_with_their_number(tiny, depth):
    expected = f"from 0 to 3, .* Received: trainable_depth={depth}"
    with pytest.raises(ValueError, match=expected):
        set_trainable_depth(tiny, depth)


@pytest.mark.parametrize("depth", [0.0, -0.1, 1.1, float("nan"), float("inf")])
def test_fractions_outside_are_refused(tiny, depth):
    with pytest.raises(ValueError, match=r"in \(0, 1\].* Received: trainable_depth"):
        set_trainable_depth(tiny, depth)


def test_unknown_names_are_refused_with_near_ones(tiny):
    expected = "Received: trainable_depth='blok2'.*'block2'.*stem, block1, block2"
    with pytest.raises(ValueError, match=expected):
        set_trainable_depth(tiny, "blok2")
    with pytest.raises(ValueError, match="The head always learns"):
        set_trainable_depth(tiny, "logits")


def test_an_unknown_policy_is_refused_before_anything_changes(tiny):
    with pytest.raises(ValueError, match="Received: batch_norm='freeze'"):
        set_trainable_depth(tiny, 0, batch_norm="freeze")
    with pytest.raises(ValueError, match="Received: trainable_depth=9"):
        set_trainable_depth(tiny, 9)
    assert all(layer.trainable for layer in tiny.layers)
