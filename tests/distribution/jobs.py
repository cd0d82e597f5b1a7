"""What is done on one device, on two, and in two processes: equal numbers each time."""

import contextlib
import hashlib
import os
import signal
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tests.killing import KillAt, Killed

SIZE, CLASSES, ROWS = (8, 8), 3, 72  # four batches of 16 and one of 8
HEAD = tft.Stage(1, 0.1, trainable_depth=0)


def rows():
    """Images of noise and their classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (ROWS, *SIZE, 3)).astype("uint8")
    return images, rng.integers(0, CLASSES, ROWS)


def dataset():
    """Rows in a fixed order: under a strategy shuffled data come in another one."""
    return tf.data.Dataset.from_tensor_slices(rows()).batch(16)


def shuffled():
    """Rows in an order of their own in each epoch."""
    return tf.data.Dataset.from_tensor_slices(rows()).shuffle(ROWS, seed=1).batch(16)


def pairs():
    images, _ = rows()
    target = tf.data.Dataset.from_tensor_slices(255 - images)
    return tft.pair_domains(dataset(), target.batch(16))


def build(strategy, depth=0, rates=None, dropout=0.0, **options):
    """Build a small model with BatchNormalization under a strategy."""
    with strategy.scope():
        keras.utils.set_random_seed(5)
        inputs = keras.Input((*SIZE, 3))
        x = layers.Rescaling(1 / 127.5, -1)(inputs)
        for number, width in enumerate((4, 8), 1):
            x = layers.Conv2D(width, 3, name=f"block{number}_conv")(x)
            x = layers.BatchNormalization(name=f"block{number}_norm")(x)
            x = layers.ReLU(name=f"block{number}_relu")(x)
        x = layers.GlobalAveragePooling2D(name="features")(x)
        model = tft.build_transfer_model(
            keras.Model(inputs, x),
            num_classes=CLASSES,
            image_size=SIZE,
            dropout=dropout,
            seed=0,
            **{name: make() for name, make in options.items()},
        )
        tft.set_trainable_depth(model, depth)
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        if rates:
            optimizer = tft.LayerwiseRates(optimizer, rates)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"])
        return model


def tune(model, *stages, data=None, **options):
    """Return the history of `fine_tune`."""
    stages = [HEAD, *stages] if stages else None
    options = options if stages else {"epochs": 2, **options}
    history = tft.fine_tune(model, data or dataset(), stages=stages, **options)
    return history.history


def fit(strategy):
    model = build(strategy, depth="all")
    valid = dataset()
    return model.fit(
        dataset(), epochs=2, validation_data=valid, shuffle=False, verbose=0
    ).history


def head(strategy):
    stages = [tft.Stage(2, 0.1, trainable_depth=0)]
    return tft.fine_tune(
        build(strategy), dataset(), stages=stages, validation_data=dataset(), verbose=0
    ).history


def upper_block(strategy):
    return tune(build(strategy), tft.Stage(2, 0.05, trainable_depth=1), verbose=0)


def all_blocks(strategy):
    stage = tft.Stage(2, 0.05, trainable_depth="all")
    return tune(build(strategy), stage, cache=False, seed=3, verbose=0)


def aligned(strategy):
    model = build(strategy, alignment=tft.CORAL, depth="all")
    return tune(model, data=pairs(), trainable_depth="all", verbose=0)


def held_near(strategy):
    model = build(strategy, regularization=lambda: tft.L2SP(0.1), depth="all")
    return tune(model, trainable_depth="all", verbose=0)


def rates(strategy):
    model = build(strategy, rates={"block2": 0.1}, depth="all")
    return tune(model, trainable_depth="all", verbose=0)


def drawn_order(strategy):
    """Arrays shuffled without a seed, their features stored: one order in all."""
    stages = [tft.Stage(2, 0.1, trainable_depth=0)]
    model = build(strategy)
    history = tft.fine_tune(model, rows(), stages=stages, verbose=0, cache=True)
    return {**history.history, "weights": digest(model)}


def lora(strategy):
    return tune(tft.add_lora(build(strategy), 2), verbose=0)


def freeze_threshold(strategy):
    callback = tft.FreezeThreshold(0.009, checks=1)
    model = build(strategy)
    stage = tft.Stage(2, 0.05, trainable_depth="all")
    history = tune(model, stage, callbacks=[callback], verbose=0)
    return {**history, "frozen": sorted(callback.frozen)}


def resumed_fit(strategy):
    """A `fit` on arrays that Keras shuffles, with dropout, killed and gone on with."""

    def run(folder):
        model = build(strategy, depth="all", dropout=0.3)
        tft.set_trainable_depth(model, "all", batch_norm="train")
        callbacks = [KillAt(), tft.Resume(folder, 2, verbose=False)]
        images, labels = rows()
        options = {"batch_size": 16, "epochs": 3, "verbose": 0}
        history = model.fit(images, labels, callbacks=callbacks, **options)
        return history.history, digest(model)

    return run_twice(run, "fit")


def resumed_fine_tune(strategy):
    """`fine_tune` on shuffled data, killed in its second stage and gone on with."""

    def run(folder):
        model = build(strategy, dropout=0.3)
        stage = tft.Stage(2, 0.05, trainable_depth="all", batch_norm="train")
        history = tft.fine_tune(
            model,
            shuffled(),
            stages=[HEAD, stage],
            callbacks=[KillAt()],
            checkpoint=folder,
            checkpoint_every=2,
            seed=3,
            verbose=0,
        )
        return history.history, digest(model)

    return run_twice(run, "fine_tune")


def to_the_end(strategy):
    """`fine_tune` in a process that may be killed, see `DeathAt`."""
    model = build(strategy)
    stage = tft.Stage(3, 0.05, trainable_depth="all")
    history = tft.fine_tune(
        model,
        shuffled(),
        stages=[HEAD, stage],
        callbacks=[DeathAt()],
        checkpoint=Path(os.environ["CHECKPOINTS"], "death"),
        checkpoint_every=2,
        seed=3,
        verbose=0,
    )
    return {**history.history, "weights": digest(model)}


class DeathAt(keras.callbacks.Callback):
    """Kills this process behind the step that the environment names, if it does."""

    seen = 0  # of the class: no state that a checkpoint would hold

    def on_train_batch_end(self, batch, logs=None):
        DeathAt.seen += 1
        if DeathAt.seen == int(os.environ.get("DEATH_AT", 0)):
            os.kill(os.getpid(), signal.SIGKILL)


def run_twice(run, name):
    """Run whole; then until a step, and again to the end."""
    folder = Path(os.environ["CHECKPOINTS"], name)
    KillAt.step = 0
    whole = run(folder / "whole")
    KillAt.step, KillAt.seen = 8, 0
    with contextlib.suppress(Killed):
        run(folder / "killed")
    killed_at, KillAt.step, KillAt.seen = KillAt.seen, 0, 0
    resumed = run(folder / "killed")
    found = {"whole": whole, "resumed": resumed, "step": killed_at}
    return {**found, "again": KillAt.seen}


def digest(model):
    """Return a hash of all weights."""
    values = [keras.ops.convert_to_numpy(x).tobytes() for x in model.weights]
    return hashlib.sha256(b"".join(values)).hexdigest()


def predictions(strategy):
    model, (images, _) = build(strategy), rows()
    return {
        "predict": tft.predict(model, images).tolist(),
        "one_row": tft.predict(model, images[:1]).tolist(),
        "views": tft.predict(model, images[:7], augment=2).tolist(),
        "evaluate": tft.evaluate(model, dataset()).metrics,
        "features": np.asarray(tft.extract_features(model, dataset())[0]).tolist(),
    }


JOBS = {
    job.__name__: job
    for job in (
        *(fit, head, upper_block, all_blocks, aligned, held_near, rates, lora),
        *(freeze_threshold, drawn_order, predictions),
        *(resumed_fit, resumed_fine_tune, to_the_end),
    )
}
