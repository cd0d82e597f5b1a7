"""Handles: one string names a pretrained network, wherever its weights come from."""

import dataclasses
import os
import pathlib

import keras

from tftransfer.backbones.alexnet import build_alexnet
from tftransfer.backbones.applications import build_application, list_applications
from tftransfer.backbones.hub import load_hub_model
from tftransfer.backbones.keras_models import load_keras_backbone
from tftransfer.backbones.packaged import PACKAGED, build_packaged
from tftransfer.checks import check_image_size, check_whole_number, did_you_mean

_KINDS = "keras:<Name>, pip:<name>, hub:<handle>, alexnet, or the path of a model"


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A pretrained network: raw input to features.

    Attributes:
        source: The handle, path or model it came from.
        model: Functional `keras.Model`: raw input to features `(batch, width)`; its
            last layer is named `features`.
        options: The arguments of `load_backbone` it was loaded with.
    """

    source: object
    model: keras.Model
    options: dict

    @property
    def image_size(self):
        """`(height, width)` that images are resized to, or `None` for other inputs."""
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.Resizing):
                return (layer.height, layer.width)
        return None

    @property
    def features(self):
        """Keras tensor `(batch, width)`, the pooled features."""
        return self.model.output

    @property
    def feature_map(self):
        """Keras tensor `(batch, height, width, channels)` before pooling, or `None`."""
        before = self.model.get_layer("features").input
        return before if len(before.shape) == 4 else None

    def adjusted(self, image_size, in_channels):
        """Return this backbone for another image size or number of channels.

        Args:
            image_size: `(height, width)`, or `None` to leave it as it is.
            in_channels: Number of channels.

        Returns:
            This backbone where nothing changes; otherwise a new one, loaded again with
            the same options.
        """
        wanted = dict(self.options)
        if image_size is not None:
            wanted["image_size"] = check_image_size("image_size", image_size)
        if in_channels != 3:
            wanted["in_channels"] = in_channels
        if wanted == self.options:
            return self
        return load_backbone(self.source, **wanted)


def check_handle(handle):
    """Raise unless `handle` names something `load_backbone` could load.

    Nothing is loaded or downloaded.

    Raises:
        ValueError: If a name or path is unknown; near names are offered.
        TypeError: If it is neither a string, a path, a model nor a `Backbone`.
    """
    if isinstance(handle, (Backbone, keras.Model)):
        return
    if not isinstance(handle, (str, os.PathLike)):
        raise TypeError(
            f"`backbone` must be {_KINDS}, a keras.Model or a Backbone. Received: "
            f"backbone={handle!r} of type {type(handle).__name__}. See "
            "`tftransfer backbones` for names."
        )
    kind, name = _split(handle)
    known = {"keras": list_applications(), "pip": list(PACKAGED), "alexnet": [""]}
    if kind == "path":
        _check_path(handle)
    elif kind in known and name not in known[kind]:
        raise _unknown_handle(handle)


def _split(handle):
    text = os.fspath(handle)
    kind, colon, name = text.partition(":")
    if text == "alexnet":
        return "alexnet", ""
    if colon and kind in ("keras", "pip", "hub"):
        return kind, name
    if text.startswith(("http://", "https://")):
        return "hub", text
    return "path", text


def _check_path(handle):
    path = pathlib.Path(handle)
    if path.is_dir() or path.suffix == ".keras" and path.is_file():
        return
    raise _unknown_handle(handle)


def _unknown_handle(handle):
    names = [f"keras:{name}" for name in list_applications()]
    names += [f"pip:{name}" for name in PACKAGED] + ["alexnet"]
    hint = did_you_mean(handle, names)
    hint = f"{hint} " if hint else ""
    return ValueError(
        f"`backbone` must be {_KINDS} (a SavedModel directory or a .keras file). "
        f"Received: backbone={os.fspath(handle)!r}. {hint}See `tftransfer backbones` "
        "for all names."
    )


def load_backbone(
    handle,
    *,
    weights="imagenet",
    image_size=None,
    in_channels=3,
    **options,
):
    """Load a pretrained network as raw input to features.

    Args:
        handle: `"keras:<Name>"` for every constructor of `keras.applications`;
            `"pip:efficientnet_lite0"` and others whose weights a pip package carries;
            `"hub:<handle or URL>"`; `"alexnet"`; the path of a SavedModel directory or
            a `.keras` file; or a functional `keras.Model`.
        weights: `"imagenet"`, `None` for random ones, or the path of a file. Hub
            modules and models bring their own: leave it as it is.
        image_size: `(height, width)` in pixels; `None` takes the size of pretraining.
        in_channels: Channels of the images, see `build_transfer_model`.
        **options: Further arguments of this kind of backbone, such as `alpha=0.35` for
            MobileNetV2, `output_key=` for a hub module or `cut_top=True` for a model.

    Returns:
        A `Backbone`.

    Raises:
        ValueError: If a name, path or option is not acceptable.
        ImportError: If a pip package is missing; the message names it.

    Example:

    >>> backbone = tft.load_backbone("keras:ResNet50", weights=None, image_size=64)
    >>> backbone.features.shape
    (None, 2048)
    """
    if isinstance(handle, Backbone):
        return handle.adjusted(image_size, in_channels)
    check_handle(handle)
    check_whole_number("in_channels", in_channels)
    if image_size is not None:
        image_size = check_image_size("image_size", image_size)
    given = {"weights": weights, "image_size": image_size, "in_channels": in_channels}
    model = _build(handle, given, options)
    return Backbone(handle, model, {**given, **options})


def _build(handle, given, options):
    kind, name = ("path", None) if isinstance(handle, keras.Model) else _split(handle)
    if kind == "keras":
        return build_application(name, **given, **options)
    if kind == "pip":
        return build_packaged(name, **given, **options)
    if kind == "alexnet":
        if given["weights"] == "imagenet":
            raise ValueError(
                '`weights` for "alexnet" must be None or a file: no Keras weights of '
                "it are published. Received: weights='imagenet'. Pass "
                'load_backbone("alexnet", weights=None).'
            )
        return build_alexnet(**given, **options)
    _check_own_weights(handle, given)
    if kind == "hub" or not isinstance(handle, keras.Model) and os.path.isdir(handle):
        return load_hub_model(
            name if kind == "hub" else handle, image_size=given["image_size"], **options
        )
    return load_keras_backbone(handle, image_size=given["image_size"], **options)


def _check_own_weights(handle, given):
    if given["weights"] != "imagenet":
        raise ValueError(
            "`weights` must be left out for a model that brings its own. Received: "
            f"weights={given['weights']!r} for {handle!r}. Load the weights into the "
            "model first."
        )
    if given["in_channels"] != 3:
        raise ValueError(
            "`in_channels` must be left out for a model that brings its own input. "
            f"Received: in_channels={given['in_channels']!r} for {handle!r}. Build the "
            "model for that many channels first."
        )
