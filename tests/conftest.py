"""Shared by all tests: quiet TensorFlow, fixed seeds, the place of the real data."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from pathlib import Path  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

SHARED_DATA = Path(
    os.environ.get(
        "TFTRANSFER_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"
    )
)


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="session")
def own_store(tmp_path_factory):
    """Keep stored features out of the user's cache; subprocesses inherit the place."""
    os.environ["TFTRANSFER_CACHE"] = str(tmp_path_factory.mktemp("store"))


@pytest.fixture
def shared_data():
    """Folder of real data; tests that ask for it carry `needs_shared_data`."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def rng():
    return np.random.default_rng(0)
