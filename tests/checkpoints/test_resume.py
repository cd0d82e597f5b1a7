"""A `fit` that was killed ends as if it had not been, for anybody's model and data."""

import csv
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.checkpoints.files import CheckpointFolder
from tftransfer.checkpoints.passes import number_passes
from tftransfer.checkpoints.saver import Saver

STEPS = 5  # in an epoch: 70 rows in batches of 16


@pytest.fixture
def shuffled(arrays):
    """Return `fit` arguments of a dataset that shuffles by itself."""

    def shuffled_(seed=5):
        rows = tf.data.Dataset.from_tensor_slices(arrays)
        return {"x": rows.shuffle(70, seed=seed).batch(16), "shuffle": False}

    return shuffled_


@pytest.fixture
def written_at_once(monkeypatch):
    """Let training wait for each checkpoint."""
    save = Saver.save

    def save_and_wait(saver, read):
        save(saver, read)
        saver.wait()

    monkeypatch.setattr(Saver, "save", save_and_wait)


def test_arrays_that_fit_shuffles(ends_equal):
    ends_equal([2 * STEPS + 3])


def test_a_dataset_that_shuffles(ends_equal, shuffled):
    ends_equal([STEPS + 4], data=shuffled)


def test_epochs_have_orders_of_their_own(train, tmp_path):
    seen = []
    see = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["loss"])
    )
    train(tmp_path / "run", callbacks=[see])
    assert len(set(seen)) == 3


def test_early_stopping_goes_on(ends_equal, arrays):
    def callbacks():
        return [
            keras.callbacks.EarlyStopping(
                "val_loss", patience=2, restore_best_weights=True
            ),
            keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10.0),
        ]

    _, history = ends_equal(
        [2 * STEPS + 1], callbacks, epochs=9, validation_data=arrays
    )
    assert history.history["learning_rate"][-1] < 0.01


def test_a_schedule_goes_on(ends_equal, build, monkeypatch):
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 12)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    config = optimizer.get_config()
    monkeypatch.setattr(
        keras.optimizers,
        "Adam",
        lambda rate: keras.optimizers.SGD.from_config(dict(config)),
    )
    ends_equal([STEPS + 2])


def test_rows_of_a_log_come_once(train, killed, tmp_path):
    def log():
        return [keras.callbacks.CSVLogger(tmp_path / "log.csv")]

    first = log()
    with pytest.raises(killed):
        train(tmp_path / "run", 2 * STEPS + 1, callbacks=first, every=STEPS + 3)
    first[0].csv_file.close()
    train(tmp_path / "run", callbacks=log(), every=STEPS + 3)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]


def test_random_numbers_of_the_process_go_on(train, killed, tmp_path):
    drawn = []
    draw = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: drawn.append(float(np.random.random()))
    )
    train(tmp_path / "whole", callbacks=[draw])
    whole, drawn[:] = list(drawn), []
    with pytest.raises(killed):
        train(tmp_path / "run", STEPS + 3, callbacks=[draw])
    drawn.clear()
    np.random.seed(99)  # another process had other numbers
    train(tmp_path / "run", callbacks=[draw])
    assert drawn == whole[1:]


@pytest.mark.usefixtures("written_at_once")
def test_callbacks_hear_nothing_of_steps_before(train, killed, tmp_path):
    begun = []
    hear = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: begun.append(batch)
    )
    with pytest.raises(killed):
        train(tmp_path / "run", 4, callbacks=[hear])
    begun.clear()
    train(tmp_path / "run", callbacks=[hear], epochs=1)
    assert begun == [2, 3, 4]  # the checkpoint is behind two steps


def test_a_finished_run_returns_at_once(train, tmp_path):
    steps = []
    hear = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    model, history = train(tmp_path / "run", callbacks=[hear])
    steps.clear()
    again, other = train(tmp_path / "run", callbacks=[hear])
    assert steps == []
    assert other.history == history.history
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_more_epochs_go_on(train, tmp_path):
    whole, history = train(tmp_path / "whole", epochs=4)
    train(tmp_path / "run", epochs=2)
    model, other = train(tmp_path / "run", epochs=4)
    assert other.epoch == [0, 1, 2, 3]
    assert other.history == history.history


