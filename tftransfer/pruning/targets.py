"""Whose units shall go: layers, blocks or the head, by name."""

import dataclasses

import numpy as np

from tftransfer.checks import did_you_mean
from tftransfer.freezing.blocks import split_model

HEAD = "head"


@dataclasses.dataclass(frozen=True)
class Target:
    """A layer that shall have fewer units, with all that are tied to it.

    Attributes:
        name: Name of the layer.
        units: Int array, the groups of its units, see `Channels`.
        final: How many of them shall be left.
        tied: Names of all layers that make these units, its own included.
    """

    name: str
    units: np.ndarray
    final: int
    tied: tuple


def find_targets(model, channels, units):
    """Read which layers shall have how many units.

    Args:
        model: As of `trace_channels`.
        channels: `Channels` of it.
        units: As of `StructuredPruning`.

    Returns:
        List of `Target`, from input to output, none of which share a unit.

    Raises:
        ValueError: If a name is unknown, what it names has no units that can go, a
            number is out of range, or two entries disagree.
        TypeError: If `units` is no dict, or a number none.
    """
    check_units(units)
    found: list[Target] = []
    for name, wanted in units.items():
        for layer in _layers_named(model, channels, name):
            target = _target(channels, layer, name, wanted)
            _check_agrees(target, found)
            if not any(set(target.units) == set(other.units) for other in found):
                found.append(target)
    places = [layer.name for layer, _ in channels.makers.values()]
    return sorted(found, key=lambda target: places.index(target.name))


def check_units(units):
    """Raise for what no model could take, before there is one."""
    if not isinstance(units, dict) or not units:
        raise TypeError(
            '`units` must be a dict from the name of a layer, of a block or "head" to '
            f"how many units are left. Received: units={units!r}. Pass for example "
            "units=dict(head=8)."
        )
    for name, wanted in units.items():
        is_number = isinstance(wanted, (int, float)) and not isinstance(wanted, bool)
        if not is_number:
            raise TypeError(
                "`units` must hold whole numbers of units, or shares of them as "
                f"floats. Received: units[{name!r}]={wanted!r} of type "
                f"{type(wanted).__name__}. Pass for example 8, or 0.5."
            )
        if wanted <= 0 or (isinstance(wanted, float) and not wanted < 1):
            raise ValueError(
                "`units` must leave at least 1 unit, or a share above 0 and below 1. "
                f"Received: units[{name!r}]={wanted!r}. Pass for example 8, or 0.5."
            )


def _layers_named(model, channels, name):
    """Layers that a name stands for, all whose units can go."""
    makers = {layer.name for layer, _ in channels.makers.values()}
    if name in makers:
        layer = channels.named(name, "units")
        _check_can_go(channels, layer, name)
        return [layer]
    blocks, head = split_model(model)
    parts = {block.name: block.layers for block in blocks} | {HEAD: head}
    if name not in parts:
        hint = did_you_mean(name, [*makers, *parts])
        raise ValueError(
            '`units` must name layers with units of their own, blocks, or "head". '
            f"Received: units with {name!r}. {hint} The last blocks are "
            f"{', '.join([*parts][-4:-1])}, the last layers "
            f"{', '.join([layer.name for layer, _ in channels.makers.values()][-4:])}."
        )
    inside = [layer for layer in parts[name] if id(layer) in channels.makers]
    free = [layer for layer in inside if _is_free(channels, layer, inside)]
    if not free:
        raise ValueError(
            f"`units` must name what has units that can go. Received: units with "
            f"{name!r}, where none can: {_tell_why(channels, inside)}. Name another "
            "part, or a layer, with which all that are tied to it are pruned."
        )
    return free


def _is_free(channels, layer, inside):
    """Whether the units of a layer can go without any from outside."""
    units = channels.units_of(layer)
    ids = {id(other) for other in inside}
    is_inside = all(id(other) in ids for other in channels.layers_with(units))
    return is_inside and channels.reason_to_stay(units) is None


def _tell_why(channels, layers):
    if not layers:
        return "it has no Dense or convolutional layer of Keras"
    return "; ".join(f"{x.name!r} {_reason(channels, x)}" for x in layers)


def _reason(channels, layer):
    units = channels.units_of(layer)
    held = channels.reason_to_stay(units)
    if held is not None:
        return f"is held by {held}"
    others = [x.name for x in channels.layers_with(units) if x is not layer]
    return f"is tied to {', '.join(others)}"


def _check_can_go(channels, layer, name):
    units = channels.units_of(layer)
    others = [x.name for x in channels.layers_with(units) if x is not layer]
    through = f" through {', '.join(others)}" if others else ""
    held = channels.reason_to_stay(units)
    if held is not None:
        raise ValueError(
            "`units` must name layers whose units can go. Received: units with "
            f"{name!r}, whose units are held by {held}{through}. Name a layer that "
            "others of Keras read: Dense, or a convolution without groups."
        )
    if len(set(units.tolist())) < len(units):
        raise ValueError(
            "`units` must name layers whose units are apart. Received: units with "
            f"{name!r}, some of whose units are added to one another{through}. Name "
            "another layer."
        )


def _target(channels, layer, name, wanted):
    units = channels.units_of(layer)
    count = len(units)
    final = max(1, round(wanted * count)) if isinstance(wanted, float) else wanted
    if final >= count:
        raise ValueError(
            f"`units` must leave fewer units than there are. Received: "
            f"units[{name!r}]={wanted!r}, where {layer.name!r} has {count}. Pass less, "
            "or leave it out."
        )
    tied = tuple(x.name for x in channels.layers_with(units))
    return Target(layer.name, units, final, tied)


def _check_agrees(target, others):
    for other in others:
        shared = np.intersect1d(target.units, other.units)
        is_same = len(shared) == len(target.units) == len(other.units)
        if len(shared) and not (is_same and target.final == other.final):
            raise ValueError(
                "`units` must say once what happens to units that are tied. Received: "
                f"{other.name!r} to {other.final} and {target.name!r} to "
                f"{target.final}, which share {len(shared)} of their units. Name one "
                "of them."
            )
