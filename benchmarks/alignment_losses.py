"""CORAL and MMD from Gram matrices beside the formulas that others compute.

Run:   python benchmarks/alignment_losses.py --save alignment_losses.json
CORAL: two batches of 64 rows, 2,048 wide, forward and backward. Rivals: the paper's
       formula with its two d x d covariances, and pytorch-adapt's, whose covariances
       come from the sums of products less the product of sums, both in TensorFlow.
MMD:   two batches of 128 rows, 2,048 wide, the same five bandwidths for all. Rival: the
       formula over the (2n, 2n, d) tensor of all differences, as in most repositories.
       Peak memory in a fresh process each, above what it held after one step on two
       rows, so that TensorFlow itself and its tracing are not counted.
All in a `tf.function` that does not know the number of rows, as in `fit`. Values are
compared with the formula in float64 NumPy.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from timing import interleave, print_rows, summarize, write_rows

import tftransfer as tft
from tftransfer.alignment.coral import coral_loss
from tftransfer.alignment.mmd import mmd_loss

WIDTH, CORAL_ROWS, MMD_ROWS = 2048, 64, 128
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
BANDWIDTHS = tuple(factor * WIDTH**0.5 for factor in FACTORS)
OURS, MATRICES, SUMS, TENSOR = "ours", "d x d", "pytorch-adapt's", "(2n, 2n, d)"


def main(repeats, steps, save):
    rows = compare(CORAL, make_batches(CORAL_ROWS), coral_in_numpy, repeats, steps)
    pairs = compare(
        MMD, make_batches(MMD_ROWS), mmd_in_numpy, repeats, max(steps // 20, 1)
    )
    for row in pairs:
        row["peak_mib"] = measure_apart(row["rival"])
    for row in pairs:
        row["times_our_memory"] = row["peak_mib"] / pairs[0]["peak_mib"]
    print("CORAL, n = 64, d = 2,048")
    print_rows(rows)
    print("MMD, n = 128, d = 2,048")
    print_rows(pairs)
    if save:
        write_rows(save, [*rows, *pairs], repeats=repeats, version=tft.__version__)


def compare(rivals, batches, in_numpy, repeats, steps):
    """Return a row for each rival: time of a step, errors of value and gradient.

    Args:
        rivals: Dictionary from name to loss, ours first.
        batches: Float32 arrays of source and target.
        in_numpy: The same loss in float64.
        repeats: Rounds.
        steps: Steps of forward and backward in each round.
    """
    functions = {name: differentiate(loss) for name, loss in rivals.items()}
    inputs = [tf.constant(batch) for batch in batches]

    def run(step):
        for _ in range(steps):
            value, _ = step(*inputs)
        return value.numpy()

    seconds = interleave(
        {name: lambda step=step: run(step) for name, step in functions.items()},
        repeats,
    )
    truth = in_numpy(*(batch.astype("float64") for batch in batches))
    ours = [gradient.numpy() for gradient in functions[OURS](*inputs)[1]]
    rows = []
    for name, step in functions.items():
        value, gradients = step(*inputs)
        each = summarize([1e3 * second / steps for second in seconds[name]])
        rows.append(
            {
                "loss": in_numpy.__name__.partition("_")[0].upper(),
                "rival": name,
                "milliseconds": each.pop("seconds"),
                **each,
                "relative_error": abs(float(value) - truth) / truth,
                "gradient_differs": max(
                    relative(theirs.numpy(), mine)
                    for theirs, mine in zip(gradients, ours, strict=True)
                ),
            }
        )
        for key in ("milliseconds", "fastest"):
            rows[-1][f"{key}_over_ours"] = rows[-1][key] / rows[0][key]
    return rows


def relative(found, wanted):
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def make_batches(count):
    """Return two batches of different mean and spread, as features of a network are."""
    draw = np.random.default_rng(0).normal
    source = np.maximum(draw(size=(count, WIDTH)), 0)
    target = np.maximum(1.3 * draw(size=(count, WIDTH)) + 0.2, 0)
    return source.astype("float32"), target.astype("float32")


def differentiate(loss):
    """Return a function from batches to the loss and its two gradients."""
    signature = [tf.TensorSpec((None, WIDTH), "float32")] * 2

    @tf.function(input_signature=signature)
    def step(source, target):
        with tf.GradientTape() as tape:
            tape.watch([source, target])
            value = loss(source, target)
        return value, tape.gradient(value, [source, target])

    return step


def coral_of_matrices(source, target):
    """Sun & Saenko, 2016, equation 1: ||C_s - C_t||_F^2 / (4 d^2)."""
    difference = covariance(source) - covariance(target)
    return tf.reduce_sum(difference**2) / (4 * WIDTH**2)


def covariance(rows):
    centered = rows - tf.reduce_mean(rows, axis=0)
    return tf.matmul(centered, centered, transpose_a=True) / count_less_one(rows)


def coral_of_sums(source, target):
    """The same with (X'X - (1'X)'(1'X) / n) / (n - 1) for the covariances."""
    difference = covariance_of_sums(source) - covariance_of_sums(target)
    return tf.norm(difference) ** 2 / (4 * WIDTH**2)


def covariance_of_sums(rows):
    total = tf.reduce_sum(rows, axis=0, keepdims=True)
    products = tf.matmul(total, total, transpose_a=True)
    products /= tf.cast(tf.shape(rows)[0], rows.dtype)
    return (tf.matmul(rows, rows, transpose_a=True) - products) / count_less_one(rows)


def count_less_one(rows):
    return tf.cast(tf.shape(rows)[0] - 1, rows.dtype)


def mmd_of_tensor(source, target):
    """Long et al., 2015, with all differences of all pairs of rows at once."""
    both = tf.concat([source, target], axis=0)
    differences = both[None, :, :] - both[:, None, :]
    distances = tf.reduce_sum(differences**2, axis=2)
    kernels = [tf.exp(-distances / (2 * width**2)) for width in BANDWIDTHS]
    kernel, size = tf.add_n(kernels) / len(kernels), tf.shape(source)[0]
    within = tf.reduce_mean(kernel[:size, :size]) + tf.reduce_mean(kernel[size:, size:])
    return within - 2 * tf.reduce_mean(kernel[:size, size:])


def our_mmd(source, target):
    return mmd_loss(source, target, bandwidths=BANDWIDTHS)


def coral_in_numpy(source, target):
    difference = np.cov(source.T) - np.cov(target.T)
    return float(np.sum(difference**2) / (4 * WIDTH**2))


def mmd_in_numpy(source, target):
    def mean_kernel(rows, others):
        distances = np.array([((others - row) ** 2).sum(axis=1) for row in rows])
        return np.mean([np.exp(-distances / (2 * b**2)) for b in BANDWIDTHS])

    within = mean_kernel(source, source) + mean_kernel(target, target)
    return float(within - 2 * mean_kernel(source, target))


CORAL = {OURS: coral_loss, MATRICES: coral_of_matrices, SUMS: coral_of_sums}
MMD = {OURS: our_mmd, TENSOR: mmd_of_tensor}


def measure_apart(name):
    """Return the peak memory of one step of MMD in a fresh process, in MiB."""
    command = [sys.executable, __file__, "--peak", name]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])


def measure_peak(name):
    """Print by how many MiB one step on full batches raises the peak (Linux)."""
    step, batches = differentiate(MMD[name]), make_batches(MMD_ROWS)
    inputs = [tf.constant(batch) for batch in batches]
    step(*(batch[:2] for batch in inputs))
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = status("VmRSS")
    step(*inputs)[0].numpy()
    print(json.dumps((status("VmHWM") - before) / 2**10))


def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(key)]
    return int(line.split()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--peak", choices=list(MMD), help=argparse.SUPPRESS)
    parser.add_argument("--save")
    arguments = vars(parser.parse_args())
    peak = arguments.pop("peak")
    measure_peak(peak) if peak else main(**arguments)
