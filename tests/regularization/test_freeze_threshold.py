import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft

QUIET = {"shuffle": False, "verbose": 0}


@pytest.fixture
def dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(8)


def relative(new, old):
    moved = sum(
        ((a.astype("float64") - b) ** 2).sum() for a, b in zip(new, old, strict=True)
    )
    return np.sqrt(moved / sum((b.astype("float64") ** 2).sum() for b in old))


@pytest.fixture
def build_uneven(build):
    """The bottom block learns a hundred times more slowly than the rest."""

    def build_(optimizer=None, regularization=None):
        model = build(regularization)
        plain = getattr(model, "model", model)
        kernel = plain.get_layer("block1").kernel
        kernel.assign(kernel * 100.0)  # saturated: its gradients are tiny
        model.compile(optimizer or keras.optimizers.SGD(0.1), model.loss)
        return model

    return build_


def test_relative_updates_are_those_of_the_weights(build, arrays, record):
    model, weights = build(), record()
    watcher = tft.FreezeThreshold(1e-9, verbose=False)
    start = model.get_weights()
    model.fit(*arrays, epochs=3, callbacks=[watcher, weights], **QUIET)
    kept = [start, *weights.kept]
    for row, new, old in zip(watcher.updates, kept[1:], kept[:-1], strict=True):
        assert list(row) == ["block1", "block2"]
        np.testing.assert_allclose(row["block1"], relative(new[:2], old[:2]), rtol=1e-9)
        np.testing.assert_allclose(
            row["block2"], relative(new[2:4], old[2:4]), rtol=1e-9
        )
    assert watcher.frozen == {}
    assert watcher.saved_seconds == 0.0
    assert len(watcher.seconds) == 3


def test_what_stands_still_twice_is_frozen_and_the_rest_goes_on(
    build_uneven, dataset, record
):
    model, weights = build_uneven(keras.optimizers.Adam(1e-3)), record()
    watcher = tft.FreezeThreshold(1e-3, checks=2, verbose=False)
    model.fit(dataset, epochs=5, callbacks=[weights, watcher], **QUIET)
    assert watcher.frozen == {"block1": 1}
    assert all(row["block1"] < 1e-3 for row in watcher.updates[:2])
    assert [list(row) for row in watcher.updates[2:]] == [["block2"]] * 3
    for place, moves in enumerate([False] * 2 + [True] * 4):
        same = np.array_equal(weights.kept[1][place], weights.kept[2][place])
        assert same != moves
        assert np.array_equal(weights.kept[1][place], weights.kept[4][place]) != moves


def test_a_schedule_that_slows_all_down_freezes_nothing(build_uneven, dataset):
    def train(rate):
        model = build_uneven(keras.optimizers.SGD(rate))
        watcher = tft.FreezeThreshold(threshold, checks=2, verbose=False)
        model.fit(dataset, epochs=6, callbacks=[watcher], **QUIET)
        return watcher

    threshold = 1e-12
    highest = [row["block2"] for row in train(0.1).updates]
    threshold = 0.5 * min(highest)  # at the whole rate the upper block moves by more
    slowing = keras.optimizers.schedules.CosineDecay(0.1, 6 * len(dataset))
    watcher = train(slowing)
    assert "block1" in watcher.frozen and "block2" not in watcher.frozen
    # Below the threshold all the same, and for long enough.
    assert max(row["block2"] for row in watcher.updates[-2:]) < threshold
    ends = [0.05 * (1 + np.cos(np.pi * epoch / 6)) for epoch in range(7)]
    means = np.mean([ends[:-1], ends[1:]], axis=0)
    np.testing.assert_allclose(watcher.rates, means, rtol=1e-5)


