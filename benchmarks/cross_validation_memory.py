"""Memory that `cross_validate` holds from fold to fold, beside a plain loop.

Run:    python benchmarks/cross_validation_memory.py
        python benchmarks/cross_validation_memory.py --network text --way loop
Prints: resident memory before each fold, and how much it grew after the first.

A loop that builds, fits and deletes a model, `keras.utils.clear_session()` included,
keeps weights and moments of every model (TensorFlow 2.21, Keras 3.15).
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from timing import resident_bytes

import tftransfer as tft

WORDS = "the a film was good bad fine dull sharp slow".split()
ROWS, SIZE = 80, 96


def build_images():
    model = keras.applications.MobileNetV2(
        input_shape=(SIZE, SIZE, 3),
        weights=None,
        classes=2,
        classifier_activation=None,
    )
    return compile_model(model)


def build_text():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            layers.TextVectorization(vocabulary=WORDS, output_sequence_length=16),
            layers.Embedding(20_000, 128),
            layers.Conv1D(128, 3, padding="same", activation="silu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1024, activation="relu"),
            layers.Dense(2),
        ]
    )
    return compile_model(model)


def compile_model(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def make_data(network):
    random = np.random.default_rng(0)
    labels = np.arange(ROWS) % 2
    if network == "images":
        return random.uniform(0, 255, (ROWS, SIZE, SIZE, 3)).astype("float32"), labels
    texts = [" ".join(random.choice(WORDS, 12)) for _ in range(ROWS)]
    return np.array(texts, object), labels


def run_loop(build, data, folds):
    for _ in range(folds):
        model = build()
        model.fit(*data, epochs=1, verbose=0)
        del model
        keras.utils.clear_session()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=("images", "text"), default="images")
    parser.add_argument("--way", choices=("ours", "loop"), default="ours")
    parser.add_argument("--folds", type=int, default=20)
    arguments = parser.parse_args()
    held = []

    def build():
        held.append(resident_bytes() / 2**20)
        print(f"{len(held):3d}  {held[-1]:,.0f} MiB", flush=True)
        return build_images() if arguments.network == "images" else build_text()

    data = make_data(arguments.network)
    if arguments.way == "loop":
        run_loop(build, data, arguments.folds)
        first = 1
    else:
        tft.cross_validate(build, data, epochs=1, folds=arguments.folds, verbose=0)
        first = 2  # the first model is only looked at
    end = resident_bytes() / 2**20
    print(f"grew by {end - held[first]:,.0f} MiB after the first of {arguments.folds}")


if __name__ == "__main__":
    sys.exit(main())
