"""What one temperature mends of a fine-tuned network's confidence, on solar cells.

Run:  python benchmarks/calibration.py --save calibration.json    8 minutes a seed
      ... --seeds 5 --epochs 12 --size 128
      ... --plain          without augmentation: the network grows too sure of itself
      ... --smoke          made-up images, no weights, a minute
      pip install "tftransfer[demo,fast]"
Data: ELPV, the published split, 75 to 25, another for each seed. A sixth of the
training cells is set aside, and the temperature is fitted on it alone; the errors are
of the test cells, 656. EfficientNet-Lite0 learns whole, with flips and quarter turns;
`--plain` is without.
Errors: expected calibration error with 15 bins of equal width and of equal mass, and
negative log likelihood. Of so few rows even perfect confidence shows an error: `chance`
is its mean where labels are drawn from the calibrated probabilities themselves. At last
the cells of all seeds are taken together: less of that is chance.
The bar of the project: after at most half of before, or at most 2 points.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from solar_cells import TURNED, build_model, load_cells
from timing import print_rows, write_rows

import tftransfer as tft
from tftransfer.evaluation.metrics import expected_calibration_error

DRAWS = 200
HEAD_EPOCHS, HEAD_RATE, RATE = 2, 1e-3, 3e-4
ERRORS = {
    "ECE": "expected_calibration_error",
    "equal mass": "equal_mass_calibration_error",
    "NLL": "negative_log_likelihood",
}


def main(options):
    rows, cells = [], []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        row, tested = measure(seed, options)
        rows.append(row)
        cells.append(tested)
        print_rows(rows[-1:])
    means = {
        key: float(np.mean([row[key] for row in rows]))
        for key in rows[0]
        if key != "seed"
    }
    labels, before, after = (np.concatenate(x) for x in zip(*cells, strict=True))
    together = {
        "ECE": 100 * expected_calibration_error(labels, before),
        "ECE after": 100 * expected_calibration_error(labels, after),
        "chance": 100 * error_of_chance(after, options.first_seed),
    }
    summary = [judge("mean of seeds", means), judge("all cells", together)]
    print_rows(rows)
    for row in summary:
        print_rows([row])
    if options.save:
        write_rows(options.save, rows, summary=summary, options=vars(options))


def judge(name, errors):
    """Add the bar to errors before and after."""
    ratio = errors["ECE after"] / errors["ECE"]
    reaches = ratio <= 0.5 or errors["ECE after"] <= 2
    return {"of": name, **errors, "ratio": ratio, "reaches_bar": reaches}


def measure(seed, options):
    """Train once; test labels are read by the errors alone."""
    started = time.perf_counter()
    train, aside, test = load_cells(seed, options, None if options.plain else TURNED)
    model = build_model(seed, options)
    tft.fine_tune(
        model,
        train,
        stages=[
            tft.Stage(HEAD_EPOCHS, HEAD_RATE, trainable_depth=0),
            tft.Stage(options.epochs, RATE, trainable_depth="all"),
        ],
        cache=False,  # as with augmentation, where no two epochs are the same
        seed=seed,
        verbose=2,
    )
    found = tft.calibrate(model, aside, test_data=test)
    row = {"seed": seed, "accuracy": 100 * found.after.metrics["accuracy"]}
    row["temperature"] = found.temperature
    for name, error in ERRORS.items():
        scale = 1 if name == "NLL" else 100
        before, after = found.figures[error]
        row |= {name: scale * before, f"{name} after": scale * after}
    row["chance"] = 100 * error_of_chance(found.after.probabilities, seed)
    row |= {"minutes": (time.perf_counter() - started) / 60}
    both = found.before.probabilities, found.after.probabilities
    return row, (found.after.labels, *both)


def error_of_chance(probabilities, seed):
    """Mean error of labels that follow the probabilities, of which all is chance."""
    generator = np.random.default_rng(seed)
    draws = generator.random((DRAWS, len(probabilities)))
    drawn = (draws > probabilities[:, 0]).astype(int)
    return np.mean([expected_calibration_error(x, probabilities) for x in drawn])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--save")
    parser.add_argument("--smoke", action="store_true")
    main(parser.parse_args())
