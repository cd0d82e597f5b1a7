"""All that stays near the pretrained weights, with one another and with the rest."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft


def everything():
    return [
        tft.L2SP(0.01),
        tft.BSS(1e-3),
        tft.DELTA(0.01, layers=["block2"]),
        tft.Mixout(0.3, seed=1),
    ]


def test_two_of_a_kind_are_shown_under_two_names(build, arrays):
    model = build([tft.BSS(0.1), tft.BSS(0.2), tft.L2SP(0.1)])
    history = model.fit(*arrays, batch_size=40, verbose=0).history
    assert set(history) == {"loss", "bss", "bss_2", "l2sp"}
    np.testing.assert_allclose(history["bss_2"][0], 2 * history["bss"][0], rtol=1e-6)


def test_no_regularization_is_plain_training(build, arrays):
    weights = []
    for regularization in (
        None,
        [tft.L2SP(0.0, 0.0), tft.BSS(0.0), tft.DELTA(0.0, 0.0)],
    ):
        model = build(regularization, dropout=0.5)
        model.fit(*arrays, epochs=2, shuffle=False, verbose=0)
        weights.append(getattr(model, "model", model).get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("parts", [slice(0, 2), slice(2, 3), slice(0, 3)])
def test_above_stored_features_everything_counts_the_same(build, arrays, parts, capsys):
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(8)
    kept, histories = [], []
    for cache in (False, True):
        model = build(everything()[parts])
        history = tft.fine_tune(
            model,
            data,
            epochs=3,
            frozen_epochs=1,
            trainable_depth=1,
            cache=cache,
            engine="tensorflow",
            verbose=2 if cache else 0,
        )
        kept.append(model.model.get_weights())
        histories.append(history.history)
    assert "rows of features at" in capsys.readouterr().out
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, atol=1e-5, err_msg=name)
    for one, other in zip(*kept, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_mixout_runs_above_stored_features(build, arrays):
    model = build(tft.Mixout(0.5, seed=0))
    before = model.model.get_weights()
    tft.fine_tune(model, arrays, epochs=2, trainable_depth=1, verbose=0)
    after = model.model.get_weights()
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert moved == [False, False, True, True, True, True]


def test_many_steps_in_one_call_count_the_same(build, rng):
    """Above vectors the fast path runs hundreds of steps in one graph."""
    inputs = rng.normal(size=(2000, 6)).astype("float32")
    labels = rng.integers(0, 3, size=2000)
    kept = []
    for cache in (False, "auto"):
        model = build([tft.L2SP(0.01), tft.BSS(1e-3)])
        tft.fine_tune(
            model,
            tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(8),
            stages=[tft.Stage(3, learning_rate=0.05, trainable_depth=1)],
            cache=cache,
            engine="tensorflow",
            verbose=0,
        )
        kept.append(model.model.get_weights())
    for one, other in zip(*kept, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_alignment_and_regularization_add_up(build, arrays, rng):
    target = rng.normal(size=(9, 6)).astype("float32")
    pairs = tf.data.Dataset.from_tensors(((arrays[0], target), arrays[1]))
    model = build(
        [tft.L2SP(0.1), tft.BSS(0.1)], alignment=[tft.CORAL(0.5), tft.MCC(1.0)]
    )
    plain = model.model
    loss = model.evaluate(*arrays, verbose=0)
    start = plain.get_weights()
    history = model.fit(pairs, shuffle=False, verbose=0).history
    plain.set_weights(start)
    parts = sum(history[name][0] for name in ("alignment_loss", "l2sp", "bss"))
    np.testing.assert_allclose(history["loss"][0], loss + parts, rtol=1e-5)


def build_backbone(dtype=None):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or before)
    images = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(images)
    for number, width in enumerate((8, 16), 1):
        x = layers.Conv2D(width, 3, strides=2, name=f"block{number}_conv")(x)
        x = layers.BatchNormalization(name=f"block{number}_bn")(x)
        x = layers.ReLU(name=f"block{number}_relu")(x)
    network = keras.Model(images, layers.GlobalAveragePooling2D()(x))
    keras.config.set_dtype_policy(before)
    return tft.load_backbone(network, image_size=(32, 32))


@pytest.mark.parametrize(
    ("dtype", "batch_norm"),
    [(None, "train"), ("mixed_bfloat16", "inference"), ("mixed_float16", "train")],
)
def test_images_under_every_precision(rng, dtype, batch_norm):
    images = rng.integers(0, 256, size=(8, 32, 32, 3)).astype("uint8")
    model = tft.build_transfer_model(
        build_backbone(dtype),
        num_classes=3,
        image_size=(32, 32),
        trainable_depth=1,
        batch_norm=batch_norm,
        dtype=dtype,
        regularization=[tft.L2SP(), tft.BSS(), tft.DELTA(), tft.Mixout(0.5)],
    )
    assert model.regularization[2].map_names(model.model) == (
        "block1_relu",
        "block2_relu",
    )
    computes_in = (dtype or "float32").removeprefix("mixed_")
    assert model.model.get_layer("block2_conv").compute_dtype == computes_in
    history = model.fit(images, np.arange(8) % 3, epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["l2sp"][0] > 0
    assert history["bss"][0] > 0
    assert history["delta"][1] > 0
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_the_plain_model_is_exported_without_the_rest(rng, tmp_path):
    model = tft.build_transfer_model(
        build_backbone(), num_classes=3, image_size=(32, 32), regularization=tft.L2SP()
    )
    model.model.save(tmp_path / "plain.keras")
    plain = keras.models.load_model(tmp_path / "plain.keras")
    assert len(plain.weights) == len(model.model.weights)
    images = rng.integers(0, 256, size=(2, 32, 32, 3)).astype("uint8")
    np.testing.assert_allclose(
        plain.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6
    )


def test_adapters_are_drawn_to_the_pretrained_network(build, arrays, tmp_path):
    model = build([tft.L2SP(0.2, head_weight=0.0), tft.DELTA(1.0, 0.0, ["block2"])])
    plain = model.model

    def read():  # a new model each time: one traced before has no adapters
        reader = keras.Model(plain.input, plain.get_layer("block2").output)
        return reader.predict(arrays[0], verbose=0).astype("float64")

    start = read()
    tft.add_lora(model, 1, targets=["block1", "block2"])
    model.fit(*arrays, epochs=3, verbose=0)
    factors = [x.adapter_b for x in (plain.get_layer(f"block{n}") for n in (1, 2))]
    norm = sum((np.asarray(x).astype("float64") ** 2).sum() for x in factors)
    moved = ((read() - start) ** 2).sum() / 40
    assert min(norm, moved) > 0
    model.save(tmp_path / "model.keras")
    for x in (model, tft.load_model(tmp_path / "model.keras")):
        history = x.fit(*arrays, batch_size=40, shuffle=False, verbose=0).history
        np.testing.assert_allclose(history["l2sp"][0], 0.1 * norm, rtol=1e-5)
        np.testing.assert_allclose(history["delta"][0], moved, rtol=1e-4)


SCRIPT = """
import keras
import numpy as np
import tftransfer as tft

