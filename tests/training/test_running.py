import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.freezing.flags import read_flags
from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.training.batches import read_data
from tftransfer.training.running import run_stages
from tftransfer.training.stages import Stage


class Scripted(keras.callbacks.Callback):
    """Sets the bias of the logits to the epoch's number and its validation loss."""

    def __init__(self, losses):
        super().__init__()
        self.losses = losses

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.losses[epoch]
        self.model.get_layer("logits").bias.assign([float(epoch)] * 3)


class Rates(keras.callbacks.Callback):
    """Notes the learning rate of each step and what learns in each epoch."""

    def __init__(self):
        super().__init__()
        self.rates, self.learning, self.epochs = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.learning.append([x.path for x in self.model.trainable_weights])

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


@pytest.fixture
def run(arrays):
    """Run stages over arrays in batches of 32, three steps an epoch."""

    def run_(model, stages, *callbacks, validation=None, data=arrays, flags=None):
        return run_stages(
            model,
            stages,
            read_data("train", data),
            read_data("validation_data", validation) if validation else None,
            flags=flags,
            callbacks=list(callbacks),
            verbose=0,
        )

    return run_


def kept_epoch(model):
    """The epoch whose weights the model has, as `Scripted` marks them."""
    return int(model.get_layer("logits").bias[0])


def test_each_stage_has_its_depth_and_its_rates(run, build):
    model, rates = build(), Rates()
    stages = [
        Stage(1, learning_rate=0.5, trainable_depth=0, schedule="constant"),
        Stage(2, trainable_depth=1),
    ]
    run(model, stages, rates)
    head = ["logits/kernel", "logits/bias"]
    block2 = ["block2/kernel", "block2/bias"]
    assert rates.learning == [head, block2 + head, block2 + head]
    assert rates.epochs == [0, 1, 2]
    # A tenth of the compiled 0.1, half a cosine over 2 epochs of 3 steps.
    falling = [0.005 * (1 + np.cos(np.pi * step / 6)) for step in range(6)]
    np.testing.assert_allclose(rates.rates, [0.5] * 3 + falling, rtol=1e-5)


def test_data_of_unknown_length_get_a_rate_for_each_epoch(run, build, arrays):
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(40)
    model, rates = build(), Rates()
    stages = [Stage(2, learning_rate=0.4, trainable_depth="all")]
    unknown = dataset.filter(lambda x, y: True)
    history = run(model, stages, rates, data=unknown, validation=unknown)
    # Keras begins one step more than there are batches, to find the end.
    np.testing.assert_allclose(rates.rates, [0.4] * 3 + [0.2] * 3)
    assert len(history.history["val_loss"]) == 2


def test_each_stage_compiles_once_and_the_end_once(run, build, monkeypatch):
    model, compiled, original = build(), [], keras.Model.compile

    def count(self, *args, **kwargs):
        compiled.append(kwargs["optimizer"])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "compile", count)
    run(model, [Stage(1, trainable_depth=0), Stage(1, trainable_depth=1)])
    assert len(compiled) == 3


def test_the_model_is_left_compiled_as_it_was(run, build):
    optimizer = keras.optimizers.Adam(0.25, beta_1=0.8)
    model = build(optimizer=optimizer)
    loss = model.loss
    run(model, [Stage(1, trainable_depth=1)])
    assert type(model.optimizer) is keras.optimizers.Adam
    assert model.optimizer.get_config() == optimizer.get_config()
    assert float(model.optimizer.learning_rate) == 0.25
    assert model.loss is loss
    assert not model.get_layer("block1").trainable


