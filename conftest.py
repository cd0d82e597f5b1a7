"""Names that every docstring example may use without importing them."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def add_names(doctest_namespace):
    import keras
    import tensorflow as tf

    import tftransfer as tft

    doctest_namespace.update(keras=keras, np=np, tf=tf, tft=tft)
