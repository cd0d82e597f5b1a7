"""How time and memory grow from 1,000 to 64,000 images: extraction and 3 epochs.

Run:  python benchmarks/scaling.py --save scaling.json
      ... --images 1000 4000 16000 64000 --engine openvino
      ... --smoke          500 and 1,000 images
      pip install "tftransfer[fast]"
Each size runs in a process of its own with an empty store: a linear head on MobileNetV2
(alpha 0.35, 96 x 96, random weights), `extract_features`, then `fine_tune` on the same
store. The images are computed in the tf.data pipeline from their number, so that no
memory is theirs. All sizes use one engine, or short and long work would differ in more
than length.
Resident memory is sampled while the process runs: `resident` as the system counts it,
`own` without the pages of files, which the system takes back when it needs them; each
for the extraction and for the training.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import psutil
from timing import print_rows, write_rows

SIZE, NUM_CLASSES, BATCH_SIZE, EPOCHS = 96, 10, 64, 3
EVERY = 0.02  # seconds between two looks at the memory
MEMORY = ("resident", "own")


class Watcher(threading.Thread):
    """Keeps the largest memory of this process since the last call of `take`."""

    def __init__(self):
        super().__init__(daemon=True)
        self._process, self._most = psutil.Process(), dict.fromkeys(MEMORY, 0)

    def run(self):
        """Look at the memory for ever."""
        while True:
            self._look()
            time.sleep(EVERY)

    def take(self):
        """Return the largest memory in megabytes, and begin anew."""
        self._look()
        most, self._most = self._most, dict.fromkeys(MEMORY, 0)
        return {name: most[name] / 1e6 for name in MEMORY}

    def _look(self):
        now = self._process.memory_info()
        seen = {"resident": now.rss, "own": now.rss - getattr(now, "shared", 0)}
        for name in MEMORY:
            self._most[name] = max(self._most[name], seen[name])


def make_images(count):
    """Images and labels computed from their numbers, each image another pattern."""
    import tensorflow as tf

    pixels = tf.reshape(tf.range(SIZE * SIZE * 3), (SIZE, SIZE, 3))

    def paint(number):
        number = tf.cast(number, tf.int32)
        return tf.cast((pixels * (number + 1)) % 251, tf.uint8), number % NUM_CLASSES

    images = tf.data.Dataset.range(count).map(paint, tf.data.AUTOTUNE)
    dataset = images.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    # As a loader tells: or the second reading would have to look at all pixels.
    dataset.fingerprint = f"{count} patterns of {SIZE} pixels"
    return dataset


def run_one(count, engine):
    """Train on `count` images in this process; print what it took."""
    import tftransfer as tft

    backbone = tft.load_backbone(
        "keras:MobileNetV2", alpha=0.35, weights=None, image_size=(SIZE, SIZE)
    )
    model = tft.build_transfer_model(backbone, num_classes=NUM_CLASSES, seed=0)
    dataset, watcher = make_images(count), Watcher()
    watcher.start()
    memory = {"before": watcher.take()}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tft.extract_features(model, dataset, engine=engine, directory=folder)
        extracted, memory["extraction"] = time.perf_counter(), watcher.take()
        tft.fine_tune(
            model,
            dataset,
            epochs=EPOCHS,
            frozen_epochs=0,
            cache=folder,
            engine=engine,
            verbose=2,
        )
        ended, memory["training"] = time.perf_counter(), watcher.take()
    row = {
        "images": count,
        "seconds": ended - started,
        "extraction_seconds": extracted - started,
        "training_seconds": ended - extracted,
        "images_per_second": count / (ended - started),
    }
    for part, most in memory.items():
        row |= {f"{name}_{part}": round(most[name]) for name in MEMORY}
    print(json.dumps(row))


def measure(count, engine):
    """Run one size in a new process; return its row."""
    command = [sys.executable, __file__, "--one", str(count), "--engine", engine]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    *lines, last = output.stdout.splitlines()
    for line in lines:
        if "rows of features" in line or line.startswith(("Engine", "Fast path")):
            print(line.split("\r")[-1].strip(), flush=True)
    return json.loads(last)


def list_checks(rows):
    """What each further image costs from size to size, and how far memory grows."""
    checks = []
    rates = [
        (b["seconds"] - a["seconds"]) / (b["images"] - a["images"])
        for a, b in zip(rows, rows[1:], strict=False)
    ]
    for row, rate in zip(rows[1:], rates, strict=True):
        row["ms_per_further_image"] = 1000 * rate
    # From the second size on: the first step is from constant costs.
    spread = max(rates[1:]) / min(rates[1:]) if len(rates) > 2 else float("nan")
    wanted = "cost of a further image, most / least"
    checks.append({"must_reach": wanted, "reached": spread, "ok": "told"})
    for name in MEMORY:
        for part in ("extraction", "training"):
            values = [row[f"{name}_{part}"] for row in rows]
            middle = (max(values) + min(values)) / 2
            off = max(values) / middle - 1
            wanted = f"memory {name}, {part}: within 10 % of its middle"
            checks.append({"must_reach": wanted, "reached": off, "ok": off <= 0.1})
    return checks


def main(options):
    rows = []
    for count in sorted(options.images):
        rows.append(measure(count, options.engine))
        print_rows(rows[-1:])
    checks = list_checks(rows)
    print_rows(rows)
    print_rows(checks)
    if options.save:
        write_rows(options.save, rows, checks=checks, options=vars(options))


def read_options():
    installed = importlib.util.find_spec("openvino") is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = [1000, 4000, 16000, 64000]
    parser.add_argument("--images", type=int, nargs="+", default=sizes)
    parser.add_argument("--engine", default="openvino" if installed else "tensorflow")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save", type=Path, help="JSON file")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.smoke:
        options.images = [500, 1000]
    options.save = options.save and str(options.save)
    return options


if __name__ == "__main__":
    arguments = read_options()
    if arguments.one:
        run_one(arguments.one, arguments.engine)
    else:
        main(arguments)
