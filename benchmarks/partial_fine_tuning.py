"""What an epoch costs when the last 30 % of EfficientNet-Lite0's parameters learn.

Run:  python benchmarks/partial_fine_tuning.py --save partial_fine_tuning.json
      ... --images 512 --epochs 5 --repeats 3
      ... --smoke          made-up images of 64 x 64, seconds
      pip install "tftransfer[demo,fast]"
Data: solar cells of ELPV at 224 x 224 in a fixed order, batches of 32, Adam at a
constant rate; every run begins with the same weights.
Rivals in the same process, in turn:
- plain Keras `fit` over the images;
- the suffix alone: a `keras.Model` from the cut to the logits, trained with `fit` on
  arrays of the activations (which cost nothing here), same batches, same order;
- ours with the engine it chooses, and with engine="tensorflow", each with an empty
  store; the engine's choice is made before and remembered.
An epoch is the median over all rounds of all epochs after the first. The loss curves
are compared epoch by epoch with those of plain `fit`.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from timing import interleave, print_rows, write_rows

import tftransfer as tft
from tftransfer.acceleration.frozen_cuts import find_frozen_cuts
from tftransfer.engines.remembered import FILE as REMEMBERED
from tftransfer.store.listing import list_entries

BATCH_SIZE = 32
RATE = 3e-4
DEPTH = 0.3
PLAIN, SUFFIX = "plain Keras fit", "suffix alone on arrays"
OURS, OURS_TENSORFLOW = "ours", "ours, engine tensorflow"


class Clock(keras.callbacks.Callback):
    """Notes when training starts and what each epoch takes."""

    def __init__(self):
        super().__init__()
        self.seconds, self.begun, self._epoch = [], None, None

    def on_train_begin(self, logs=None):
        """Note it."""
        self.begun = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        """Note it."""
        self._epoch = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Note the seconds since the epoch began."""
        self.seconds.append(time.perf_counter() - self._epoch)


class Bench:
    """The rivals on one dataset.

    Args:
        train: Dataset in a fixed order.
        size: Pixels of a side.
        epochs: Number of epochs.
        folder: Folder for stores, removed by the caller.
    """

    def __init__(self, train, size, epochs, folder):
        self.train, self.epochs, self.folder = train, epochs, Path(folder)
        self.model = tft.build_transfer_model(
            "pip:efficientnet_lite0",
            num_classes=2,
            image_size=(size, size),
            trainable_depth=DEPTH,
            seed=0,
        )
        self.weights = self.model.get_weights()
        self.cut = find_frozen_cuts(self.model).cuts[-1][0]
        rows = tft.extract_features(self.model, train, self.cut.name, verbose=0)
        self.activations = np.asarray(rows.features)
        self.labels = np.asarray(rows.labels)
        self.runs = {name: [] for name in (PLAIN, SUFFIX, OURS, OURS_TENSORFLOW)}

    def choose_engine(self):
        """Run ours where nothing is known; return a line on the engine."""
        self._fine_tune(OURS, self.folder / "first", "auto", verbose=2)
        (entry,) = list_entries(self.folder / "first").entries
        return entry.description["engine"]

    def rivals(self):
        """Callables by name."""
        return {
            PLAIN: lambda: self._fine_tune(PLAIN, False, "auto"),
            SUFFIX: self._suffix,
            OURS: lambda: self._empty_store(OURS, "auto"),
            OURS_TENSORFLOW: lambda: self._empty_store(OURS_TENSORFLOW, "tensorflow"),
        }

    def _empty_store(self, name, engine):
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            known = self.folder / "first" / REMEMBERED
            if known.exists():
                shutil.copy(known, folder)
            self._fine_tune(name, folder, engine)

    def _fine_tune(self, name, cache, engine, verbose=0):
        self.model.set_weights(self.weights)
        clock, started = Clock(), time.perf_counter()
        history = tft.fine_tune(
            self.model,
            self.train,
            stages=[tft.Stage(self.epochs, RATE, schedule="constant")],
            callbacks=[clock],
            cache=cache,
            engine=engine,
            seed=0,
            verbose=verbose,
        )
        self._note(name, started, clock, history)

    def _suffix(self):
        self.model.set_weights(self.weights)
        # It shares the layers, and with them what learns and how.
        suffix = keras.Model(self.cut.tensor, self.model.output)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        suffix.compile(keras.optimizers.Adam(RATE), loss, metrics=["accuracy"])
        clock, started = Clock(), time.perf_counter()
        history = suffix.fit(
            self.activations,
            self.labels,
            batch_size=BATCH_SIZE,
            epochs=self.epochs,
            shuffle=False,
            callbacks=[clock],
            verbose=0,
        )
        self._note(SUFFIX, started, clock, history)

    def _note(self, name, started, clock, history):
        run = {
            "seconds": time.perf_counter() - started,
            "until_training": clock.begun - started,
            "epochs": clock.seconds,
            "loss": history.history["loss"],
        }
        self.runs[name].append(run)