def test_the_optimizer_keeps_what_it_gathered(build_uneven, dataset):
    """The upper part trains on as if the bottom were put back after every step."""
    kept = []
    for frozen_by in ("threshold", "hand"):
        model = build_uneven(keras.optimizers.Adam(1e-3))
        watcher = tft.FreezeThreshold(1e-3, checks=2, verbose=False)
        if frozen_by == "threshold":
            model.fit(dataset, epochs=4, callbacks=[watcher], **QUIET)
        else:
            model.fit(dataset, epochs=2, **QUIET)
            bottom = model.get_layer("block1")
            still = bottom.get_weights()
            put_back = keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs, to=(bottom, still): to[
                    0
                ].set_weights(to[1])
            )
            model.fit(dataset, epochs=2, callbacks=[put_back], **QUIET)
        kept.append(model.get_weights())
    for one, other in zip(*kept, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("regularized", [False, True])
def test_fine_tune_goes_on_above_the_frozen_bottom(
    build_uneven, dataset, regularized, capsys
):
    kept, histories = [], []
    for cache in (False, "auto"):
        regularization = [tft.L2SP(0.01), tft.BSS(1e-3)] if regularized else None
        model = build_uneven(keras.optimizers.Adam(1e-3), regularization)
        watcher = tft.FreezeThreshold(1e-3, checks=2)
        stage = tft.Stage(6, learning_rate=1e-3, trainable_depth="all")
        history = tft.fine_tune(
            model,
            dataset,
            stages=[stage],
            callbacks=[watcher],
            cache=cache,
            engine="tensorflow",
            verbose=0 if cache is False else 2,
        )
        assert watcher.frozen == {"block1": 1}
        assert history.epoch == list(range(6))
        kept.append(getattr(model, "model", model).get_weights())
        histories.append(history.history)
    shown = capsys.readouterr().out
    assert "block1 frozen after epoch 2; 1 blocks go on." in shown
    assert "40 rows of features at 'block1'" in shown or "at 'dropout" in shown
    assert "1 blocks frozen" in shown
    np.testing.assert_allclose(*[x["loss"] for x in histories], rtol=1e-4)
    for one, other in zip(*kept, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_an_accelerated_fit_goes_on_above_the_frozen_bottom(
    build_uneven, dataset, capsys
):
    model = build_uneven(keras.optimizers.Adam(1e-3))
    tft.accelerate(model, engine="tensorflow")
    watcher = tft.FreezeThreshold(1e-3, checks=2, verbose=False)
    history = model.fit(
        dataset, epochs=6, callbacks=[watcher], shuffle=False, verbose=2
    )
    assert history.epoch == list(range(6))
    assert len(history.history["loss"]) == 6
    assert "rows of features at" in capsys.readouterr().out


def test_many_steps_in_one_call_freeze_too(build_uneven, rng, record):
    """Above vectors the fast path runs hundreds of steps in one graph."""
    inputs = rng.normal(size=(2400, 6)).astype("float32")
    labels = rng.integers(0, 3, size=2400)
    model, weights = build_uneven(keras.optimizers.Adam(1e-4)), record()
    watcher = tft.FreezeThreshold(5e-3, checks=1, verbose=False)
    tft.fine_tune(
        model,
        (inputs, labels),
        stages=[tft.Stage(7, learning_rate=1e-4, trainable_depth="all")],
        callbacks=[weights, watcher],
        verbose=0,
    )
    first = watcher.frozen["block1"]
    frozen = weights.kept[first]
    for kept in weights.kept[first + 1 :]:
        np.testing.assert_array_equal(kept[0], frozen[0])
        assert not np.array_equal(kept[4], frozen[4])
    assert "block1" not in watcher.updates[-1]
    assert "block2" in watcher.updates[first]


def test_a_moving_average_of_the_weights_goes_on(build_uneven, dataset, record):
    optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5)
    model = build_uneven(optimizer)
    steps = record(of_steps=True)
    watcher = tft.FreezeThreshold(1e-3, checks=1, verbose=False)
    model.fit(dataset, epochs=3, callbacks=[steps, watcher], **QUIET)
    assert watcher.frozen == {"block1": 0}
    average = steps.kept[0]
    for kept in steps.kept[1:]:
        average = [0.5 * v + 0.5 * w for v, w in zip(average, kept, strict=True)]
    for place in (2, 3, 4, 5):  # what went on
        np.testing.assert_allclose(
            model.get_weights()[place], average[place], atol=1e-6
        )


def test_a_threshold_above_everything_is_refused(build, arrays):
    watcher = tft.FreezeThreshold(1e6, checks=1)
    message = r"Received: threshold=1000000.0, and in 1 epochs in a row all 2 blocks"
    with pytest.raises(ValueError, match=message):
        build().fit(*arrays, epochs=3, callbacks=[watcher], **QUIET)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"threshold": 0.0}, ValueError, "Received: threshold=0.0"),
        ({"threshold": "low"}, TypeError, "Received: threshold='low'"),
        ({"threshold": 0.1, "checks": 0}, ValueError, "Received: checks=0"),
    ],
)
def test_bad_values_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        tft.FreezeThreshold(**arguments)


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    model = Own()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Received: model=Own"):
        model.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0,
                  callbacks=[tft.FreezeThreshold(0.1)])  # fmt: skip
