"""The small model: what is left when units are gone."""

import keras
import numpy as np
from keras import ops

from tftransfer.distribution.scope import scope_of
from tftransfer.freezing.flags import has_adapters
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.recompiling import renew_optimizer
from tftransfer.pruning.channels import trace_channels

_STOCK = ("keras.src.", "keras_hub.src.")


def shrink_model(model, kept):
    """Build the model that is left when all other units of some layers are gone.

    The result has the layers of `model` under their names, narrower where units are
    gone: so are their BatchNormalization, depthwise convolutions and what reads them.
    Units that are added to or multiplied with others go together with those. It gives
    what `model` gives with these units switched off, to 1e-5; raw input, logits,
    `features`, blocks and what is trainable stay. Nothing is shared with `model`, but
    for layers that are not of Keras or KerasHub, such as a hub module, and `Lambda`;
    nested models are laid flat.

    Args:
        model: Functional or Sequential model, or a wrapper that has one as `.model`,
            as `AlignedModel`: then of that one.
        kept: Dict from the name of a Dense or convolutional layer to the numbers of
            the units that stay, counted from 0: what `StructuredPruning.kept` is.

    Returns:
        `keras.Model`. If `model` is compiled, it is too, with a new optimizer of the
        same configuration.

    Raises:
        ValueError: If a layer is unknown, its units cannot go, none would be left, a
            number is none of a unit, entries disagree on units that are tied, or the
            model has no graph or has adapters.
        TypeError: If `kept` is no dict.

    Example:

    >>> inputs = keras.Input((4,))
    >>> hidden = keras.layers.Dense(512, activation="relu", name="hidden")(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    >>> small = tft.shrink_model(model, {"hidden": range(8)})
    >>> model.count_params(), small.count_params()  # 5 * 8 + 9 * 3 are left
    (4099, 67)

    Reference:
        [Li et al., 2017](https://arxiv.org/abs/1608.08710), section 3.1.
    """
    check_no_adapters(model)
    channels = trace_channels(model)
    stays = _read_kept(channels, kept)
    with scope_of(model):
        small = _wire(model, channels, stays)
        _compile_like(small, model)
    return small


def _wire(model, channels, stays):
    """Build the model of the channels that stay, with their weights."""
    plain = graph_of(model)
    plain = getattr(plain, "_functional", plain)
    copies = _Copies(channels, stays)
    tensors = {}
    for key, tensor in zip(channels.graph.inputs, plain.inputs, strict=True):
        entry = tensor._keras_history.operation
        tensors[key] = type(entry).from_config(entry.get_config()).output
    inputs = [tensors[key] for key in channels.graph.inputs]
    for call in channels.graph.calls:
        given = zip(call.node.input_tensors, call.inputs, strict=True)
        filled = {id(tensor): tensors[key] for tensor, key in given}
        args, kwargs = call.node.arguments.fill_in(filled)
        made = keras.tree.flatten(copies.of(call)(*args, **kwargs))
        tensors.update(zip(call.outputs, made, strict=True))
    outputs = [tensors[key] for key in channels.graph.outputs]
    small = keras.Model(
        keras.tree.pack_sequence_as(plain._inputs_struct, inputs),
        keras.tree.pack_sequence_as(plain._outputs_struct, outputs),
        name=plain.name,
    )
    copies.take_weights()
    return small


def check_no_adapters(model):
    """Raise `ValueError` for a model with adapters."""
    if has_adapters(model):
        raise ValueError(
            "`model` must have no adapters. Received: a model with some. Give it the "
            "plain model, which merge_lora(model) makes of one with LoRA, and call "
            "set_trainable_depth."
        )


