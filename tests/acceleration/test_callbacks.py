"""Callbacks must see the whole model and every epoch, as without the fast path."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft


@pytest.fixture
def fit(build, train, images):
    """Train on stored features with callbacks; returns the model and the history."""

    def run(callbacks, model=None, epochs=4, **settings):
        model = model or build.model()
        tft.accelerate(model, engine="tensorflow", verbose=False)
        history = model.fit(
            train,
            validation_data=images,
            epochs=epochs,
            callbacks=callbacks,
            verbose=0,
            **settings,
        )
        return model, history

    return run


@pytest.mark.slow
def test_checkpoints_hold_the_whole_model(fit, images, tmp_path):
    path = str(tmp_path / "{epoch}.keras")
    model, _ = fit([keras.callbacks.ModelCheckpoint(path)])
    loaded = keras.models.load_model(tmp_path / "4.keras")
    tft.accelerate(model, False)
    expected = model.predict(images[0], verbose=0)
    np.testing.assert_allclose(
        loaded.predict(images[0], verbose=0), expected, rtol=1e-5
    )
    first = keras.models.load_model(tmp_path / "1.keras")
    assert np.abs(first.predict(images[0], verbose=0) - expected).max() > 1e-3


@pytest.mark.slow
def test_early_stopping_restores_the_best_weights(fit, build, images):
    stopper = keras.callbacks.EarlyStopping(
        "val_loss", patience=1, restore_best_weights=True
    )
    model = build.compiled(build.model(), keras.optimizers.SGD(40.0))
    model, history = fit([stopper], model, epochs=30)
    losses = history.history["val_loss"]
    assert len(losses) < 30
    tft.accelerate(model, False)
    loss = model.evaluate(*images, verbose=0)[0]
    np.testing.assert_allclose(loss, min(losses), rtol=1e-4)


@pytest.mark.slow
def test_a_scheduler_sets_the_rate_of_every_epoch(fit):
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))
    _, history = fit([scheduler])
    np.testing.assert_allclose(
        history.history["learning_rate"], [0.1, 0.05, 1 / 30, 0.025], rtol=1e-6
    )


@pytest.mark.slow
def test_tensorboard_writes_both_curves(fit, tmp_path):
    pytest.importorskip("tensorboard")
    fit([keras.callbacks.TensorBoard(tmp_path / "logs")])
    for part in ("train", "validation"):
        (file,) = (tmp_path / "logs" / part).glob("events*")
        tags = [
            value.tag
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        ]
        assert tags.count("epoch_loss") == 4


@pytest.mark.slow
def test_backup_and_restore_goes_on_where_it_stopped(fit, build, tmp_path):
    class Stumble(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    expected, _ = fit([])
    backup = [keras.callbacks.BackupAndRestore(tmp_path / "backup")]
    with pytest.raises(KeyboardInterrupt):
        fit([*backup, Stumble()])
    model, history = fit(backup)
    assert history.epoch == [2, 3]
    np.testing.assert_allclose(build.weights(model), build.weights(expected), atol=1e-6)


def test_a_callback_may_use_the_model_on_images(fit, build, images):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.predict(images[0], verbose=0))
            seen.append(np.array(self.model(images[0], training=False)))
            seen.append(self.model.evaluate(*images, verbose=0)[0])
            assert isinstance(self.model.get_layer("stem_conv"), keras.layers.Conv2D)

    model, history = fit([Look()], epochs=2)
    tft.accelerate(model, False)
    np.testing.assert_allclose(seen[3], model.predict(images[0], verbose=0), rtol=1e-5)
    np.testing.assert_allclose(seen[4], seen[3], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(seen[5], history.history["val_loss"][1], rtol=1e-4)


@pytest.mark.slow
def test_a_callback_that_counts_batches_gets_each(fit, build, images):
    counts = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counts.append(batch)

    model = build.model()
    tft.accelerate(model, engine="tensorflow", verbose=False)
    model.fit(*images, batch_size=1, epochs=20, callbacks=[Count()], verbose=0)
    assert counts == [*range(26)] * 20


def test_a_callback_may_stop_training(fit):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    _, history = fit([Stop()])
    assert history.epoch == [0, 1]