def test_the_next_fit_begins_at_its_own_epoch(train, arrays, tmp_path):
    train(tmp_path / "run")
    model, _ = train(tmp_path / "run")
    assert model.fit(*arrays, epochs=2, verbose=0).epoch == [0, 1]


def test_checkpoints_are_pruned_and_sparse(train, tmp_path):
    train(tmp_path / "run", every=4)
    folder = CheckpointFolder(tmp_path / "run")
    names = [path.name for path in folder.paths()]
    folder.release()
    assert len(names) == 2
    assert int(names[-1][11:19]) <= 3 * STEPS // 4 + 1


def test_it_says_where_it_goes_on(build, arrays, tmp_path, capsys):
    def fit(epochs):
        resume = tft.Resume(tmp_path / "run")
        build().fit(*arrays, epochs=epochs, callbacks=[resume], verbose=0)
        return resume.seconds

    assert fit(2) > 0
    fit(3)
    fit(3)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Resume: goes on with epoch 3.", "Resume: all 3 epochs are done."]


def test_another_model_is_named(build, arrays, tmp_path):
    build(8).fit(*arrays, callbacks=[tft.Resume(tmp_path)], verbose=0)
    with pytest.raises(ValueError, match=r"layers .*units=8.*weights .*\(6, 8\)"):
        build(9).fit(*arrays, callbacks=[tft.Resume(tmp_path)], verbose=0)


def test_other_data_are_named(build, arrays, tmp_path):
    build().fit(*arrays, callbacks=[tft.Resume(tmp_path)], verbose=0)
    fewer = [array[:32] for array in arrays]
    with pytest.raises(ValueError, match="other data .*batches then 3, now 1"):
        build().fit(*fewer, callbacks=[tft.Resume(tmp_path)], verbose=0)


def test_another_seed_is_named(train, shuffled, tmp_path):
    train(tmp_path, data=shuffled, epochs=1)
    with pytest.raises(ValueError, match=r"other data \(seeds then"):
        train(tmp_path, data=lambda: shuffled(6), epochs=1)


def test_another_optimizer_is_named(build, arrays, tmp_path):
    build().fit(*arrays, callbacks=[tft.Resume(tmp_path)], verbose=0)
    model = build(optimizer=keras.optimizers.Adam(0.01, beta_1=0.8))
    with pytest.raises(ValueError, match=r"optimizer .*beta_1 then 0.9, now 0.8"):
        model.fit(*arrays, callbacks=[tft.Resume(tmp_path)], verbose=0)


def test_other_callbacks_are_named(build, arrays, tmp_path):
    build().fit(*arrays, callbacks=[tft.Resume(tmp_path)], verbose=0)
    stop = keras.callbacks.EarlyStopping("loss")
    with pytest.raises(ValueError, match=r"other callbacks .*'EarlyStopping'"):
        build().fit(*arrays, callbacks=[tft.Resume(tmp_path), stop], verbose=0)


def test_what_cannot_be_resumed_is_refused(build, arrays, tmp_path):
    rows = tf.data.Dataset.from_tensor_slices(arrays).batch(16).repeat()
    with pytest.raises(ValueError, match="`steps_per_epoch` must be left out"):
        build().fit(
            rows,
            steps_per_epoch=3,
            shuffle=False,
            callbacks=[tft.Resume(tmp_path)],
            verbose=0,
        )
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "other"))
    with pytest.raises(ValueError, match="Resume beside BackupAndRestore"):
        build().fit(*arrays, callbacks=[tft.Resume(tmp_path), backup], verbose=0)


def test_a_model_without_weights_is_refused(arrays, tmp_path):
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    with pytest.raises(ValueError, match="Sequential that is not built yet"):
        model.fit(*arrays, callbacks=[tft.Resume(tmp_path)], verbose=0)


