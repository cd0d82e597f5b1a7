"""LoRA against full fine-tuning of EfficientNet-Lite0 on solar cells (ELPV).

Run:  python benchmarks/lora.py --save lora.json     half an hour for each run, 2 cores
      ... --seeds 5 --epochs 12 --rank 4
      ... --smoke          made-up images, no weights, a minute
      pip install "tftransfer[demo,fast]"
Data: the published split, 75 to 25, stratified; a sixth of the training cells is set
aside, and only it chooses a method's rate, where several are given, and the epoch. The
test cells are read once for each seed and method. Flips and quarter turns for both.
Rivals, equal in all but what learns and how fast: a head on the frozen backbone for two
epochs, then
- full: every weight, scale and offset of BatchNormalization included, statistics not;
- LoRA: adapters of `--rank` at all convolutions and the head, and depthwise kernels
  whole, these at the rate of full fine-tuning.
Bar: LoRA within 0.5 points of full fine-tuning with at most 10 % of its parameters. The
difference is paired by seed; its interval is Student's, 95 %.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from scipy import stats
from solar_cells import build_model, load_cells
from timing import print_rows, write_rows

import tftransfer as tft

FROZEN_EPOCHS, HEAD_RATE, FULL_RATE = 2, 1e-3, 3e-4
FULL, LORA = "full", "LoRA"


def main(options):
    rows = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        data = load_cells(seed, options)
        for method in (FULL, LORA):
            rates = options.full_rates if method == FULL else options.lora_rates
            runs = [run(method, rate, seed, data, options) for rate in rates]
            best = max(runs, key=lambda row: row["validation"])
            rows += [{**row, "chosen": row is best} for row in runs]
            print_rows([{key: rows[-1][key] for key in ("method", "seed", "test")}])
    summary = compare([row for row in rows if row["chosen"]])
    print_rows(rows)
    print_rows(summary)
    if options.save:
        write_rows(options.save, rows, summary=summary, options=vars(options))


def run(method, rate, seed, data, options):
    """Train once; the test accuracy is read here and chooses nothing."""
    train, validation, test = data
    started = time.perf_counter()
    model = build_model(seed, options)
    if method == LORA:
        keras.utils.set_random_seed(seed)
        tft.add_lora(model, options.rank, alpha=options.alpha)
        whole = {x.path: FULL_RATE / rate for x in model.weights if is_depthwise(x)}
        optimizer = tft.LayerwiseRates("adam", whole)
        model.compile(optimizer, model.loss, metrics=["accuracy"])
    tft.fine_tune(
        model,
        train,
        validation_data=validation,
        stages=[
            tft.Stage(FROZEN_EPOCHS, HEAD_RATE, trainable_depth=0),
            tft.Stage(options.epochs, rate, trainable_depth="all", patience=None),
        ],
        cache=False,  # cells are augmented: nothing is the same in two epochs
        seed=seed,
        verbose=2,
    )
    learned = tft.describe_trainable(model).num_trainable
    return {
        "method": method,
        "rate": rate,
        "seed": seed,
        "parameters": learned,
        "validation": accuracy(model, validation),
        "test": accuracy(model, test),
        "minutes": (time.perf_counter() - started) / 60,
    }


def is_depthwise(weight):
    return "depthwise" in weight.path and weight.path.endswith("kernel")


def accuracy(model, dataset):
    return tft.evaluate(model, dataset).metrics["accuracy"]


def compare(rows):
    """Mean accuracies, parameters, and the paired difference with its interval."""
    scores = {
        method: np.array([row["test"] for row in rows if row["method"] == method])
        for method in (FULL, LORA)
    }
    counts = {row["method"]: row["parameters"] for row in rows}
    difference = 100 * (scores[LORA] - scores[FULL])
    half = 0.0
    if len(difference) > 1:
        spread = difference.std(ddof=1) / np.sqrt(len(difference))
        half = float(spread * stats.t.ppf(0.975, len(difference) - 1))
    return [
        {
            "full %": 100 * float(scores[FULL].mean()),
            "LoRA %": 100 * float(scores[LORA].mean()),
            "points": float(difference.mean()),
            "+-": half,
            "share of parameters %": 100 * counts[LORA] / counts[FULL],
        }
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--full-rates", type=float, nargs="+", default=[FULL_RATE])
    parser.add_argument("--lora-rates", type=float, nargs="+", default=[3e-3])
    parser.add_argument("--save")
    parser.add_argument("--smoke", action="store_true")
    main(parser.parse_args())
