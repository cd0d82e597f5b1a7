"""TensorFlow Text, which some tokenizers are made of."""

import importlib


def import_tensorflow_text():
    """Import the package `tensorflow_text`, whose operations a tokenizer needs.

    Raises:
        ImportError: If it is not installed; the message gives the pip line.
    """
    try:
        return importlib.import_module("tensorflow_text")
    except ImportError as error:
        raise ImportError(
            "Tokenizing for this encoder needs the package tensorflow-text. "
            'Run `pip install "tftransfer[text]"`.'
        ) from error
