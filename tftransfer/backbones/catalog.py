"""Handles: one string names a pretrained network, wherever its weights come from."""

import dataclasses
import inspect
import os

import keras

from tftransfer.backbones.alexnet import build_alexnet
from tftransfer.backbones.applications import build_application
from tftransfer.backbones.handles import check_name, split_handle
from tftransfer.backbones.hub import load_hub_model
from tftransfer.backbones.keras_models import load_keras_backbone
from tftransfer.backbones.listing import list_backbones
from tftransfer.backbones.packaged import build_packaged
from tftransfer.backbones.preprocessing import preprocessing_mode
from tftransfer.backbones.texts import KINDS as TEXT_KINDS
from tftransfer.backbones.texts import build_text_backbone, builder_of
from tftransfer.backbones.widening import copy_weights_widened
from tftransfer.checks import check_image_size, check_whole_number, did_you_mean


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
        last = self.model.get_layer("features")
        if isinstance(last, keras.layers.LayerNormalization):
            last = self.model.get_layer("pool")  # ConvNeXt normalizes after pooling
        before = last.input
        is_map = not isinstance(before, list) and len(before.shape) == 4
        return before if is_map else None

    def adjusted(self, image_size, in_channels):
        """Return this backbone for another image size or number of channels.

        Args:
            image_size: `(height, width)`, or `None` to leave it as it is.
            in_channels: Number of channels; 3 leaves them as they are.

        Returns:
            This backbone where nothing changes; otherwise a new one with the same
            options and the weights that this one has now, its first kernel widened.

        Raises:
            ValueError: If it has other than three channels already and shall change
                them, or cannot take this size or number.
        """
        check_whole_number("in_channels", in_channels)
        size, channels = self.image_size, self.options["in_channels"]
        if image_size is not None:
            size = check_image_size("image_size", image_size)
        wanted = channels if in_channels == 3 else in_channels
        if (size, wanted) == (self.image_size, channels):
            return self
        if isinstance(self.source, tuple):
            raise ValueError(
                "`image_size` and `in_channels` must be left out for combined "
                f"backbones. Received: image_size={image_size}, in_channels="
                f"{in_channels}. Load each with them before combine_backbones."
            )
        if channels not in (3, wanted):
            raise ValueError(
                f"`in_channels` must be {channels}, which this backbone was loaded "
                f"for. Received: in_channels={in_channels}. Load it anew with "
                "load_backbone(..., in_channels=...)."
            )
        return _reload(self, {"image_size": size, "in_channels": wanted})


def check_handle(handle):
    """Raise unless `handle` names something `load_backbone` could load.

    Nothing is loaded or downloaded.

    Raises:
        ValueError: If a name or path is unknown; near names are offered.
        TypeError: If it is neither a string, a path, a model nor a `Backbone`.
    """
    if not isinstance(handle, (Backbone, keras.Model)):
        check_name(handle)


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
            `"hub:<handle or URL>"`; `"alexnet"`; for texts `"text:minilm_l6"`,
            `"keras_hub:<preset or folder>"`, `"words:<file of word vectors>"` and
            `"tfidf"`, which is fitted on `corpus=`; the path of a SavedModel directory
            or a `.keras` file; a functional `keras.Model`; or a `Backbone`, to change
            its image size or channels.
        weights: `"imagenet"`, `None` for random ones, or the path of a file. What
            brings its own weights takes none: leave it as it is.
        image_size: `(height, width)` in pixels; `None` takes the size of pretraining.
        in_channels: Channels of the images, see `build_transfer_model`.
        **options: Further arguments of this kind of backbone, such as `alpha=0.35` for
            MobileNetV2, `output_key=` for a hub module, `cut_top=True` for a model or
            `sequence_length=128` for texts: see `build_text_encoder`,
            `build_word_backbone` and `build_tfidf_backbone`.

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
        _check_own_weights(handle, weights)
        _check_options(Backbone.adjusted, options)
        return handle.adjusted(image_size, in_channels)
    check_handle(handle)
    check_whole_number("in_channels", in_channels)
    if image_size is not None:
        image_size = check_image_size("image_size", image_size)
    given = {"weights": weights, "image_size": image_size, "in_channels": in_channels}
    model = _build(handle, given, options)
    return Backbone(handle, model, {**given, **options})


