"""What an export needs beside TensorFlow, and what is said where it is missing."""

import json
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.export.requirements import import_requirements, list_requirements

LOAD_WITHOUT = """
import sys
sys.modules["tensorflow_text"] = None  # as if it were not installed
import tftransfer as tft
tft.load_exported(sys.argv[1])
"""


def export_words(folder):
    """Export a model whose words TensorFlow Text finds."""
    tensorflow_text = pytest.importorskip("tensorflow_text")
    split = tensorflow_text.WhitespaceTokenizer()

    class CountWords(keras.layers.Layer):
        def call(self, texts):
            lengths = split.tokenize(texts).row_lengths()
            return tf.cast(lengths, "float32")[:, None]

        def compute_output_spec(self, texts):
            return keras.KerasTensor((None, 1))

    texts = keras.Input((), dtype="string")
    model = keras.Model(texts, keras.layers.Dense(2)(CountWords()(texts)))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    tft.export_model(model, folder, class_names=["short", "long"])


@pytest.mark.slow
def test_an_export_says_what_it_needs_and_how_to_get_it(tmp_path):
    export_words(tmp_path / "words")
    about = json.loads((tmp_path / "words" / "metadata.json").read_text())
    assert about["requires"] == ["tensorflow_text"]
    assert tft.load_exported(tmp_path / "words").predict(["a b c"])[0].label
    command = [sys.executable, "-c", LOAD_WITHOUT, str(tmp_path / "words")]
    run = subprocess.run(command, capture_output=True, text=True)
    release = ".".join(tf.__version__.split(".")[:2])
    assert run.returncode == 1
    assert (
        "ImportError: This export needs the package tensorflow-text, whose operations "
        f'split its texts. Run `pip install "tensorflow-text=={release}.*"`'
    ) in run.stderr


def test_tensorflow_alone_needs_nothing(tmp_path):
    class Double(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None])])
        def __call__(self, x):
            return 2 * x

    tf.saved_model.save(Double(), str(tmp_path))
    assert list_requirements(tmp_path) == []
    assert list_requirements(tmp_path / "nothing") == []
    import_requirements([])
