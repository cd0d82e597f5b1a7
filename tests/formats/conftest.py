"""A small network that tells colors apart, as every format is written from it."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.formats.served_graph import build_served_graph

SIZE = 16


def make_images(seed, count=60):
    """Images with noise on them, and which color each has most of."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 160, (count, SIZE, SIZE, 3))
    images[np.arange(count), :, :, labels] += rng.integers(40, 90, (count, 1, 1))
    return images.astype("uint8"), labels


def name_outputs(logits):
    return {"logits": logits, "probabilities": tf.nn.softmax(logits)}


@pytest.fixture(scope="session")
def colors():
    """Model, graph, images, labels and the live outputs."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for width in (8, 64):
        x = keras.layers.Conv2D(width, 3, activation="relu", use_bias=False)(x)
        x = keras.layers.BatchNormalization(moving_mean_initializer="ones")(x)
    features = keras.layers.GlobalAveragePooling2D()(x)
    dense = keras.layers.Dense(3)
    model = keras.Model(inputs, dense(features))
    images, labels = make_images(0)
    known = keras.Model(inputs, features)(images.astype("float32")).numpy()
    # The head by least squares: nothing has to be trained.
    known = np.concatenate([known, np.ones((len(known), 1))], axis=1)
    best, *_ = np.linalg.lstsq(known, 8.0 * np.eye(3)[labels], rcond=1e-2)
    dense.set_weights([best[:-1], best[-1]])

    def predict(images):
        return model(tf.cast(images, tf.float32), training=False)

    graph = build_served_graph(predict, (SIZE, SIZE, 3), name_outputs)
    images, labels = make_images(1)
    live = {
        name: value.numpy() for name, value in name_outputs(predict(images)).items()
    }
    return types.SimpleNamespace(
        model=model, graph=graph, images=images, labels=labels, live=live
    )


@pytest.fixture(scope="session")
def written(colors, tmp_path_factory):
    """Function `(writer, quantization)` -> folder with the network, written once."""
    made = {}

    def write(writer, quantization=None):
        key = writer.__name__, quantization
        if key not in made:
            made[key] = tmp_path_factory.mktemp("-".join(map(str, key)))
            representative = make_images(2)[0] if quantization == "int8" else None
            writer(colors.graph, made[key], quantization, representative)
        return made[key]

    return write
