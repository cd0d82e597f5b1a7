"""LoRA together with depth, stages, the fast path, alignment, policies and exports."""

import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft
from tftransfer.acceleration.frozen_cuts import find_frozen_cuts


def learning(model):
    return sorted({x.path.split("/")[0] for x in model.trainable_variables})


@pytest.mark.parametrize(
    "depth, expected",
    [
        (0, ["logits"]),
        (1, ["block2_conv", "block2_dwconv", "logits"]),
        ("block2_conv", ["block2_conv", "logits"]),
        ("all", ["block1_conv", "block2_conv", "block2_dwconv", "logits", "stem_conv"]),
    ],
)
@pytest.mark.parametrize("batch_norm", ["inference", "train"])
def test_depth_opens_adapters_and_nothing_beside_them(
    build_cnn, images, depth, expected, batch_norm
):
    model = build_cnn(compiled=False)
    targets = ["Conv2D", "block2_dwconv"]  # block1_dwconv is not among them
    tft.add_lora(model, 2, targets=targets)
    tft.set_trainable_depth(model, 1)
    tft.set_trainable_depth(model, depth, batch_norm=batch_norm)
    assert learning(model) == expected
    kernels = [x.path for x in model.trainable_variables if "conv/kernel" in x.path]
    assert set(kernels) <= {"block2_dwconv/kernel"}
    statistics = [np.array(x) for x in model.non_trainable_variables]
    model(images, training=True)
    for before, after in zip(statistics, model.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(after, before)


def test_adapters_in_the_last_block_leave_the_rest_to_the_fast_path(build_cnn):
    model = build_cnn()
    tft.add_lora(model, 2)
    assert not find_frozen_cuts(model).cuts
    tft.set_trainable_depth(model, 1)
    assert find_frozen_cuts(model).cuts[-1][0].name == "block1_bn"
    tft.add_lora(tft.merge_lora(model), 2, targets="block2_conv")
    assert find_frozen_cuts(model).cuts[-1][0].name == "block2_dwconv"


def test_stages_open_adapters_and_stored_features_train_them(
    build_cnn, images, labels, capsys
):
    model = build_cnn()
    tft.add_lora(model, 2)
    kernels = {
        x.name: np.array(x._kernel)
        for x in model.layers
        if "conv" in x.name
        if hasattr(x, "adapter_a")
    }
    stages = [
        tft.Stage(1, trainable_depth=0),
        tft.Stage(2, learning_rate=0.01, trainable_depth=1),
    ]
    history = tft.fine_tune(model, (images, labels), stages=stages, verbose=1, seed=0)
    assert history.stages == [0, 1]
    assert "block1_bn" in capsys.readouterr().out  # where the stored features are from
    assert np.any(model.get_layer("block2_conv").adapter_b)
    assert not np.any(model.get_layer("block1_conv").adapter_b)
    for name, kernel in kernels.items():
        np.testing.assert_array_equal(model.get_layer(name)._kernel, kernel)


def test_the_head_learns_first_and_then_all_adapters(build_cnn, images, labels):
    model = tft.add_lora(build_cnn(), 2)
    before = learning(model)
    history = tft.fine_tune(
        model, (images, labels), epochs=1, frozen_epochs=1, cache=False, verbose=0
    )
    assert history.stages == [0, 1]
    assert learning(model) == before
    assert np.any(model.get_layer("stem_conv").adapter_b)


@pytest.mark.slow
def test_an_aligned_model_learns_by_adapters(images, labels, tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, name="block1_conv")(inputs)
    x = layers.Conv2D(16, 1, name="block2_conv")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    plain = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    model = tft.AlignedModel(plain, tft.DANN())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit((images, images[::-1]), labels, verbose=0)
    tft.add_lora(model, 2, targets="block2_conv")
    kernel = np.array(plain.get_layer("block2_conv")._kernel)
    model.fit((images, images[::-1]), labels, verbose=0)
    assert np.any(plain.get_layer("block2_conv").adapter_b)
    np.testing.assert_array_equal(plain.get_layer("block2_conv")._kernel, kernel)
    assert any(
        "logits" not in x.path and "conv" not in x.path
        for x in model.trainable_variables
    )  # the domain classifier
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = tft.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-6)
    tft.merge_lora(loaded)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_values_hold_under_other_policies(policy, images, labels, tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, name="block1_conv", dtype=policy)(inputs)
    x = layers.GlobalAveragePooling2D(name="features", dtype=policy)(x)
    model = keras.Model(inputs, layers.Dense(3, name="logits", dtype="float32")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, auto_scale_loss=True)
    tft.add_lora(model, 2)
    history = model.fit(images, labels, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    factor = model.get_layer("block1_conv").adapter_b
    assert factor.dtype == ("float64" if policy == "float64" else "float32")
    assert np.any(factor)
    expected = model.predict(images, verbose=0)
    kernel = np.array(model.get_layer("block1_conv")._kernel)
    model.save(tmp_path / "model.keras")
    loaded = tft.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded.get_layer("block1_conv")._kernel, kernel)  # unrounded
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    tft.merge_lora(loaded)  # the same sum, rounded once: equal to the bit
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)


