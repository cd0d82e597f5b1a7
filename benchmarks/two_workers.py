"""Two workers on one machine against one process: equal histories, and the step time.

Run:  python benchmarks/two_workers.py --save two_workers.json     some minutes, 2 cores
      ... --smoke          a network of 32 x 32 pixels, a minute
Data: made-up images. Four blocks of convolution and group normalization learn with SGD
from the same weights; no dropout.
Rivals, one after the other, twice in turn:
- one process on all cores;
- two workers on this machine under MultiWorkerMirroredStrategy, each with half of the
  cores and half of each batch.
Told: seconds of a step (median, the first two of each epoch left out) and the largest
difference of the histories. Bar of the project: equal to 1e-5.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from timing import print_rows, write_rows

BATCH_SIZE, CLASSES, LEFT_OUT, RATE = 32, 5, 2, 1e-2
ONE, TWO = "one process", "two workers"


def train(options):
    """Train in this process, as TF_CONFIG says; write what came out."""
    import keras  # here, in the processes that need it
    import tensorflow as tf

    import tftransfer as tft

    of_workers = "TF_CONFIG" in os.environ
    if of_workers:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    steps = []

    class Steps(keras.callbacks.Callback):
        """Notes how long each step takes."""

        def on_train_batch_begin(self, batch, logs=None):
            self.begun = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            if batch >= LEFT_OUT:
                steps.append(time.perf_counter() - self.begun)

    size = (options.size, options.size)
    data = tft.load_synthetic(
        CLASSES, num_examples=options.images, image_size=size, batch_size=BATCH_SIZE
    )
    with strategy.scope():
        model = tft.build_transfer_model(
            build_backbone(size), num_classes=CLASSES, image_size=size, seed=0
        )
        optimizer = keras.optimizers.SGD(RATE, momentum=0.9)
        model.compile(optimizer, model.loss, metrics=["accuracy"])
    stages = [tft.Stage(options.epochs, RATE, trainable_depth="all")]
    history = tft.fine_tune(
        model, data[0], stages=stages, callbacks=[Steps()], verbose=0
    )
    found = {"history": history.history, "steps": steps}
    Path(options.worker).write_text(json.dumps(found))


def build_backbone(size):
    """Build four blocks with group normalization, which knows no batch."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    inputs = keras.Input((*size, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    for number, width in enumerate((32, 64, 128, 256), 1):
        x = layers.Conv2D(width, 3, padding="same", name=f"block{number}_conv")(x)
        x = layers.GroupNormalization(8, name=f"block{number}_norm")(x)
        x = layers.ReLU(name=f"block{number}_relu")(x)
        x = layers.MaxPooling2D(name=f"block{number}_pool")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="features")(x))


def run_once(name, options):
    """Train in one process or two; return what each wrote."""
    count = 1 if name == ONE else 2
    threads = str(max(1, os.cpu_count() // count))
    opened = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in opened]
    for each in opened:
        each.close()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{index}.json") for index in range(count)]
        processes = []
        for index, path in enumerate(paths):
            given = {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads}
            if count > 1:
                task = {"type": "worker", "index": index}
                cluster = {"cluster": {"worker": addresses}, "task": task}
                given["TF_CONFIG"] = json.dumps(cluster)
            command = [sys.executable, *sys.argv, "--worker", path]
            processes.append(subprocess.Popen(command, env={**os.environ, **given}))
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit(f"{name} ended with {codes}")
        return [json.loads(path.read_text()) for path in paths]


def apart(one, two):
    """Return the largest difference of two histories."""
    return max(
        abs(a - b)
        for metric in one
        for a, b in zip(one[metric], two[metric], strict=True)
    )


def main(options):
    found = {ONE: [], TWO: []}
    for _ in range(options.rounds):
        for name in found:
            found[name] += run_once(name, options)
    first = found[ONE][0]["history"]
    rows = []
    for name, runs in found.items():
        seconds = statistics.median(x for run in runs for x in run["steps"])
        row = {"rival": name, "step_ms": 1000 * seconds}
        row["images_a_second"] = BATCH_SIZE / seconds
        row["apart"] = max(apart(first, run["history"]) for run in runs)
        row["losses"] = " ".join(f"{x:.6f}" for x in runs[0]["history"]["loss"])
        rows.append(row)
    print_rows(rows)
    if options.save:
        write_rows(options.save, rows, options=vars(options))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save", help="JSON file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.smoke:
        given.size, given.images, given.epochs, given.rounds = 32, 128, 2, 1
    (train if given.worker else main)(given)
