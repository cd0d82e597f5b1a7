import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft

QUIET = {"verbose": 0, "shuffle": False}


class Recorder(keras.callbacks.Callback):
    """Puts given scores into the logs, and keeps the weights of every epoch."""

    def __init__(self, scores=None):
        super().__init__()
        self.scores, self.kept = scores, []

    def on_epoch_end(self, epoch, logs=None):
        self.kept.append(self.model.get_weights())
        if self.scores is not None:
            logs["val_accuracy"] = self.scores[epoch]


def prune(units, data=None, **options):
    options = {"verbose": False, "criterion": "taylor" if data else "l2", **options}
    return tft.StructuredPruning(units, data, **options)


def sizes(pruning):
    return [tuple(row["units"].values()) for row in pruning.table]


@pytest.mark.slow
def test_a_layer_gets_small_and_accuracy_stays(build_mlp, rng, capsys):
    x = rng.normal(size=(1200, 6)).astype("float32")
    y = (x @ rng.normal(size=(6, 3))).argmax(axis=1)
    train, valid = (x[:200], y[:200]), (x[200:], y[200:])
    model = build_mlp(units=(24, 128))
    model.fit(*train, epochs=15, **QUIET)
    pruning = prune({"head": 8}, train, epochs=4, max_drop=2.0, verbose=True)
    model.fit(
        *train, epochs=8, validation_data=valid, callbacks=[pruning], batch_size=16,
        verbose=0,
    )  # fmt: skip
    first = pruning.table[0]
    assert (first["units"], first["is_kept"]) == ({"head_dense_1": 128}, True)
    assert first["score"] > 0.9
    small = tft.shrink_model(model, pruning.kept)
    # 6 * 24 + 24, 24 * 8 + 8, 8 * 3 + 3 in place of 24 * 128 + 128 and 128 * 3 + 3
    assert (model.count_params(), small.count_params()) == (3755, 395)
    assert small.evaluate(*valid, verbose=0)[1] >= first["score"] - 0.02 - 1e-6
    expected = model.predict(valid[0], verbose=0)
    np.testing.assert_allclose(small.predict(valid[0], verbose=0), expected, atol=1e-5)
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line] == [
        "StructuredPruning: head_dense_1 128 -> 8."
    ] * 2


def test_pruning_waits_goes_back_and_ends(build_mlp, arrays, capsys):
    model = build_mlp(run_eagerly=True)
    scores = [0.90, 0.90, 0.85, 0.88, 0.80, 0.87, 0.86, 0.99]
    recorder = Recorder(scores)
    pruning = prune({"head": 2}, epochs=4, max_drop=2.0, patience=2, verbose=True)
    history = model.fit(
        *arrays, epochs=8, callbacks=[recorder, pruning], **QUIET
    ).history
    assert sizes(pruning) == [(16,), (8,), (4,), (4,), (2,), (2,), (2,)]
    held = [row["is_kept"] for row in pruning.table]
    assert held == [True, True, False, True, False, False, False]
    assert len(history["loss"]) == 7
    assert len(pruning.kept["head_dense_1"]) == 4
    for one, other in zip(model.get_weights(), recorder.kept[3], strict=True):
        np.testing.assert_array_equal(one, other)
    kernel = model.get_layer("logits").get_weights()[0]
    left = np.flatnonzero(kernel.any(axis=1))
    np.testing.assert_array_equal(left, pruning.kept["head_dense_1"])
    shown = capsys.readouterr().out
    assert "below val_accuracy of at least 0.88 after epoch 7; goes back." in shown
    assert "head_dense_1 16 -> 4, after 2 of 4 steps." in shown