@pytest.mark.slow
@pytest.mark.parametrize("merged", [False, True])
def test_exports_give_what_the_model_gives(merged, tmp_path, rng):
    backbone = tft.load_backbone("keras:MobileNetV2", alpha=0.35, weights=None)
    model = tft.build_transfer_model(backbone, num_classes=3, image_size=(32, 32))
    pixels = rng.integers(0, 256, (4, 32, 32, 3)).astype("uint8")
    tft.add_lora(model, 4)
    told = tft.describe_lora(model)
    assert told.trainable_share < 0.2 and len(told.whole) >= 17  # depthwise
    model.fit(pixels, np.arange(4) % 3, verbose=0)
    expected = model.predict(pixels, verbose=0)
    if merged:
        tft.merge_lora(model)
    names = ["a", "b", "c"]
    tft.export_model(model, tmp_path / "export", class_names=names)
    found = tft.load_exported(tmp_path / "export").predict(pixels)
    order = np.argsort(expected, axis=1)[:, -1]
    assert found.labels == [names[place] for place in order]


SCRIPT = """
import keras
import numpy as np
from keras import layers

import tftransfer as tft

keras.utils.set_random_seed(0)
inputs = keras.Input((4, 8))
x = layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
x = layers.Conv1D(8, 1, name="conv")(x)
x = layers.GlobalAveragePooling1D(name="features")(x)
model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
model.compile(
    keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(True)
)
tft.add_lora(model, 1, targets=["query", "conv"], alpha=2)
x, y = np.random.rand(12, 4, 8).astype("float32"), np.arange(12) % 3
kernel = np.array(model.get_layer("conv")._kernel)
losses = model.fit(x, y, epochs=8, verbose=0).history["loss"]
assert losses[-1] < losses[0]
layer = model.get_layer("conv")
assert np.array_equal(layer._kernel, kernel) and np.any(layer.adapter_b)
product = np.array(layer.adapter_a) @ np.array(layer.adapter_b)
expected = kernel + 2 * product.reshape(kernel.shape)
np.testing.assert_allclose(np.array(layer.kernel), expected, rtol=1e-5)
before = model.predict(x, verbose=0)
model.save("model.keras")
loaded = tft.load_model("model.keras")
np.testing.assert_allclose(loaded.predict(x, verbose=0), before, atol=1e-6)
tft.save_lora(model, "adapters.npz")
tft.merge_lora(model)
np.testing.assert_allclose(model.predict(x, verbose=0), before, atol=1e-5)
print(keras.backend.backend(), len(model.weights))
"""


@pytest.mark.slow
def test_all_of_it_under_the_jax_backend(run_under_jax):
    printed = run_under_jax(SCRIPT)
    assert printed.split() == ["jax", "12"]  # attention 8, conv 2, head 2
