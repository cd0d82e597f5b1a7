"""Small data, and models quick to build and train."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.selection.result import CrossValidation, summarize


@pytest.fixture(autouse=True, scope="module")
def quick_collections():
    """Leave what the libraries loaded out of the collection after each fold."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def rows(rng):
    """30 rows of 4 numbers and classes 0..2, of 14, 10 and 6 rows."""
    labels = rng.permutation(np.repeat([0, 1, 2], [14, 10, 6]))
    return (rng.normal(size=(30, 4)) + labels[:, None]).astype("float32"), labels


@pytest.fixture
def build():
    """Return a `build` for `cross_validate`: one dense layer that begins at zero."""

    def build_(width=3, loss=None, initializer="zeros", rate=0.5):
        def build():
            layer = keras.layers.Dense(width, kernel_initializer=initializer)
            model = keras.Sequential([keras.Input((4,)), layer])
            chosen = loss or keras.losses.SparseCategoricalCrossentropy(True)
            model.compile(keras.optimizers.SGD(rate), chosen, run_eagerly=True)
            return model

        return build

    return build_


@pytest.fixture
def make_result():
    """Return a function from figures, one dictionary a fold, to a result."""

    def make_result_(figures, task="classification", num_rows=10):
        scores = [
            {"seed": 0, "fold": fold, "num_rows": 5, "seconds": 1.5, "metrics": metrics}
            for fold, metrics in enumerate(figures)
        ]
        return CrossValidation(
            task=task,
            class_names=("höl", "b"),
            num_rows=num_rows,
            num_folds=len(figures),
            seeds=(0,),
            scores=scores,
            labels=np.zeros(num_rows, int),
            probabilities=np.zeros((1, num_rows, 2)),
            folds=np.zeros((1, num_rows), int),
            **summarize(scores, num_rows),
        )

    return make_result_


@pytest.fixture
def numbered():
    """23 rows whose input tells their number, with weights."""
    numbers = np.arange(23)
    inputs = np.stack([numbers, numbers**2], axis=1).astype("float32")
    return inputs, numbers % 3, numbers / 23


@pytest.fixture
def batched():
    """Return a function from arrays to a dataset in batches."""
    return lambda arrays, size=5: tf.data.Dataset.from_tensor_slices(arrays).batch(size)


@pytest.fixture
def read_all():
    """Return a function from a dataset to a list of whole arrays."""

    def read_all_(dataset):
        batches = list(dataset.as_numpy_iterator())
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    return read_all_