def describe(bench, repeats):
    """One row for each rival."""
    curve = np.array(bench.runs[PLAIN][-1]["loss"])
    rows = []
    for name, runs in bench.runs.items():
        runs = runs[-repeats:]  # without the warm ones
        later = [seconds for run in runs for seconds in run["epochs"][1:]]
        row = {"rival": name}
        for part in ("seconds", "until_training"):
            row[part] = statistics.median(run[part] for run in runs)
        row["first_epoch"] = statistics.median(run["epochs"][0] for run in runs)
        row["epoch"] = statistics.median(later)
        row["fastest"], row["slowest"] = min(later), max(later)
        losses = np.array([run["loss"] for run in runs])
        row["loss_off_plain"] = float(np.abs(losses - curve).max())
        row["last_loss"] = float(losses[-1, -1])
        rows.append(row)
    return rows


def list_checks(rows):
    by_name = {row["rival"]: row for row in rows}
    checks = []
    for name in (OURS, OURS_TENSORFLOW):
        ours, plain = by_name[name], by_name[PLAIN]
        share = ours["epoch"] / by_name[SUFFIX]["epoch"]
        checks += [
            check(f"{name}: epoch / suffix alone <= 1.1", share, share <= 1.1),
            check(f"{name}: plain epoch / epoch", plain["epoch"] / ours["epoch"]),
            check(f"{name}: plain fit / all", plain["seconds"] / ours["seconds"]),
            check(
                f"{name}: loss within 1e-3 of plain",
                ours["loss_off_plain"],
                ours["loss_off_plain"] <= 1e-3,
            ),
        ]
    return checks


def check(wanted, reached, ok="told"):
    return {"must_reach": wanted, "reached": reached, "ok": ok}


def load_data(options):
    size = (options.size, options.size)
    if options.smoke:
        (train,) = tft.load_synthetic(
            2, num_splits=1, num_examples=options.images, image_size=size
        )
        return train
    train, _ = tft.load_elpv(0, image_size=size, batch_size=BATCH_SIZE)
    return train.unshuffled.take(options.images // BATCH_SIZE)


def main(options):
    train = load_data(options)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TFTRANSFER_CACHE"] = folder
        bench = Bench(train, options.size, options.epochs, folder)
        engine = bench.choose_engine()
        interleave(bench.rivals(), repeats=options.repeats)
    learning = sum(int(np.prod(w.shape)) for w in bench.model.trainable_weights)
    told = {
        "images": len(bench.labels),
        "engine": engine,
        "cut": bench.cut.name,
        "activations": bench.activations.shape[1:],
        "share_learning": learning / bench.model.count_params(),
    }
    rows = describe(bench, options.repeats)
    checks = list_checks(rows)
    print_rows([told])
    print_rows(rows)
    print_rows(checks)
    if options.save:
        told |= {"checks": checks, "options": vars(options), "runs": bench.runs}
        write_rows(options.save, rows, **told)


def read_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save", help="JSON file")
    options = parser.parse_args()
    options.images = options.images or (64 if options.smoke else 512)
    options.size = options.size or (64 if options.smoke else 224)
    options.repeats = 1 if options.smoke else options.repeats
    return options


if __name__ == "__main__":
    main(read_options())
