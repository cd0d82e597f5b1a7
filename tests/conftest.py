"""Shared by all tests: quiet TensorFlow, fixed seeds, the place of the real data."""

import importlib.util
import os
import subprocess
import sys

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


@pytest.fixture
def run_under_jax(tmp_path):
    """Run a script in a process with Keras' JAX backend; return what it printed.

    The backend is chosen once for a process, hence another one, in a folder of its own.
    """
    if importlib.util.find_spec("jax") is None:
        pytest.skip("needs the package jax")

    def run_under_jax_(script):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_under_jax_
