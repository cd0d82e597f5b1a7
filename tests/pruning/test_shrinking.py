import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft
from tftransfer.freezing.blocks import model_blocks

KEPT = {
    "inverted_residual": {
        "stem_conv": [0, 2, 5],
        "block1_expand": [1, 3, 4, 9],
        "block1_se_reduce": [2],
        "head_dense_1": [0, 7, 8, 15],
    },
    "side_by_side": {"one": [3], "two": [0, 2], "up": [1, 4], "hidden": [6, 0, 2]},
}
# The first: stem 3*3*3*3 + 4*3; expand 3*4 + 4 + 16; depthwise 9*4 + 4 + 16; reduce
# 4 + 1; expand 4 + 4; project 4*3 + 3 + 12; head 3*4 + 4; logits 4*3 + 3. The second:
# one 9*2 + 1; two 9*2*2 + 2; bn 4*3; depthwise 9*3*2 + 6; up 4*6*2 + 2; hidden 3*3*2
# places by 3 + 3; logits 3*2 + 2.
SIZES = {
    "inverted_residual": (81 + 12) + 32 + 56 + 5 + 8 + 27 + 16 + 15,
    "side_by_side": 19 + 38 + 12 + 60 + 50 + (18 * 3 + 3) + 8,
}


def images(model, rng):
    shape = (5, *model.input_shape[1:])
    return rng.uniform(0, 255, shape).astype("float32") / 100


@pytest.mark.parametrize("name", KEPT)
def test_the_small_model_gives_what_the_masked_one_gives(build, name, switch_off, rng):
    model = build(name)
    whole = model.predict(images(model, rng), verbose=0)
    small = tft.shrink_model(model, KEPT[name])
    assert small.count_params() == SIZES[name]
    assert np.array_equal(whole, model.predict(images(model, rng), verbose=0)) is False
    switch_off(model, KEPT[name])
    x = images(model, rng)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(
        small.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-5 * expected.std()
    )
    assert small.input_shape == model.input_shape
    assert small.name == model.name


def test_weights_are_those_that_stay(build):
    model = build()
    small = tft.shrink_model(model, KEPT["inverted_residual"])
    stem, expand = KEPT["inverted_residual"]["stem_conv"], [1, 3, 4, 9]
    kernel = model.get_layer("block1_expand").get_weights()[0]
    np.testing.assert_array_equal(
        small.get_layer("block1_expand").get_weights()[0],
        kernel[:, :, stem][..., expand],
    )
    for one, other in zip(
        small.get_layer("block1_depthwise_bn").get_weights(),
        model.get_layer("block1_depthwise_bn").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other[expand])


def test_nothing_is_shared_and_flags_are_kept(build):
    model = build()
    tft.set_trainable_depth(model, "block1_project", batch_norm="inference")
    small = tft.shrink_model(model, {"head_dense_1": [0, 1]})
    assert not set(map(id, small.layers)) & set(map(id, model.layers))
    for one, other in zip(small.weights, model.weights, strict=True):
        assert one.path == other.path
        assert one.trainable == other.trainable
        assert one is not other
    assert [layer.trainable for layer in small.layers] == [
        layer.trainable for layer in model.layers
    ]
    assert not small.get_layer("stem_conv").trainable


def test_blocks_and_the_head_keep_their_names(build):
    model = build()
    small = tft.shrink_model(model, KEPT["inverted_residual"])
    names = [block.name for block in model_blocks(model)]
    assert [block.name for block in model_blocks(small)] == names == ["stem", "block1"]
    assert small.get_layer("features").output.shape == (None, 3)


def test_a_small_model_saves_as_any_other(build, tmp_path, rng):
    model = build("side_by_side")
    small = tft.shrink_model(model, KEPT["side_by_side"])
    small.save(tmp_path / "small.keras")
    loaded = keras.models.load_model(tmp_path / "small.keras")
    x = images(model, rng)
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), small.predict(x, verbose=0)
    )


