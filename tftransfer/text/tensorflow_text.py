"""TensorFlow Text, which some tokenizers are made of."""

from tftransfer.checks import import_optional


def import_tensorflow_text():
    """Import the package `tensorflow_text`, whose operations a tokenizer needs.

    Raises:
        ImportError: If it is not installed; the message gives the pip line.
    """
    needs = "Tokenizing for this encoder needs the package tensorflow-text"
    return import_optional("tensorflow_text", needs=needs, extra="text")[0]