keras.utils.set_random_seed(0)
inputs = keras.Input((6,))
x = keras.layers.Dense(8, activation="tanh", name="block1")(inputs)
x = keras.layers.BatchNormalization(name="block1_bn")(x)
x = keras.layers.Dropout(0.2)(x)
x = keras.layers.Dense(5, activation="tanh", name="block2")(x)
x = keras.layers.Activation("linear", name="features")(x)
plain = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
rng = np.random.default_rng(1)
data = rng.normal(size=(40, 6)).astype("float32"), np.arange(40) % 3
parts = [tft.L2SP(0.1), tft.BSS(0.01), tft.DELTA(0.1, layers=["block1"]),
         tft.Mixout(0.5, seed=1)]
model = tft.AlignedModel(plain, regularization=parts)
kernel = plain.get_layer("block1").kernel
kernel.assign(kernel * 1.5)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(1e-3), loss)
pairs = model._pairs()
penalty = 0.05 * sum(((np.asarray(v) - np.asarray(s)) ** 2).sum() for v, s in pairs
                     if v.trainable)
penalty += 0.005 * sum((np.asarray(w) ** 2).sum()
                       for w in plain.get_layer("logits").weights)
history = model.fit(*data, batch_size=40, epochs=3, verbose=0, callbacks=[
    tft.StochasticFreezing(0.5, seed=2), tft.ParameterDecay(0.9, 2)]).history
assert np.isfinite(history["loss"]).all(), history
np.testing.assert_allclose(history["l2sp"][0], penalty, rtol=1e-5)
assert history["bss"][0] > 0 and history["delta"][0] > 0
model.compile(keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True), loss)
watcher = tft.FreezeThreshold(1e-9, 1, verbose=False)
model.fit(*data, epochs=1, verbose=0, callbacks=[watcher])
low, high = sorted(watcher.updates[0].values())
model.compile(keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True), loss)
watcher = tft.FreezeThreshold((low * high) ** 0.5, 1, verbose=False)
average = tft.SWA(1)
model.fit(*data, epochs=4, verbose=0, callbacks=[watcher, average])
assert watcher.frozen and average.num_averaged == 3
tft.interpolate_weights(model, model.get_weights(), data,
                        coefficients=[0.0, 1.0])
aligned = tft.AlignedModel(plain, alignment=tft.CORAL(1.0))
aligned.compile("sgd", loss)
history = aligned.fit([data[0], data[0] + 1], data[1], verbose=0).history
assert history["alignment_loss"][0] > 0
print(keras.backend.backend(), "done")
"""


@pytest.mark.slow
def test_everything_under_the_jax_backend(run_under_jax):
    printed = run_under_jax(SCRIPT)
    assert printed.split() == ["jax", "done"]
