"""Features of a dataset, against `predict`."""

import os
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.linear_model import LogisticRegression

import tftransfer as tft
from tftransfer.data.pipelines import Preparation, make_dataset


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "store"))


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = layers.Resizing(6, 6, antialias=True)(inputs, training=False)
    x = layers.Conv2D(4, 3, name="conv")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (21, 9, 9, 3)).astype("uint8")


def features_of(network, images, name="features"):
    part = keras.Model(network.input, network.get_layer(name).output)
    return part.predict(images, verbose=0)


def test_features_and_labels_are_those_of_predict(network, images):
    labels = np.arange(21) % 2
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    rows = tft.extract_features(network, dataset)
    features, stored_labels = rows
    expected = features_of(network, images)
    assert features.shape == (21, 4) and features.dtype == "float32"
    np.testing.assert_allclose(np.asarray(features), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(stored_labels, labels)
    assert rows.sample_weight is None
    weighted = (images, labels, np.linspace(0, 1, 21))
    rows = tft.extract_features(network, weighted, verbose=0)
    np.testing.assert_allclose(rows.sample_weight, weighted[2], rtol=1e-6)
    fitted = LogisticRegression().fit(features, stored_labels)
    assert fitted.predict(features).shape == (21,)


def test_any_layer_that_carries_everything(network, images):
    rows = tft.extract_features(network, images, "conv", verbose=0)
    assert rows.features.shape == (21, 4, 4, 4) and rows.labels is None
    expected = features_of(network, images, "conv")
    np.testing.assert_allclose(rows.features[3:5], expected[3:5], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="Received: layer='head'"):
        tft.extract_features(network, images, "head")


@pytest.mark.parametrize("dtype, error", [("float16", 1e-3), ("bfloat16", 1e-2)])
def test_half_precision_is_stored_in_two_bytes(network, images, dtype, error):
    rows = tft.extract_features(network, images, dtype=dtype, verbose=0)
    expected = features_of(network, images)
    np.testing.assert_allclose(
        np.asarray(rows.features), expected, rtol=error, atol=1e-2
    )
    assert rows.features.dtype == {"bfloat16": "float32"}.get(dtype, dtype)


def test_augmentation_and_order_of_training_are_left_out(network, images):
    examples = tf.data.Dataset.from_tensor_slices((np.arange(21), np.arange(21)))
    preparation = Preparation(image_size=9, batch_size=8, augment=("flip",))
    pixels = tf.constant(images)
    train = make_dataset(examples, lambda i: pixels[i], preparation, training=True)
    rows = tft.extract_features(network, train, verbose=0)
    np.testing.assert_array_equal(rows.labels, np.arange(21))
    expected = features_of(network, images)
    found = np.asarray(rows.features)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_bad_input_is_refused(network, images):
    with pytest.raises(ValueError, match="Received: dtype='int8'"):
        tft.extract_features(network, images, dtype="int8")
    with pytest.raises(ValueError, match="at least one batch. Received: none"):
        tft.extract_features(network, images[:0])
    with pytest.raises(ValueError, match="Received: engine='turbo'"):
        tft.extract_features(network, images, engine="turbo")


SCRIPT = """
import os, signal, sys
import keras, numpy as np, tensorflow as tf, tftransfer as tft

keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(300_000)])
rows = np.random.default_rng(0).normal(size=(400, 50)).astype("float32")
dies = sys.argv[1] == "die"
read = []

def look(x):
    read.append(len(x))
    if dies and len(read) == 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return x

from tftransfer.features.examples import ArrayExamples
batches = ArrayExamples.batches
ArrayExamples.batches = lambda self: ((look(x), rest) for x, rest in batches(self))
computed = []
from tftransfer.store.writer import EntryWriter
append = EntryWriter.append
def count(self, arrays):
    computed.append(len(arrays["activations"]))
    append(self, arrays)
EntryWriter.append = count
stored = tft.extract_features(model, rows, batch_size=8, engine="tensorflow", verbose=0)
expected = model.predict(rows[::37], verbose=0)
np.testing.assert_allclose(stored.features[::37], expected, rtol=1e-3, atol=1e-3)
print("computed", sum(computed))
"""


@pytest.mark.slow
def test_extraction_goes_on_after_it_was_killed(tmp_path):
    """480 MB of rows; the first process dies after 30 of 50 batches."""
    script = tmp_path / "extract.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script)]
    killed = subprocess.run([*command, "die"], env=os.environ, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    resumed = subprocess.run(
        [*command, "live"], env=os.environ, capture_output=True, text=True
    )
    assert resumed.returncode == 0, resumed.stderr
    computed = int(resumed.stdout.split()[-1])
    assert 0 < computed < 400 - 100  # some whole shards were kept
    whole = subprocess.run([*command, "live"], capture_output=True, text=True)
    assert whole.stdout.split()[-1] == "0"


@pytest.mark.slow
def test_two_processes_compute_once(tmp_path):
    script = tmp_path / "extract.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), "live"]
    pair = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    computed = [int(one.communicate()[0].split()[-1]) for one in pair]
    assert [one.returncode for one in pair] == [0, 0]
    assert sorted(computed) == [0, 400]