def test_one_optimizer_goes_through_all_stages_where_it_can(run, build, arrays):
    class Seen(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            optimizer = self.model.optimizer
            state = [x.numpy() for x in optimizer.variables]
            seen.append((optimizer, float(optimizer.learning_rate), state))

    optimizer, seen = LayerwiseRates(keras.optimizers.Adam(0.1), {"block2": 0.5}), []
    model, rates = build(optimizer=optimizer), Rates()
    stages = [
        Stage(2, trainable_depth=0, schedule="constant"),
        Stage(2, trainable_depth=1),
        Stage(1, learning_rate=0.3, trainable_depth="all", schedule="constant"),
    ]
    run(model, stages, rates, Seen())
    assert all(one is optimizer for one, *_ in seen)
    falling = [0.05 * (1 + np.cos(np.pi * step / 6)) for step in range(6)]
    np.testing.assert_allclose(rates.rates, [0.1] * 6 + falling + [0.3] * 3, rtol=1e-5)
    # Three steps an epoch: the head is six ahead of a block that begins, then twelve.
    leads = [x for _, _, state in seen for x in state if x.dtype.kind == "i" and x.ndim]
    assert [x.tolist() for x in leads] == [
        [0] * 2,
        [0] * 2 + [6] * 2,
        [0] * 2 + [6] * 2 + [12] * 2,
    ]
    assert all(np.abs(slot).max() > 0 for slot in seen[2][2][-8:])
    assert model.optimizer is optimizer
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    assert isinstance(optimizer._learning_rate, keras.Variable)


def test_histories_are_joined_and_epochs_count_on(run, build, arrays):
    model = build()
    stages = [Stage(n, trainable_depth=d) for n, d in [(2, 0), (1, 1), (3, "all")]]
    history = run(model, stages, validation=arrays)
    assert isinstance(history, keras.callbacks.History)
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert history.stages == [0, 2, 3]
    assert {name: len(values) for name, values in history.history.items()} == {
        "loss": 6,
        "val_loss": 6,
    }
    assert model.history is history
    assert history.params["epochs"] == 6


def test_the_best_epoch_of_the_last_stage_is_kept(run, build, arrays):
    model = build()
    losses = Scripted([9.0, 5.0, 4.0, 6.0, 7.0])
    run(model, [Stage(5, trainable_depth=0, patience=None)], losses, validation=arrays)
    assert kept_epoch(model) == 2


def test_the_best_epoch_of_all_stages_is_kept(run, build, arrays):
    model = build()
    losses = Scripted([3.0, 2.0, 6.0, 5.0])
    stages = [Stage(2, trainable_depth=0), Stage(2, trainable_depth="all")]
    history = run(model, stages, losses, validation=arrays)
    assert kept_epoch(model) == 1
    assert history.history["val_loss"] == [3.0, 2.0, 6.0, 5.0]


def test_the_next_stage_begins_with_the_best_weights_of_the_one_before(
    run, build, arrays
):
    class Begin(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            begun.append(kept_epoch(self.model))

    model, begun = build(), []
    losses = Scripted([1.0, 4.0, 6.0, 5.0])
    stages = [Stage(3, trainable_depth=0, patience=None), Stage(1, trainable_depth=1)]
    run(model, stages, losses, Begin(), validation=arrays)
    assert begun[1] == 0


def test_patience_ends_a_stage_and_the_next_one_follows(run, build, arrays):
    model = build()
    losses = Scripted([5.0, 4.0, 6.0, 6.0, 6.0, 3.0, 2.0])
    stages = [
        Stage(9, trainable_depth=0, patience=2),
        Stage(2, trainable_depth=1),
    ]
    history = run(model, stages, losses, validation=arrays)
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert history.stages == [0, 4]


def test_without_validation_data_the_last_weights_stay(run, build):
    model = build()
    run(model, [Stage(3, trainable_depth=0)], Scripted([1.0, 2.0, 3.0]))
    assert kept_epoch(model) == 2


def test_a_validation_loss_that_is_no_number_never_counts_as_best(run, build, arrays):
    model = build()
    losses = Scripted([float("nan"), 2.0, 1.0, 3.0])
    stages = [Stage(1, trainable_depth=0), Stage(3, trainable_depth=0)]
    run(model, stages, losses, validation=arrays)
    assert kept_epoch(model) == 2


def test_depth_none_goes_back_to_the_flags_or_stays(run, build):
    stages = [Stage(1, trainable_depth=0), Stage(1)]
    for with_flags in (True, False):
        model, rates = build(), Rates()
        model.get_layer("block1").trainable = False
        flags = read_flags(model) if with_flags else None
        run(model, stages, rates, flags=flags)
        assert ("block2/kernel" in rates.learning[1]) == with_flags
        assert "block1/kernel" not in rates.learning[1]


class Stopping(keras.callbacks.Callback):
    """Asks to stop at one epoch, as a time limit would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.stop_training = True


def test_a_callback_that_stops_ends_the_whole_run(run, build, arrays):
    stages = [Stage(3, trainable_depth=0), Stage(2, trainable_depth=1)]
    history = run(build(), stages, Stopping(1), validation=arrays)
    assert history.epoch == [0, 1]


def test_early_stopping_of_the_users_own_ends_its_stage(run, build):
    own = keras.callbacks.EarlyStopping("loss", mode="max", patience=1)
    stages = [Stage(5, trainable_depth=0), Stage(2, trainable_depth=1)]
    history = run(build(), stages, own)
    assert history.stages == [0, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_the_best_weights_and_a_compiled_model(
    error, run, build, arrays
):
    class Interrupting(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise error("now")

    model = build()
    stages = [Stage(1, trainable_depth=0), Stage(5, trainable_depth=1)]
    with pytest.raises(error, match="now"):
        run(model, stages, Scripted([9.0, 5.0, 6.0]), Interrupting(), validation=arrays)
    assert kept_epoch(model) == 1
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    model.fit(*arrays, verbose=0)


def test_nothing_to_learn_is_refused(run):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(3, name="block1")(inputs)
    model = keras.Model(inputs, keras.layers.Activation("linear", name="features")(x))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="Received: trainable_depth=0 for a model"):
        run(model, [Stage(1, trainable_depth=0)])
    set_trainable_depth(model, "all")
    assert run(model, [Stage(1)]).epoch == [0]


def test_metrics_of_a_later_stage_begin_at_zero(build, arrays):
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.SGD(1e-9),
        loss,
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
    )
    predicted = model.predict(arrays[0], verbose=0).argmax(axis=1)
    wrong = arrays[0], (predicted + 1) % 3
    stages = [
        tft.Stage(2, learning_rate=1e-9, data=(arrays[0], predicted)),
        tft.Stage(2, learning_rate=1e-9),
    ]
    history = tft.fine_tune(model, wrong, stages=stages, cache=False, verbose=0)
    assert history.history["accuracy"] == [1.0, 1.0, 0.0, 0.0]
