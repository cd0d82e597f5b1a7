"""Small models of every task and their exports, shared because each export costs."""

import subprocess
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export import parity
from tftransfer.export.saved_model import export_model
from tftransfer.resizing import build_resizing
from tftransfer.tasks import Task, build_loss

TASKS = {
    "classes": Task("classification", 3),
    "binary": Task("classification", 1),
    "multi_label": Task("multi_label", 3),
    "regression": Task("regression", 2),
}
NAMES = {
    "classes": ["Katze", "dog", "鳥"],
    "binary": ["good", "defect"],
    "multi_label": ["red", "green", "blue"],
    "regression": ["width", "height"],
}


def build_model(task, *, channels=3, image_size=(32, 24), extra=()):
    """A small network with everything that has to vanish from an export."""
    inputs = keras.Input((None, None, channels))
    x = build_resizing(image_size)(inputs)
    x = keras.layers.RandomFlip()(x)
    x = keras.layers.Rescaling(1 / 127.5, -1)(x)
    spread = keras.initializers.RandomNormal(stddev=0.7, seed=1)
    x = keras.layers.Conv2D(8, 3, activation="relu", kernel_initializer=spread)(x)
    x = keras.layers.BatchNormalization(moving_mean_initializer="ones")(x)
    for layer in extra:
        x = layer(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    x = keras.layers.Dropout(0.5)(x)
    spread = keras.initializers.RandomNormal(stddev=0.7, seed=2)
    outputs = keras.layers.Dense(task.num_outputs, kernel_initializer=spread)(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", build_loss(task))
    return model


@pytest.fixture(scope="session")
def small_model():
    """Function that builds a model: `small_model("binary", channels=1, …)`."""
    return lambda name="classes", **options: build_model(TASKS[name], **options)


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """Model, path and metadata of one export per task, by name."""
    folder = tmp_path_factory.mktemp("exports")
    made = {}
    for name, task in TASKS.items():
        with pytest.MonkeyPatch.context() as patch:
            if name != "classes":  # one fresh process is enough: each takes seconds
                patch.setattr(parity, "serve_in_fresh_process", serve_here)
            model, path = build_model(task), folder / "deep" / name
            about = export_model(model, path, class_names=NAMES[name], verbose=False)
        made[name] = types.SimpleNamespace(
            model=model, path=path, about=about, task=task, names=NAMES[name]
        )
    return made


def serve_here(saved_model, calls):
    signatures = tf.saved_model.load(str(saved_model)).signatures
    return [
        {key: value.numpy() for key, value in signatures[name](**inputs).items()}
        for name, inputs in calls
    ]


@pytest.fixture(scope="session")
def photo():
    """Function `(height, width, channels)` -> uint8 pixels with shading and an edge."""

    def make(height, width, channels=3, seed=0):
        rng = np.random.default_rng(seed)
        shading = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 80, width))
        pixels = np.repeat(shading[..., None], channels, axis=-1)
        pixels[height // 3 :, : width // 2] += rng.integers(0, 50, channels)
        return pixels.astype("uint8")

    return make


@pytest.fixture
def no_fresh_process(monkeypatch):
    """Serve in this process instead: for tests that are not about the fresh one."""

    monkeypatch.setattr(parity, "serve_in_fresh_process", serve_here)


@pytest.fixture
def forbidden(monkeypatch):
    """No long work may begin: starting a process or building a graph fails."""

    def refuse(*_, **__):
        pytest.fail("refuse bad input before long work")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr("tftransfer.export.saved_model.build_signatures", refuse)


@pytest.fixture
def listing():
    """Function: everything under a folder, hidden files too."""
    return lambda folder: sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*")
    )