def test_among_epochs_with_as_many_units_the_best_counts(build_mlp, arrays):
    model = build_mlp(run_eagerly=True)
    recorder = Recorder([0.90, 0.91, 0.90, 0.93, 0.92])
    pruning = prune({"head": 2}, epochs=1, max_drop=2.0)
    model.fit(*arrays, epochs=5, callbacks=[recorder, pruning], **QUIET)
    assert sizes(pruning) == [(16,), (2,), (2,), (2,), (2,)]
    for one, other in zip(model.get_weights(), recorder.kept[3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_below_a_given_baseline_nothing_goes(build_mlp, arrays):
    model = build_mlp(run_eagerly=True)
    pruning = prune({"head": 2}, baseline=0.95, patience=0)
    model.fit(*arrays, epochs=5, callbacks=[Recorder([0.9] * 5), pruning], **QUIET)
    assert sizes(pruning) == [(16,)]
    assert len(pruning.kept["head_dense_1"]) == 16


def test_no_units_go_after_the_last_epoch(build_mlp, arrays):
    pruning = prune({"head": 2}, epochs=4, max_drop=None)
    build_mlp(run_eagerly=True).fit(*arrays, epochs=2, callbacks=[pruning], **QUIET)
    assert sizes(pruning) == [(16,), (8,)]
    assert len(pruning.kept["head_dense_1"]) == 8


@pytest.mark.slow
def test_averages_of_weights_leave_units_off(build_mlp, arrays):
    model = build_mlp(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    pruning = prune({"head": 4}, epochs=2, max_drop=None)
    model.fit(*arrays, epochs=3, callbacks=[pruning], **QUIET)
    small = tft.shrink_model(model, pruning.kept)
    np.testing.assert_allclose(
        small.predict(arrays[0], verbose=0),
        model.predict(arrays[0], verbose=0),
        atol=1e-5,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "batch_norm", ["inference", pytest.param("train", marks=pytest.mark.slow)]
)
def test_blocks_of_a_network_of_images_get_smaller(build, rng, batch_norm):
    model = build()
    tft.set_trainable_depth(model, "all", batch_norm=batch_norm)
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(True)
    )
    data = rng.uniform(0, 255, (24, 8, 8, 3)), rng.integers(0, 3, 24)
    units = {"block1": 0.5, "stem_conv": 4, "head": 3}
    pruning = prune(units, data, epochs=2, max_drop=None, num_batches=1)
    model.fit(*data, epochs=3, callbacks=[pruning], **QUIET)
    assert sizes(pruning)[-1] == (4, 5, 2, 3)
    small = tft.shrink_model(model, pruning.kept)
    expected = model.predict(data[0], verbose=0)
    found = small.predict(data[0], verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_fine_tune_prunes_above_stored_features_as_without(build_mlp, arrays):
    kept = []
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(32)
    for cache in (False, "auto"):
        model = build_mlp(keras.optimizers.Adam(0.01))
        pruning = prune({"head": 4, "block1": 6}, dataset, epochs=3, max_drop=None)
        history = tft.fine_tune(
            model,
            dataset,
            frozen_epochs=5,
            trainable_depth=0,
            epochs=1,
            callbacks=[pruning],
            cache=cache,
            engine="tensorflow",
            verbose=0,
        )
        assert sizes(pruning)[3:] == [(6, 4)] * 3
        assert len(history.epoch) == 6
        for name, gone in (("head_dense_1", "block1"), ("logits", "head_dense_1")):
            kernel = model.get_layer(name).get_weights()[0]
            left = np.flatnonzero(kernel.any(axis=1))
            np.testing.assert_array_equal(left, pruning.kept[gone])
        kept.append((model.get_weights(), pruning.kept))
    for name, places in kept[0][1].items():
        np.testing.assert_array_equal(places, kept[1][1][name])
    for one, other in zip(kept[0][0], kept[1][0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_stages_of_fine_tune_go_on_where_the_one_before_ended(build_mlp, arrays):
    model = build_mlp()
    pruning = prune({"head": 4}, arrays, epochs=3, max_drop=100.0)
    stages = [tft.Stage(3, trainable_depth=0), tft.Stage(3, trainable_depth="all")]
    tft.fine_tune(
        model,
        arrays,
        validation_data=arrays,
        stages=stages,
        callbacks=[pruning],
        verbose=0,
    )
    # The step after the last epoch of a stage is left to the next one.
    assert sizes(pruning) == [(16,), (8,), (4,), (4,), (4,), (4,)]
    assert np.count_nonzero(model.get_layer("logits").kernel.numpy().any(axis=1)) == 4


@pytest.mark.slow
def test_half_precision(arrays):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        inputs = keras.Input((6,))
        x = keras.layers.Dense(32, activation="relu", name="hidden")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(x))
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    pruning = prune({"hidden": 4}, arrays, epochs=2, max_drop=None)
    model.fit(*arrays, epochs=3, callbacks=[pruning], **QUIET)
    small = tft.shrink_model(model, pruning.kept)
    assert small.get_layer("hidden").compute_dtype == "float16"
    np.testing.assert_allclose(
        small.predict(arrays[0], verbose=0),
        model.predict(arrays[0], verbose=0),
        atol=1e-5,
    )


def test_accuracy_has_to_be_shown(build_mlp, arrays):
    message = "Received: monitor='auto', and .'accuracy', 'loss'. in the logs"
    with pytest.raises(ValueError, match=message):
        build_mlp(run_eagerly=True).fit(
            *arrays, callbacks=[prune({"head": 4})], **QUIET
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"units": {"head": 0}}, ValueError, r"Received: units\['head'\]=0"),
        ({"criterion": "taylor"}, ValueError, "Received: data=None. Pass the training"),
        (
            {"criterion": "l1"},
            ValueError,
            "Received: criterion='l1'. Did you mean 'l2'",
        ),
        ({"epochs": 0}, ValueError, "Received: epochs=0"),
        ({"patience": -1}, ValueError, "Received: patience=-1"),
        ({"num_batches": 0}, ValueError, "Received: num_batches=0"),
        ({"max_drop": -1.0}, ValueError, "Received: max_drop=-1.0"),
        ({"baseline": "high"}, TypeError, "Received: baseline='high'"),
        ({"monitor": None}, TypeError, "Received: monitor=None"),
    ],
)
def test_bad_values_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        prune(**{"units": {"head": 8}, **options})


def test_names_are_checked_before_the_first_step(build_mlp, arrays):
    model = build_mlp(run_eagerly=True)
    before = model.get_weights()
    with pytest.raises(ValueError, match="'heat'. Did you mean 'head'"):
        model.fit(*arrays, callbacks=[prune({"heat": 4})], **QUIET)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


SCRIPT = """
import keras
import numpy as np
import tftransfer as tft

rng = np.random.default_rng(0)
inputs = keras.Input((6, 6, 3))
x = y = keras.layers.Conv2D(6, 3, name="stem")(inputs)
x = keras.layers.Conv2D(12, 1, use_bias=False, name="block1_expand")(x)
x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="block1_bn")(x))
x = keras.layers.Conv2D(6, 1, name="block1_project")(x)
x = keras.layers.GlobalAveragePooling2D(name="features")(x + y)
x = keras.layers.Dense(32, activation="sigmoid", name="hidden")(x)
model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
model.compile(
    keras.optimizers.Adam(0.01),
    keras.losses.SparseCategoricalCrossentropy(True),
    metrics=["accuracy"],
)
images, labels = rng.normal(size=(64, 6, 6, 3)), rng.integers(0, 3, 64)
units = {"block1": 5, "head": 4, "stem": 3}
pruning = tft.StructuredPruning(units, (images, labels), epochs=2, max_drop=100.0,
    verbose=False)
model.fit(images, labels, epochs=4, validation_data=(images, labels),
    callbacks=[pruning], verbose=0)
kernel = model.get_layer("logits").get_weights()[0]
small = tft.shrink_model(model, pruning.kept)
difference = small.predict(images, verbose=0) - model.predict(images, verbose=0)
print([tuple(row["units"].values()) for row in pruning.table])
print(np.count_nonzero(kernel.any(axis=1)), small.count_params())
print(float(np.abs(difference).max()) < 1e-5)
small.fit(images, labels, verbose=0)
"""


def test_all_of_it_under_the_jax_backend(run_under_jax):
    lines = run_under_jax(SCRIPT).splitlines()
    assert lines[0] == "[(6, 12, 32), (3, 6, 8), (3, 5, 4), (3, 5, 4)]"
    # stem 27 * 3 + 3, expand 3 * 5 + 20, project 5 * 3 + 3, hidden 3 * 4 + 4, 4 * 3 + 3
    assert lines[1:] == [f"4 {84 + 35 + 18 + 16 + 15}", "True"]