def _build_application(name, given, options):
    try:
        return build_application(name, **given, **options)
    except FileNotFoundError as error:
        here = [info.handle for info in list_backbones(local_only=True)]
        raise FileNotFoundError(
            f"{error} On this machine now: {', '.join(here) or 'none'}."
        ) from error


def _build(handle, given, options):
    kind, name = (
        ("path", None) if isinstance(handle, keras.Model) else split_handle(handle)
    )
    if kind == "keras":
        return _build_application(name, given, options)
    if kind == "pip":
        _check_options(build_packaged, options)
        return build_packaged(name, **given, **options)
    if kind == "alexnet":
        _check_options(build_alexnet, options)
        return build_alexnet(**given, **options)
    _check_own_weights(handle, given["weights"])
    _check_own_channels(handle, given["in_channels"])
    if kind in TEXT_KINDS:
        _check_no_size(handle, given["image_size"])
        _check_options(builder_of(kind), options)
        return build_text_backbone(kind, name, options)
    if kind == "hub" or not isinstance(handle, keras.Model) and os.path.isdir(handle):
        handle = name if kind == "hub" else handle
        _check_options(load_hub_model, options)
        return load_hub_model(handle, image_size=given["image_size"], **options)
    _check_options(load_keras_backbone, options)
    return load_keras_backbone(handle, image_size=given["image_size"], **options)


def _reload(backbone, changes):
    """Build a backbone again with other options and with the weights it has now."""
    options = {**backbone.options, **changes}
    if isinstance(backbone.source, keras.Model):  # whose layers are shared anyway
        return load_backbone(backbone.source, **options)
    kind, name = split_handle(backbone.source)
    own = kind in ("hub", "path", *TEXT_KINDS)
    without = {} if own else {"weights": None}
    model = load_backbone(backbone.source, **{**options, **without}).model
    # Networks that reverse the colors do so in front of the first kernel only for
    # three channels.
    is_wider = backbone.options["in_channels"] != options["in_channels"]
    reverse = is_wider and kind == "keras" and preprocessing_mode(name) == "caffe"
    copy_weights_widened(backbone.model, model, reverse_colors=reverse)
    return Backbone(backbone.source, model, options)


def _check_options(build, options):
    known = set(inspect.signature(build).parameters)
    # Fixed by `load_backbone`, or of a top that a backbone has not.
    known -= {"self", "name", "handle", "model", "weights", "image_size"}
    known -= {"preset", "path"}
    known -= {"in_channels", "include_top", "num_classes"}
    for key, value in options.items():
        if key not in known:
            raise ValueError(
                f"`options` of this backbone must be among {sorted(known)}. Received: "
                f"{key}={value!r}. {did_you_mean(key, known)} Leave it out.".replace(
                    "  ", " "
                )
            )


def _check_own_weights(handle, weights):
    if weights != "imagenet":
        raise ValueError(
            "`weights` must be left out for a model that brings its own. Received: "
            f"weights={weights!r} for {handle!r}. Load the weights into the model "
            "first."
        )


def _check_no_size(handle, image_size):
    if image_size is not None:
        raise ValueError(
            "`image_size` must be left out for a backbone that reads texts. Received: "
            f"image_size={image_size} for {handle!r}. The length of texts is "
            "load_backbone(..., sequence_length=...)."
        )


def _check_own_channels(handle, in_channels):
    if in_channels != 3:
        raise ValueError(
            "`in_channels` must be left out for a model that brings its own input. "
            f"Received: in_channels={in_channels!r} for {handle!r}. Build the model "
            "for that many channels first."
        )
