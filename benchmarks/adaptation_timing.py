"""How long `adapt_features` takes, and how that grows with the rows.

Started by `adaptation.py --time`, each size in a process of its own: made-up features
as wide as those of MobileNetV2, ten classes that overlap, a target that is moved.
"""

import json
import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from timing import print_rows, write_rows

import tftransfer as tft

ROWS = (2000, 4000, 6000, 10_000)  # of each domain
WIDTH, CLASSES, HIDDEN = 1280, 10, 100


def time_rows(save):
    """Time `adapt_features` on made-up features, each size in a process of its own."""
    rows = []
    for count in ROWS:
        command = [sys.executable, __file__, str(count)]
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(found.stdout.splitlines()[-1]))
        rows[-1]["seconds_per_1000"] = 1e3 * rows[-1]["seconds"] / rows[-1]["rows"]
        print_rows(rows[-1:])
    if save:
        write_rows(save, rows)


def time_one(count):
    """Print rows of both domains, seconds, peak memory and accuracies as JSON."""
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(HIDDEN, WIDTH))
    mixing *= np.exp(-np.arange(HIDDEN) / 30)[:, None]
    means = 0.5 * draw.normal(size=(CLASSES, HIDDEN))

    def make(moved):
        labels = draw.integers(0, CLASSES, count)
        hidden = means[labels] + draw.normal(size=(count, HIDDEN))
        noise = 0.3 * draw.normal(size=(count, WIDTH))
        return np.maximum(0.3 * hidden @ mixing + noise + moved, 0), labels

    source, labels = make(0.0)
    target, truth = make(draw.normal(size=WIDTH))
    started = time.perf_counter()
    result = tft.adapt_features(source, labels, target, verbose=0)
    seconds = time.perf_counter() - started
    accuracies = result.evaluate(truth)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    row = {"rows": 2 * count, "seconds": seconds, "peak_gib": peak}
    row |= {name: accuracies[name] for name in ("control", "chosen")}
    print(json.dumps({**row, "verdict": result.verdict}))


if __name__ == "__main__":
    time_one(int(sys.argv[1]))
