"""Names that every docstring example may use without importing them."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def add_names(doctest_namespace):
    import tensorflow as tf

    import tftransfer as tft

    doctest_namespace.update(np=np, tf=tf, tft=tft)
