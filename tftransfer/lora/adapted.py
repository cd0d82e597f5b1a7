"""Layers with adapters in them, which save and load as such."""

from typing import Any

import keras

from tftransfer.freezing.flags import set_own_flag, set_trainable
from tftransfer.lora.low_rank import (
    Learning,
    LowRank,
    add_factors,
    as_plain,
    merge_factors,
    mix_in,
    plain_class,
    set_class,
)


class Adapted:
    """Mixed into the class of a layer that Keras saves as a whole.

    That is a layer with factors of its own, or one such as an attention layer, which
    makes the layers inside it anew when a file is loaded: its configuration tells where
    in it adapters are. The attribute `adapters` is a dict from the path of an inner
    layer, `""` for itself, to `(rank, alpha)`, or to `None` where it learns whole.
    """

    adapters: dict
    _flatten_layers: Any

    def get_config(self):
        """The plain layer, and where in it adapters are."""
        with as_plain(self._flatten_layers()):
            layer = keras.saving.serialize_keras_object(self)
        layer.pop("compile_config", None)  # told once, by the one around this
        return {"layer": layer, "adapters": dict(self.adapters)}

    @classmethod
    def from_config(cls, config):
        """Build the plain layer and put the adapters in."""
        layer = keras.saving.deserialize_keras_object(config["layer"])
        adapt(layer, config["adapters"])
        return layer


# All classes it is mixed into are saved under this one name and loaded by its method.
_register = keras.saving.register_keras_serializable("tftransfer", "Adapted")
_register(Adapted)


def paths_inside(layer):
    """Return a dict from path to layer: `""` for itself, names joined by `/` below.

    Example:

    >>> inner = keras.layers.Dense(1, name="inner")
    >>> list(paths_inside(keras.layers.TimeDistributed(inner)))
    ['', 'inner']
    """
    found, seen = {"": layer}, {id(layer)}
    waiting = [("", layer)]
    while waiting:
        above, parent = waiting.pop()
        for child in parent._layers:
            if id(child) in seen:
                continue
            seen.add(id(child))
            path = f"{above}/{child.name}" if above else child.name
            while path in found:
                path += "'"
            found[path] = child
            waiting.append((path, child))
    return found


def adapt(layer, adapters):
    """Freeze a layer for good, but for adapters and inner layers that learn whole.

    Args:
        layer: Built layer that Keras saves as a whole.
        adapters: As the attribute of `Adapted`.
    """
    inside = paths_inside(layer)
    was_trainable = layer.trainable
    for path, part in inside.items():
        # Those that learn, and those around them: a flag hides all that is inside.
        set_own_flag(part, any(f"{x}/".startswith(f"{path}/") for x in adapters))
        if adapters.get(path, ()) is not None:
            _hold(part)
    set_own_flag(layer, True)
    for path, factors in adapters.items():
        if factors is None:
            mix_in(inside[path], Learning)
        else:
            add_factors(inside[path], *factors)
    mix_in(layer, Adapted)
    _register(type(layer))
    object.__setattr__(layer, "adapters", dict(adapters))  # else Keras tracks the dict
    if not was_trainable:
        set_trainable(layer, False)


def strip(layer):
    """Merge all factors in a layer and let it be what it was before `adapt`.

    Args:
        layer: What `adapt` was called with. All of it is frozen afterwards.
    """
    for part in layer._flatten_layers():
        if isinstance(part, LowRank):
            merge_factors(part)
        if plain_class(part):
            set_class(part, plain_class(part))
        if hasattr(part, "held_variables"):
            _release(part)
    object.__delattr__(layer, "adapters")
    set_trainable(layer, False)


def _hold(layer):
    """Make what learns in a layer no longer answer to its `trainable`."""
    held, others = layer._trainable_variables, layer._non_trainable_variables
    object.__setattr__(layer, "held_variables", tuple(held))
    _track(layer, [], [*held, *others])


def held_variables(layer):
    """What learned in a layer before `adapt` froze it for good."""
    return getattr(layer, "held_variables", ())


def _release(layer):
    held = held_variables(layer)
    own = [x for x in layer._non_trainable_variables if not _is_among(x, held)]
    object.__delattr__(layer, "held_variables")
    _track(layer, list(held), own)


def _is_among(variable, variables):
    return any(variable is other for other in variables)


def _track(layer, trainable, fixed):
    """Let a layer have these variables, in this order."""
    locked = layer._tracker.locked
    for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
        layer._untrack_variable(variable)
    layer._tracker.locked = False
    for variables, value in ((trainable, True), (fixed, False)):
        for variable in variables:
            variable.trainable = value
            layer._track_variable(variable)
    layer._tracker.locked = locked
