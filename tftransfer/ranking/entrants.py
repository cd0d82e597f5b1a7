"""Which backbones a ranking compares, by name, loaded one at a time."""

import numpy as np

from tftransfer.backbones.catalog import Backbone, check_handle, load_backbone
from tftransfer.backbones.listing import list_backbones
from tftransfer.backbones.packaged import PACKAGED, load_classifier

AVAILABLE = "available"


def list_entrants(backbones, example):
    """Return a dict from the name of each backbone to what `load_backbone` takes.

    Args:
        backbones: `"available"`; a list of handles, models or `Backbone`; or a dict
            from names to these.
        example: First batch of inputs, which tells images from texts.

    Returns:
        Dict from str to handle, model or `Backbone`.

    Raises:
        TypeError: If an entry is no backbone.
        ValueError: If a handle is unknown, two have one name, or there is none.
    """
    if isinstance(backbones, str) and backbones == AVAILABLE:
        backbones = _list_available(example)
    if isinstance(backbones, dict):
        found = dict(backbones)
    elif isinstance(backbones, (list, tuple)):
        found = {_name(backbone): backbone for backbone in backbones}
    else:
        raise TypeError(
            '`backbones` must be "available", a list of backbones or a dict from names '
            f"to them. Received: backbones={backbones!r}. Pass one as a list."
        )
    if len(found) < len(backbones):
        names = [_name(backbone) for backbone in backbones]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f"`backbones` must have different names. Received: {twice} more than once. "
            "Pass a dict from names of your own."
        )
    if not found:
        raise ValueError(
            "`backbones` must name one backbone or more. Received: "
            f"backbones={backbones!r}. See print(tft.list_backbones()) for names."
        )
    for backbone in found.values():
        check_handle(backbone)
    return found


def load_entrant(name, backbone):
    """Return the `Backbone` of a handle or model; a `Backbone` as it is.

    Raises:
        ValueError: If its features are sparse.
    """
    if not isinstance(backbone, Backbone):
        backbone = load_backbone(backbone)
    if backbone.features.sparse:
        raise ValueError(
            "`backbones` must give dense features. "
            f"Received: {name!r}, whose features are sparse. Leave tf-idf out, and "
            'judge it by fine_tune(..., head_solver="lbfgs"), which takes seconds.'
        )
    return backbone


def source_head(backbone):
    """Return kernel and bias of the head a backbone was pretrained with, or `None`.

    Only the networks that pip packages carry come with one.

    Args:
        backbone: `Backbone`.

    Returns:
        Float arrays `(width, num_source_classes)` and `(num_source_classes,)`.
    """
    handle = backbone.source
    if handle not in [f"pip:{name}" for name in PACKAGED]:
        return None
    if backbone.options["weights"] != "imagenet":
        return None
    return load_classifier(handle).get_layer("logits").get_weights()


def _list_available(example):
    is_text = np.asarray(example).dtype.kind in "OSU"
    local = sorted(list_backbones(local_only=True), key=lambda info: info.parameters)
    found = [info.handle for info in local if (info.image_size is None) == is_text]
    if not found:
        raise ValueError(
            '`backbones` must be a list: "available" finds none for this kind of data. '
            "Received: backbones='available'. See print(tft.list_backbones()) for "
            "names and for what brings their weights."
        )
    return found


def _name(backbone):
    if not isinstance(backbone, Backbone):
        return getattr(backbone, "name", None) or str(backbone)
    parts = backbone.source
    parts = parts if isinstance(parts, tuple) else (parts,)
    size = backbone.image_size
    size = f" {size[0]}x{size[1]}" if size else ""
    return " + ".join(map(_name, parts)) + size
