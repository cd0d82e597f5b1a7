"""LogME beside the forms in which its authors compute it.

Run:  python benchmarks/logme.py --save logme.json
      ... --rows 20000 --width 1280 --classes 10 --repeats 5
      ... --smoke          a few rows, seconds
Data: made-up float32 features as a pooled backbone gives them (not negative, of
different scales), classes that they tell in part.
Rivals in the same process, in turn, each from float32 features to the score, written in
NumPy from the authors' equations with their constants (github.com/thuml/LogME compiles
the same steps, whose time is that of the matrix products and decompositions):
- 2022: singular values of F'F by a general decomposition, the left vectors U = F V / S,
  then the fixed point on the coordinates U'y of each class. The fastest form there is.
- 2021: the same decomposition, and the fixed point on F w - y itself.
Values: the difference of each from ours. Those of the authors stop at a relative change
of 1e-3 (2022) and 1e-2 (2021), and add 1e-5 to the sums that they divide by. "To the
end" is the form of 2022 without the addition, until nothing changes (not timed).
"""

import argparse

import numpy as np
from timing import interleave, print_rows, summarize, write_rows

from tftransfer._version import __version__
from tftransfer.ranking import logme

OURS, FAST, FIRST = "ours", "2022, fixed point", "2021, as in the paper"
MOST_STEPS, ADDED = 11, 1e-5
TO_THE_END = {"most_steps": 1000, "tolerance": 1e-10, "added": 0.0}


def main(rows, width, classes, repeats, save):
    features, labels = make_features(rows, width, classes)
    rivals = {OURS: logme, FAST: logme_of_2022, FIRST: logme_of_2021}
    reached = {}

    def run(name):
        reached[name] = float(rivals[name](features, labels))

    seconds = interleave(
        {name: lambda name=name: run(name) for name in rivals}, repeats
    )
    table = [
        {
            "rival": name,
            **summarize(seconds[name]),
            "score": f"{reached[name]:.9f}",
            "difference": reached[name] - reached[OURS],
        }
        for name in rivals
    ]
    for row in table:
        row["seconds_over_ours"] = row["seconds"] / table[0]["seconds"]
    to_the_end = float(logme_of_2022(features, labels, **TO_THE_END))
    table.append(
        {
            "rival": "2022, to the end",
            "score": f"{to_the_end:.9f}",
            "difference": to_the_end - reached[OURS],
        }
    )
    print(f"{rows:,} x {width:,}, {classes} classes")
    print_rows(table)
    if save:
        sizes = {"rows_of_features": rows, "width": width, "classes": classes}
        write_rows(save, table, **sizes, repeats=repeats, version=__version__)


def make_features(rows, width, classes):
    """Return float32 features `(rows, width)` and labels `(rows,)`."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, classes, rows)
    features = draw.normal(size=(rows, width))
    features += 0.15 * draw.normal(size=(classes, width))[labels]
    features = np.maximum(features, 0) * draw.uniform(0.2, 1.5, width)
    return features.astype("float32"), labels


def logme_of_2022(features, labels, **options):
    features = features.astype("float64")
    count, width = features.shape
    if count > width:
        _, squares, right = np.linalg.svd(features.T @ features)
        values = np.sqrt(squares)
        kept = values > 1e-10
        values, right = values[kept], right[kept]
        left = (features @ right.T) / values
    else:
        left, values, _ = np.linalg.svd(features, full_matrices=False)
    return np.mean(
        [
            evidence_of_2022(values**2, left.T @ column, column, width, **options)
            for column in columns_of(labels)
        ]
    )


def evidence_of_2022(
    squares,
    coordinates,
    column,
    width,
    most_steps=MOST_STEPS,
    tolerance=1e-3,
    added=ADDED,
):
    count, powers = len(column), coordinates**2
    rest = np.sum(column**2) - powers.sum()
    a = b = 1.0
    for _ in range(most_steps):
        t = a / b
        in_use = np.sum(squares / (squares + t))
        of_weights = np.sum(squares * powers / (t + squares) ** 2)
        of_errors = np.sum(powers / (1 + squares / t) ** 2) + rest
        a = in_use / (of_weights + added)
        b = (count - in_use) / (of_errors + added)
        if abs(a / b - t) / t <= tolerance:
            break
    return evidence(a, b, squares, of_weights, of_errors, width, count)


def logme_of_2021(features, labels):
    features = features.astype("float64")
    width = features.shape[1]
    left, squares, right = np.linalg.svd(features.T @ features)
    return np.mean(
        [
            evidence_of_2021(features, squares, left, right, column, width)
            for column in columns_of(labels)
        ]
    )


def evidence_of_2021(features, squares, left, right, column, width):
    count, moments = len(column), right @ (features.T @ column)
    a = b = 1.0
    for _ in range(MOST_STEPS):
        t = a / b
        in_use = np.sum(squares / (squares + t))
        weights = left @ (moments * b / (a + b * squares))
        of_weights = np.sum(weights**2)
        of_errors = np.sum((column - features @ weights) ** 2)
        a = in_use / (of_weights + ADDED)
        b = (count - in_use) / (of_errors + ADDED)
        if abs(a / b - t) / t < 1e-2:
            break
    return evidence(a, b, squares, of_weights, of_errors, width, count)


def evidence(a, b, squares, of_weights, of_errors, width, count):
    """You et al., 2021, equation 2, divided by the number of rows."""
    total = width * np.log(a) + count * np.log(b) - np.log(a + b * squares).sum()
    total -= b * of_errors + a * of_weights + count * np.log(2 * np.pi)
    return total / 2 / count


def columns_of(labels):
    return [(labels == label).astype("float64") for label in range(labels.max() + 1)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save")
    arguments = vars(parser.parse_args())
    if arguments.pop("smoke"):
        arguments |= {"rows": 300, "width": 40, "repeats": 1}
    main(**arguments)