@pytest.mark.usefixtures("written_at_once")
def test_data_that_have_become_fewer_are_told(train, killed, arrays, tmp_path):
    def rows(count):
        def generate():
            yield from zip(*(array[:count] for array in arrays), strict=True)

        spec = tf.TensorSpec((6,), "float32"), tf.TensorSpec((), "int64")
        dataset = tf.data.Dataset.from_generator(generate, output_signature=spec)
        return {"x": dataset.batch(16), "shuffle": False}

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "What a resumed run|Your input ran out")
        with pytest.raises(killed):
            train(tmp_path, 2 * STEPS + 4, data=lambda: rows(70), every=1)
        with pytest.raises(ValueError, match="data that end . steps before"):
            train(tmp_path, data=lambda: rows(10))


def test_a_dataset_that_was_used_before_is_told(train, killed, shuffled, tmp_path):
    used = shuffled()
    with pytest.raises(killed):
        train(tmp_path, STEPS + 4, data=lambda: used)
    for _ in range(3):
        list(number_passes(used["x"]))
    with pytest.raises(ValueError, match="Make the dataset anew"):
        train(tmp_path, data=lambda: used)


def test_a_folder_of_fine_tune_is_refused(build, arrays, tmp_path):
    tft.fine_tune(
        build(), arrays, frozen_epochs=0, epochs=1, checkpoint=tmp_path, verbose=0
    )
    with pytest.raises(ValueError, match="Resume and fine_tune do not share"):
        build().fit(*arrays, callbacks=[tft.Resume(tmp_path)], verbose=0)


@pytest.mark.parametrize("every", [0, -1, True, "epoch", 2.5])
def test_every_must_be_a_number_of_batches(tmp_path, every):
    with pytest.raises((TypeError, ValueError), match="`checkpoint_every` must be"):
        tft.Resume(tmp_path, every)


def test_a_shuffle_without_a_seed_is_told(train, shuffled, tmp_path):
    tf.random.set_seed(None)
    unseeded = shuffled(None)
    with pytest.warns(UserWarning, match="it shuffles without a seed"):
        train(tmp_path / "run", data=lambda: unseeded, epochs=1)


def test_validation_data_that_shuffle_are_told(train, shuffled, tmp_path):
    with pytest.warns(UserWarning, match="Validation data that shuffle"):
        train(tmp_path / "run", validation_data=shuffled()["x"], epochs=1)


def test_a_callback_with_more_than_data_is_told(train, tmp_path):
    class Keeps(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.found = []

        def on_train_batch_end(self, batch, logs=None):
            self.found.append(object())

    with pytest.warns(UserWarning, match="Keeps keeps more than data in found"):
        train(tmp_path / "run", callbacks=[Keeps()], epochs=1)


def test_settings_of_a_callback_stay_those_of_the_program(train, tmp_path, arrays):
    def stop(patience):
        return keras.callbacks.EarlyStopping("loss", patience=patience)

    train(tmp_path, callbacks=[stop(3)], epochs=1)
    later = stop(7)
    train(tmp_path, callbacks=[later], epochs=2)
    assert later.patience == 7
    assert later.best is not None


def test_a_callback_may_say_its_state_itself(train, killed, tmp_path):
    class Counts(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.steps = iter(range(100))
            self.count = 0

        def on_train_batch_end(self, batch, logs=None):
            self.count = next(self.steps)

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]
            self.steps = iter(range(self.count + 1, 100))

    with pytest.raises(killed):
        train(tmp_path / "run", STEPS + 3, callbacks=[Counts()])
    counts = Counts()
    train(tmp_path / "run", callbacks=[counts])
    assert counts.count == 3 * STEPS - 1


def test_a_full_disk_stops_training_and_leaves_what_was_there(
    train, tmp_path, monkeypatch
):
    train(tmp_path / "run", epochs=1)
    before = sorted(path.name for path in (tmp_path / "run").iterdir())

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(OSError, match="Errno 28. a checkpoint could not"):
            train(tmp_path / "run", epochs=3)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before
    _, history = train(tmp_path / "run", epochs=3)
    assert history.epoch == [0, 1, 2]
