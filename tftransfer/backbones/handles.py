"""What a handle says: a kind of backbone and its name."""

import os
import pathlib

from tftransfer.backbones.applications import list_applications
from tftransfer.backbones.hub_resolve import check_saved_model
from tftransfer.backbones.packaged import PACKAGED
from tftransfer.backbones.texts import KINDS as TEXT_KINDS
from tftransfer.backbones.texts import TEXTS, check_text_handle
from tftransfer.checks import did_you_mean

_KINDS = (
    "keras:<Name>, pip:<name>, text:<name>, keras_hub:<preset>, words:<file>, "
    "tfidf, hub:<handle>, alexnet, or the path of a model"
)


def split_handle(handle):
    """Return the kind of a handle and what stands behind the colon.

    Example:

    >>> split_handle("keras:ResNet50"), split_handle("models/cells.keras")
    (('keras', 'ResNet50'), ('path', 'models/cells.keras'))
    """
    text = os.fspath(handle)
    kind, colon, name = text.partition(":")
    if text in ("alexnet", "tfidf"):
        return text, ""
    if colon and kind in ("keras", "pip", "hub", *TEXT_KINDS):
        return kind, name
    if text.startswith(("http://", "https://")):
        return "hub", text
    return "path", text


def check_name(handle):
    """Raise unless a handle names something that could be loaded.

    Raises:
        ValueError: If a name or path is unknown; near names are offered.
        TypeError: If it is neither a string nor a path.
    """
    if not isinstance(handle, (str, os.PathLike)):
        raise TypeError(
            f"`backbone` must be {_KINDS}, a keras.Model or a Backbone. Received: "
            f"backbone={handle!r} of type {type(handle).__name__}. See "
            "`tftransfer backbones` for names."
        )
    kind, name = split_handle(handle)
    known = {"keras": list_applications(), "pip": list(PACKAGED), "alexnet": [""]}
    known |= {"text": list(TEXTS), "tfidf": [""]}
    if kind == "path":
        _check_path(handle)
    elif kind == "hub" and "://" not in name:
        check_saved_model(name)
    elif kind in known and name not in known[kind]:
        raise _unknown_handle(handle)
    elif kind in TEXT_KINDS:
        check_text_handle(kind, name)


def _check_path(handle):
    path = pathlib.Path(handle)
    if path.is_dir():
        check_saved_model(path)
    elif path.suffix != ".keras" or not path.is_file():
        raise _unknown_handle(handle)


def _unknown_handle(handle):
    names = [f"keras:{name}" for name in list_applications()]
    names += [f"pip:{name}" for name in PACKAGED] + ["alexnet", "tfidf"]
    names += [f"text:{name}" for name in TEXTS]
    hint = did_you_mean(handle, names)
    hint = f"{hint} " if hint else ""
    return ValueError(
        f"`backbone` must be {_KINDS} (a SavedModel directory or a .keras file). "
        f"Received: backbone={os.fspath(handle)!r}. {hint}See `tftransfer backbones` "
        "for all names."
    )