class _Copies:
    """Copies of the layers of a model, as narrow as what stays."""

    def __init__(self, channels, stays):
        self._channels, self._stays = channels, stays
        self._made: dict = {}
        self._names: set = set()
        self._slices: dict = {}
        for part in channels.slices:
            places = self._slices.setdefault(id(part.variable), [])
            places.append((part.axis, np.flatnonzero(stays[part.groups])))

    def of(self, call):
        """Return the copy of what is called, the same for every call of it."""
        operation = call.operation
        if id(operation) not in self._made:
            self._made[id(operation)] = (operation, self._copy(operation, call))
        return self._made[id(operation)][1]

    def take_weights(self):
        """Give the copies what stays of the weights, and the flags."""
        for layer, copy in self._made.values():
            if copy is layer or not isinstance(layer, keras.Layer):
                continue
            for variable, own in zip(layer.variables, copy.variables, strict=True):
                value = ops.convert_to_tensor(variable)
                for axis, places in self._slices.get(id(variable), ()):
                    value = ops.take(value, places, axis=axis)
                own.assign(value)
            if hasattr(copy, "finalize_state"):  # of a Normalization
                copy.finalize_state()
            flags = zip(layer._flatten_layers(), copy._flatten_layers(), strict=True)
            for part, own in flags:
                own.trainable = part.trainable
            for variable, own in zip(layer.weights, copy.weights, strict=True):
                own.trainable = variable.trainable

    def _copy(self, operation, call):
        is_stock = type(operation).__module__.startswith(_STOCK)
        if not is_stock or isinstance(operation, keras.layers.Lambda):
            return operation
        config = operation.get_config()
        units = self._channels.makers.get(id(operation))
        if units is not None:
            name = "units" if "units" in config else "filters"
            config[name] = int(self._stays[units[1]].sum())
        shape = next((x for x in ("target_shape", "newshape") if x in config), None)
        groups = self._channels.tensors[call.outputs[0]]
        if shape and groups is not None and config[shape][-1] != -1:
            config[shape] = (*config[shape][:-1], int(self._stays[groups].sum()))
        if isinstance(operation, keras.Layer):
            config["name"] = self._unique(operation.name)
        return type(operation).from_config(config)

    def _unique(self, name):
        unique, number = name, 1
        while unique in self._names:  # of layers in nested models
            unique, number = f"{name}_{number}", number + 1
        self._names.add(unique)
        return unique


def _read_kept(channels, kept):
    """Return whether each group stays, a bool array."""
    if not isinstance(kept, dict):
        raise TypeError(
            "`kept` must be a dict from the name of a layer to the numbers of its "
            f"units that stay. Received: kept={kept!r}. Pass what StructuredPruning "
            "has as `.kept`."
        )
    stays = np.ones(_count(channels), dtype=bool)
    held = np.zeros(len(stays), dtype=bool)
    for name, numbers in kept.items():
        units = channels.units_of(channels.named(name, "kept"))
        chosen = np.isin(np.arange(len(units)), _read_numbers(name, numbers, units))
        held[units[chosen]] = True
        stays[units[~chosen]] = False
        reason = channels.reason_to_stay(units[~chosen])
        if reason is not None:
            raise ValueError(
                "`kept` must keep all units that have to stay. Received: kept with "
                f"{name!r}, of which units are held by {reason}. Leave it out."
            )
    if (held & ~stays).any():
        raise ValueError(
            "`kept` must say once what happens to units that are tied. Received: "
            f"kept with {', '.join(map(repr, kept))}, where a unit stays in one layer "
            "and goes in another that it is added to. Name one of these layers."
        )
    return stays


def _read_numbers(name, numbers, units):
    numbers = np.unique(np.asarray(list(numbers)))
    is_whole = numbers.size and np.issubdtype(numbers.dtype, np.integer)
    if not is_whole or numbers[0] < 0 or numbers[-1] >= len(units):
        raise ValueError(
            f"`kept` must hold at least one number of a unit, from 0 to "
            f"{len(units) - 1} in {name!r}. Received: kept[{name!r}]="
            f"{numbers.tolist()}. Pass for example range(8)."
        )
    return numbers


def _count(channels):
    known = [groups for groups in channels.tensors.values() if groups is not None]
    return 1 + max(int(groups.max()) for groups in known if len(groups))


def _compile_like(small, model):
    """Compile as a model is, with an optimizer and metrics of its own."""
    if not model.compiled:
        return
    given = dict(model._compile_config.config)
    if given["optimizer"] is not None:
        given["optimizer"] = renew_optimizer(given["optimizer"])
    for name in ("metrics", "weighted_metrics"):
        given[name] = keras.tree.map_structure(_renew_metric, given[name])
    keras.Model.compile(small, **given)
    if small.optimizer is not None and small.trainable_variables:
        small.optimizer.build(small.trainable_variables)


def _renew_metric(metric):
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric
