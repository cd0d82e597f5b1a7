import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.alignment.coral import CORAL
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.models import AlignedModel
from tftransfer.training.fine_tune import fine_tune
from tftransfer.training.stages import Stage


def batched(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(16)


@pytest.mark.parametrize("kind", ["arrays", "dataset"])
@pytest.mark.parametrize("rate", [0.1, 0.02])
def test_one_constant_stage_equals_fit_to_the_bit(
    kind, rate, build, arrays, equal_weights
):
    data = {"arrays": arrays, "dataset": batched(arrays)}[kind]
    plain, staged = build(), build()
    plain.optimizer.learning_rate = rate
    keras.utils.set_random_seed(5)
    if kind == "dataset":
        expected = plain.fit(data, epochs=3, shuffle=False, verbose=0)
    else:
        expected = plain.fit(*data, epochs=3, verbose=0)
    stage = Stage(3, learning_rate=rate, schedule="constant")
    history = fine_tune(staged, data, stages=[stage], seed=5, verbose=0)
    equal_weights(plain, staged)
    assert history.history == expected.history


def test_two_stages_equal_freezing_and_fitting_by_hand(build, arrays, equal_weights):
    by_hand, staged = build(), build()
    fine_tune(
        staged,
        batched(arrays),
        frozen_epochs=2,
        epochs=3,
        trainable_depth=1,
        verbose=0,
    )
    schedules = keras.optimizers.schedules
    block1, block2 = by_hand.get_layer("block1"), by_hand.get_layer("block2")
    block1.trainable = block2.trainable = False
    loss = by_hand.loss
    # 80 rows in batches of 16 are 5 steps an epoch.
    by_hand.compile(keras.optimizers.SGD(schedules.CosineDecay(0.1, 2 * 5)), loss)
    by_hand.fit(batched(arrays), epochs=2, shuffle=False, verbose=0)
    block2.trainable = True
    by_hand.compile(keras.optimizers.SGD(schedules.CosineDecay(0.01, 3 * 5)), loss)
    by_hand.fit(batched(arrays), epochs=3, shuffle=False, verbose=0)
    for one, other in zip(by_hand.get_weights(), staged.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_equal_seeds_give_equal_weights_to_the_bit(
    optimizer, build, arrays, equal_weights
):
    def train(seed, model=None):
        model = model or build(dropout=0.5, optimizer=optimizer)
        fine_tune(model, arrays, epochs=2, trainable_depth=1, seed=seed, verbose=0)
        return model

    one = train(3)
    equal_weights(one, train(3))
    with pytest.raises(AssertionError):
        equal_weights(one, train(4))


def test_a_seed_repeats_on_the_same_model_object(build, arrays):
    model = build(dropout=0.5)
    start, ends = model.get_weights(), []
    for _ in range(2):
        model.set_weights(start)
        fine_tune(model, arrays, epochs=1, trainable_depth=1, seed=3, verbose=0)
        ends.append(model.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_learns_and_keeps_the_best_validation_loss(build, arrays):
    model = build(optimizer=keras.optimizers.Adam(0.01))
    valid = arrays[0][60:], arrays[1][60:]
    history = fine_tune(
        model,
        (arrays[0][:60], arrays[1][:60]),
        validation_data=valid,
        frozen_epochs=2,
        epochs=8,
        trainable_depth="all",
        learning_rate=0.02,
        verbose=0,
    )
    assert history.stages == [0, 2]
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    final = model.evaluate(*valid, verbose=0)
    assert final == pytest.approx(min(history.history["val_loss"]), rel=1e-5)


def test_a_frozen_model_trains_its_head_for_all_epochs(build, arrays):
    model = build()
    set_trainable_depth(model, 0)
    before = model.get_layer("block2").get_weights()
    history = fine_tune(model, arrays, frozen_epochs=2, epochs=1, verbose=0)
    assert (history.epoch, history.stages) == ([0, 1, 2], [0])
    for one, other in zip(before, model.get_layer("block2").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_class_weights_reach_fit(build, arrays, equal_weights):
    plain, staged = build(), build()
    weights = {0: 5.0, 1: 1.0, 2: 1.0}
    plain.fit(batched(arrays), class_weight=weights, shuffle=False, verbose=0)
    stage = Stage(1, learning_rate=0.1, schedule="constant")
    # Without class 2, Keras alone would fail on datasets in the middle of training.
    given = {0: 5.0}
    fine_tune(staged, batched(arrays), class_weight=given, stages=[stage], verbose=0)
    equal_weights(plain, staged)


def test_callbacks_see_the_whole_model_and_epochs_that_count_on(build, arrays):
    class Watching(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, self.model, sorted(logs)))

    seen, model = [], build()
    fine_tune(
        model,
        arrays,
        epochs=1,
        trainable_depth=1,
        callbacks=[Watching()],
        verbose=0,
    )
    assert seen == [(0, model, ["loss"]), (1, model, ["loss"])]


def test_the_progress_bar_is_that_of_keras(build, arrays, capsys):
    fine_tune(build(), arrays, epochs=2, trainable_depth=1, verbose=2)
    printed = capsys.readouterr().out
    assert "Epoch 2/3" in printed
    assert "Epoch 3/3" in printed
    assert printed.count("loss:") == 3


def test_a_subclassed_model_trains_without_a_frozen_stage(arrays):
    class Subclassed(keras.Model):
        def build(self, shape):
            self.dense = keras.layers.Dense(3)
            self.dense.build(shape)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.build((None, 6))
    history = fine_tune(model, arrays, frozen_epochs=0, epochs=2, verbose=0)
    assert history.epoch == [0, 1]


def test_two_calls_in_a_row_each_start_from_the_own_rate(build, arrays):
    class Rate(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    rates, model = [], build()
    for _ in range(2):
        fine_tune(
            model,
            arrays,
            frozen_epochs=0,
            epochs=1,
            trainable_depth=1,
            callbacks=[Rate()],
            verbose=0,
        )
    assert rates[0] == rates[3] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"epochs": 3}, "epochs"),
        ({"frozen_epochs": 0, "trainable_depth": 1}, "frozen_epochs, trainable_depth"),
        ({"learning_rate": 0.1}, "learning_rate"),
    ],
)
def test_both_forms_at_once_are_refused(build, arrays, arguments, names):
    with pytest.raises(ValueError, match=f"given alone, .*stages and {names}. Put"):
        fine_tune(build(), arrays, stages=[Stage(1)], **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "Received: epochs=0"),
        ({"trainable_depth": True}, TypeError, "Received: trainable_depth=True"),
        ({"trainable_depth": 3}, ValueError, "from 0 to 2.*Received"),
        ({"learning_rate": "slow"}, ValueError, "Received: learning_rate='slow'"),
        ({"stages": [1]}, TypeError, r"Received: stages=\[1\]"),
        ({"stages": [Stage(1, trainable_depth=9)]}, ValueError, "Received: trainable"),
        ({"seed": -1}, ValueError, "Received: seed=-1"),
        ({"callbacks": ["x"]}, TypeError, "`callbacks`.*Received: one of type str"),
        (
            {"callbacks": [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]},
            ValueError,
            r"Received: SwapEMAWeights\(swap_on_epoch=True\) and 2 stages. Take",
        ),
        ({"class_weight": {7: 1.0}}, ValueError, r"Received: \[7\]"),
        ({"validation_data": 3}, TypeError, "Received: validation_data of type int"),
    ],
)
def test_wrong_arguments_are_refused_before_training(
    build, arrays, arguments, error, message
):
    model = build()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        fine_tune(model, arrays, **arguments)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_validation_data_are_checked_too(build, arrays):
    wrong = arrays[0], arrays[1] + 3
    with pytest.raises(ValueError, match="Received: validation_data with labels from"):
        fine_tune(build(), arrays, validation_data=wrong)
    with pytest.raises(ValueError, match="`validation_data` must be batched"):
        unbatched = tf.data.Dataset.from_tensor_slices(arrays)
        fine_tune(build(), arrays, validation_data=unbatched)


def test_validation_data_of_one_class_pass(build, arrays):
    valid = arrays[0], np.zeros(80, int)
    fine_tune(build(), arrays, validation_data=valid, epochs=1, verbose=0)


def test_optimizers_without_a_rate_of_their_own_are_refused(build, arrays):
    rates = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    model = build(optimizer=keras.optimizers.MultiOptimizer(rates))
    with pytest.raises(ValueError, match="Received: MultiOptimizer"):
        fine_tune(model, arrays, learning_rate=0.1)


def test_a_model_compiled_with_a_schedule_needs_a_number(build, arrays):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    model = build(optimizer=keras.optimizers.SGD(schedule))
    with pytest.raises(ValueError, match="Received: learning_rate='auto' and Cosine"):
        fine_tune(model, arrays)
    fine_tune(model, arrays, learning_rate=0.1, epochs=1, verbose=0)
    assert model.optimizer._learning_rate is schedule


def test_an_aligned_model_is_fine_tuned_in_stages(build, arrays):
    model = AlignedModel(build(), CORAL(weight=0.5))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    rows, labels = arrays
    target = tf.data.Dataset.from_tensor_slices(rows[::-1] * 2.0).batch(16)
    pairs = tf.data.Dataset.zip(batched(arrays), target)
    pairs = pairs.map(lambda labeled, x: ((labeled[0], x), labeled[1]))
    before = [layer.get_weights() for layer in model.model.layers]
    history = fine_tune(
        model,
        pairs,
        validation_data=(rows, labels),
        epochs=2,
        trainable_depth=1,
        class_weight={0: 2.0},
        verbose=0,
    )
    assert history.stages == [0, 1]
    assert set(history.history) == {"loss", "alignment_loss", "val_loss"}
    moved = {
        layer.name
        for layer, old in zip(model.model.layers, before, strict=True)
        if any((a != b).any() for a, b in zip(old, layer.get_weights(), strict=True))
    }
    assert moved == {"block2", "logits"}
