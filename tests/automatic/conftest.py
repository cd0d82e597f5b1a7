"""Rows that a head alone cannot tell apart, and small networks."""

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "store"))


@pytest.fixture
def rows():
    """Images whose class is the product of two signs."""
    rng = np.random.default_rng(0)
    signs = rng.integers(0, 2, (240, 2))
    images = rng.integers(90, 110, (240, 8, 8, 3))
    images[:, :, :4, 0] += 80 * signs[:, :1, None]
    images[:, :, 4:, 1] += 80 * signs[:, 1:, None]
    return images.astype("uint8"), signs[:, 0] ^ signs[:, 1]


@pytest.fixture
def network():
    """Function: a network whose features are random."""

    def build(width=4, seed=0, name="small"):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dense(width, name="block1")(x)
        x = keras.layers.Activation("relu", name="features")(x)
        return keras.Model(inputs, x, name=name)

    return build
