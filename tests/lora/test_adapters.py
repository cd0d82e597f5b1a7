import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft
from tftransfer.lora.adapters import adapted_layers


def read(variables):
    return {id(x): (x.path, np.array(x)) for x in variables}


def moved(before, variables):
    now = read(variables)
    return [name for i, (name, x) in before.items() if not (now[i][1] == x).all()]


def test_nothing_changes_until_adapters_learn(build_cnn, images):
    model = build_cnn()
    before = model.predict(images, verbose=0)
    assert tft.add_lora(model, 2) is model
    np.testing.assert_array_equal(model.predict(images, verbose=0), before)


def test_fit_moves_adapters_head_and_depthwise_kernels_alone(build_cnn, images, labels):
    model = tft.add_lora(build_cnn(), 2)
    before = read(model.weights)
    model.fit(images, labels, epochs=2, verbose=0)
    learned = ["stem_conv", "block1_conv", "block2_conv"]
    expected = [f"{x}/adapter_{y}" for x in learned for y in "ab"]
    for name in ("block1_dwconv", "block2_dwconv", "logits"):
        expected += [f"{name}/kernel", f"{name}/bias"]
    assert sorted(moved(before, model.weights)) == sorted(expected)


def test_gradients_are_those_of_the_product(build_cnn, images, labels):
    import tensorflow as tf

    model = build_cnn()
    tft.add_lora(model, 2, alpha=6, targets="block2_conv")
    layer = model.get_layer("block2_conv")
    layer.adapter_b.assign(np.ones(layer.adapter_b.shape, "float32"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def gradients(variables):
        with tf.GradientTape() as tape:
            tape.watch([x.value for x in variables])
            value = loss(labels, model(images))
        return [np.array(x) for x in tape.gradient(value, [x.value for x in variables])]

    (whole,) = gradients([layer._kernel])
    of_a, of_b = gradients([layer.adapter_a, layer.adapter_b])
    a, b, whole = layer.adapter_a, layer.adapter_b, whole.reshape(16, 16)
    np.testing.assert_allclose(of_a, 3 * whole @ np.array(b).T, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(of_b, 3 * np.array(a).T @ whole, rtol=1e-4, atol=1e-7)


def test_training_lowers_the_loss(build_cnn, images, labels):
    model = tft.add_lora(build_cnn(), 2)
    losses = model.fit(images, labels, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_adapters_learn_where_the_backbone_was_frozen(build_cnn):
    model = build_cnn()
    tft.set_trainable_depth(model, 0)
    tft.add_lora(model, 2, targets="block2_conv")
    assert [x.path for x in model.trainable_variables] == [
        "block2_conv/adapter_a",
        "block2_conv/adapter_b",
        "logits/kernel",
        "logits/bias",
    ]


def test_trainable_does_not_free_what_lora_froze(build_cnn):
    model = tft.add_lora(build_cnn(), 2, targets="block2_conv")
    layer = model.get_layer("block2_conv")
    layer.trainable = False
    layer.trainable = True
    assert len(layer.trainable_variables) == 2 and not layer._kernel.trainable


def test_merging_gives_the_same_outputs_with_plain_layers(build_cnn, images, move):
    model = build_cnn()
    plain = [type(layer) for layer in model.layers]
    weights = [weight.path for weight in model.weights]
    before = model.predict(images, verbose=0)
    move(tft.add_lora(model, 2, alpha=4))
    adapted = model.predict(images, verbose=0)
    assert np.abs(adapted - before).max() > 1e-2
    assert tft.merge_lora(model) is model
    np.testing.assert_allclose(model.predict(images, verbose=0), adapted, atol=1e-5)
    assert [type(layer) for layer in model.layers] == plain
    assert [weight.path for weight in model.weights] == weights
    learning = [weight.path for weight in model.trainable_variables]
    assert learning == ["logits/kernel", "logits/bias"]


def test_a_merged_model_is_a_model_as_any_other(build_cnn, images, labels, tmp_path):
    model = tft.add_lora(build_cnn(), 2)
    model.fit(images, labels, verbose=0)
    expected = tft.merge_lora(model).predict(images, verbose=0)
    model.save(tmp_path / "merged.keras")
    loaded = keras.models.load_model(tmp_path / "merged.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    assert "adapt" not in str(loaded.get_config()).lower()
    tft.set_trainable_depth(loaded, "all")
    loaded.fit(images, labels, verbose=0)
    tft.add_lora(model, 1)  # and adapters can go in again


def test_what_was_traced_before_is_forgotten(build_cnn, images, move):
    model = build_cnn(compiled=False)
    before = model.predict(images, verbose=0)
    tft.add_lora(model, 2)
    model.predict(images, verbose=0)
    move(model)
    moved = model.predict(images, verbose=0)
    assert np.abs(moved - before).max() > 1e-2
    tft.merge_lora(model)
    np.testing.assert_allclose(model.predict(images, verbose=0), moved, atol=1e-5)


def test_a_kernel_no_larger_than_its_adapters_learns_whole(build_cnn):
    model = tft.add_lora(build_cnn(), 8, targets=["block1_conv", "stem_conv"])
    assert len(adapted_layers(model)) == 2
    names = [x.path for x in model.get_layer("block1_conv").trainable_variables]
    assert names == ["block1_conv/kernel", "block1_conv/bias"]
    assert len(model.get_layer("stem_conv").trainable_variables) == 2
    tft.merge_lora(model)
    assert type(model.get_layer("block1_conv")) is layers.Conv2D


def test_the_settings_of_compile_stay(build_cnn, images, labels):
    model = build_cnn()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.25), loss, metrics=["acc"])
    tft.add_lora(model, 2)
    assert type(model.optimizer) is keras.optimizers.SGD
    assert float(model.optimizer.learning_rate) == 0.25
    assert "acc" in model.fit(images, labels, verbose=0).history


def test_quantizing_leaves_adapted_layers_out(build_cnn, images, move):
    model = tft.add_lora(build_cnn(), 2, targets="block2_conv")
    move(model)
    expected = model.predict(images, verbose=0)
    with pytest.warns(UserWarning, match="logits|quantize|Conv2D"):
        model.quantize("int8")
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=0.1)


@pytest.mark.parametrize(
    "rank, alpha, error, message",
    [
        (0, None, ValueError, "`rank` must be a whole number >= 1. Received: rank=0"),
        (2.5, None, TypeError, "Received: rank=2.5"),
        (
            2,
            0,
            ValueError,
            "`alpha` must be a finite number above 0. Received: alpha=0",
        ),
        (2, -1.0, ValueError, "Received: alpha=-1.0"),
        (2, "2", TypeError, "Received: alpha='2'"),
    ],
)
def test_numbers_out_of_range_are_refused(build_cnn, rank, alpha, error, message):
    model = build_cnn()
    with pytest.raises(error, match=message):
        tft.add_lora(model, rank, alpha=alpha)
    assert not adapted_layers(model)


def test_adapters_go_in_once(build_cnn):
    model = tft.add_lora(build_cnn(), 2)
    with pytest.raises(ValueError, match="Received: a model with adapters in 'stem_"):
        tft.add_lora(model, 2)


def test_a_model_without_adapters_has_nothing_to_merge(build_cnn):
    with pytest.raises(ValueError, match="Received: Functional 'functional.*' without"):
        tft.merge_lora(build_cnn())


def test_a_wrong_target_changes_nothing(build_cnn, images):
    model = build_cnn()
    flags = [weight.trainable for weight in model.weights]
    with pytest.raises(ValueError, match="Received: targets with 'nothing'"):
        tft.add_lora(model, 2, targets=["Conv2D", "nothing"])
    assert [weight.trainable for weight in model.weights] == flags