def test_a_compiled_model_gives_a_compiled_one(build_mlp, arrays):
    model = build_mlp(keras.optimizers.SGD(0.25, momentum=0.5))
    model.fit(*arrays, verbose=0)
    small = tft.shrink_model(model, {"head_dense_1": range(5)})
    assert isinstance(small.optimizer, keras.optimizers.SGD)
    assert small.optimizer is not model.optimizer
    assert float(small.optimizer.learning_rate) == 0.25
    before = [w.copy() for w in model.get_weights()]
    history = small.fit(*arrays, verbose=0).history
    assert set(history) == {"accuracy", "loss"}
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_aligned_model_gives_its_plain_model(build_mlp, arrays):
    model = build_mlp()
    aligned = tft.AlignedModel(model, regularization=[tft.L2SP(0.1)])
    aligned.compile("adam", model.loss, metrics=["accuracy"])
    small = tft.shrink_model(aligned, {"head_dense_1": range(16)})
    assert type(small) is not tft.AlignedModel
    np.testing.assert_array_equal(
        small.predict(arrays[0], verbose=0), model.predict(arrays[0], verbose=0)
    )
    assert "accuracy" in small.evaluate(*arrays, verbose=0, return_dict=True)


def test_nested_models_and_normalization_are_laid_flat(rng):
    inside = keras.Input((5,))
    norm = layers.Normalization(name="norm")
    norm.adapt(rng.normal(3.0, 2.0, size=(100, 5)).astype("float32"))
    hidden = layers.Dense(6, activation="selu", name="hidden")(norm(inside))
    nested = keras.Model(inside, hidden, name="nested")
    model = keras.Sequential([keras.Input((5,)), nested, layers.Dense(2, name="top")])
    small = tft.shrink_model(model, {"hidden": [0, 1, 2, 3, 4, 5]})
    assert [layer.name for layer in small.layers][1:] == ["norm", "hidden", "top"]
    x = rng.normal(size=(4, 5)).astype("float32")
    np.testing.assert_allclose(small(x), model(x), atol=1e-6)
    assert tft.shrink_model(model, {"hidden": [3]}).count_params() == 11 + 6 + 4


def test_layers_that_are_not_of_keras_are_shared(rng):
    class Double(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2

    inputs = keras.Input((5,))
    hidden = layers.Dense(6, name="hidden")(Double(name="double")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    small = tft.shrink_model(model, {"hidden": [0]})
    assert small.get_layer("double") is model.get_layer("double")
    assert small.count_params() == 6 + 4


def test_a_lambda_is_shared_as_its_code_cannot_be_copied():
    inputs = keras.Input((5,))
    doubled = layers.Lambda(lambda x: 2 * x, name="double")(inputs)
    hidden = layers.Dense(6, name="hidden")(doubled)
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    assert tft.shrink_model(model, {"hidden": [0]}).count_params() == 6 + 4


@pytest.mark.parametrize(
    ("kept", "error", "message"),
    [
        (["hidden"], TypeError, r"Received: kept=\['hidden'\]"),
        ({"hiden": [0]}, ValueError, "'hiden', which is none .* 'hidden'"),
        ({"hidden": []}, ValueError, r"Received: kept\['hidden'\]=\[\]"),
        ({"hidden": [0, 7]}, ValueError, r"from 0 to 6 in 'hidden'. Received: .*7\]"),
        ({"hidden": [-1]}, ValueError, r"Received: kept\['hidden'\]=\[-1\]"),
        ({"hidden": [0.5]}, ValueError, r"Received: kept\['hidden'\]=\[0.5\]"),
        ({"logits": [0]}, ValueError, "'logits', of which units are held by the mod"),
    ],
)
def test_what_cannot_be_kept_is_refused(beside, kept, error, message):
    with pytest.raises(error, match=message):
        tft.shrink_model(beside, kept)


def test_tied_layers_that_disagree_are_refused(residual):
    kept = {"stem_conv": [0, 1], "block1_project": [0, 2]}
    with pytest.raises(ValueError, match="Received: kept with 'stem_conv', 'block1_p"):
        tft.shrink_model(residual, kept)


def test_adapters_are_to_be_merged_before(build):
    model = tft.add_lora(build(), 1, targets="block1_project")
    with pytest.raises(ValueError, match="Received: a model with some. Give it"):
        tft.shrink_model(model, {"head_dense_1": [0]})
