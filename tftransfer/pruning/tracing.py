"""Follow every channel of a graph through the layers that keep channels apart."""

import keras
import numpy as np

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D")
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
_RANKS = ("1D", "2D", "3D")
_LAYERS_THAT_KEEP = {
    *("Activation", "AlphaDropout", "Dropout", "ELU", "GaussianDropout"),
    *("GaussianNoise", "Identity", "LeakyReLU", "ReLU", "RepeatVector"),
    *(
        f"{kind}{rank}"
        for kind in (
            *("AveragePooling", "Cropping", "GlobalAveragePooling", "GlobalMaxPooling"),
            *("MaxPooling", "SpatialDropout", "UpSampling", "ZeroPadding"),
        )
        for rank in _RANKS
    ),
}
_OPERATIONS_THAT_KEEP = {
    *("Absolute", "Cast", "Celu", "Clip", "Elu", "Exp", "Gelu", "HardSigmoid"),
    *("HardSilu", "HardTanh", "LeakyRelu", "Negative", "Relu", "Relu6", "Selu"),
    *("Sigmoid", "Silu", "Softplus", "Softsign", "Sqrt", "Square", "Tanh"),
}
_LAYERS_THAT_TIE = {"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"}
_OPERATIONS_THAT_TIE = {
    *("Add", "Divide", "Maximum", "Minimum", "Multiply", "Subtract", "TrueDivide"),
}
_ACTIVATIONS_THAT_KEEP = {
    *("celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh"),
    *("leaky_relu", "linear", "mish", "relu", "relu6", "selu", "sigmoid", "silu"),
    *("softplus", "softsign", "tanh"),
}
_KERNEL_AXES = {  # of what goes in and what comes out
    "Dense": (0, 1),
    **dict.fromkeys(_CONVOLUTIONS, (-2, -1)),
    **dict.fromkeys(_TRANSPOSED, (-1, -2)),
}


class Tracer:
    """Numbers every channel that is made, and notes which belong together.

    Attributes:
        slices: List of tuples: layer, weight, axis, the channels along it, role.
        makers: Dict from the id of a layer to the layer and the channels it makes.
        fixed: Dict from a channel that has to stay to the reason.
    """

    def __init__(self):
        self.slices: list = []
        self.makers: dict = {}
        self.fixed: dict = {}
        self._parents: list = []
        self._read: dict = {}  # what a layer reads, by its id
        self._known: dict = {}

    def trace(self, graph, model):
        """Follow all calls of a graph.

        Args:
            graph: `Graph`.
            model: The model that it is of.

        Returns:
            Dict from key to the channels of a tensor, an int array or `None`.
        """
        for key, tensor in zip(graph.inputs, model.inputs, strict=True):
            self._known[key] = self._new(tensor, "the model's input")
        for call in graph.calls:
            made = self._follow(call)
            width = call.tensors[0].shape[-1] if call.tensors[0].shape else None
            if made is None or len(call.outputs) > 1 or len(made) != width:
                self._stop(call)
            else:
                self._known[call.outputs[0]] = made
        for key in graph.outputs:
            self._fix(self._known[key], "the model's output")
        return self._known

    def groups(self):
        """Return the group of every channel: the least of those it belongs to."""
        places = [self._find(place) for place in range(len(self._parents))]
        return np.array(places, dtype="int64")

    def _follow(self, call):
        """Return the channels of a call's output, or `None` where they get lost."""
        layer, ids = call.operation, [self._known[key] for key in call.inputs]
        kind, is_layer = type(layer).__name__, isinstance(layer, keras.Layer)
        if not ids or any(x is None for x in ids) or not _is_plain(call):
            return None
        if is_layer and kind in _KERNEL_AXES:
            return self._through_kernel(layer, ids[0], *_KERNEL_AXES[kind])
        if not _activation_keeps(layer):
            return None
        if is_layer and kind in _DEPTHWISE:
            return self._through_depthwise(layer, ids[0])
        if is_layer and kind == "BatchNormalization":
            return self._through_batch_norm(layer, ids[0], call)
        if kind == "Concatenate" and _joins_last(call):
            return np.concatenate(ids)
        if kind in ("Flatten", "Reshape"):
            width = call.tensors[0].shape[-1]
            repeats, rest = divmod(width or 0, len(ids[0]))
            # Channels come last, so their order repeats along the flattened axis.
            return np.tile(ids[0], repeats) if repeats and not rest else None
        ties = _LAYERS_THAT_TIE if is_layer else _OPERATIONS_THAT_TIE
        if kind in ties:
            return self._tie_all(ids)
        keeps = _LAYERS_THAT_KEEP if is_layer else _OPERATIONS_THAT_KEEP
        return ids[0] if kind in keeps and len(ids) == 1 else None

    def _through_kernel(self, layer, ids, axis_in, axis_out):
        weights = _weights(layer, ("kernel", "bias"))
        if weights is None or getattr(layer, "groups", 1) != 1:
            return None
        if id(layer) in self._read:
            self._tie(self._read[id(layer)], ids)
            return self.makers[id(layer)][1]
        self._read[id(layer)] = ids
        made = self._number(layer.kernel.shape[axis_out])
        self.makers[id(layer)] = (layer, made)
        self._note(layer, weights["kernel"], axis_in, ids, "reads")
        self._note(layer, weights["kernel"], axis_out, made, "makes")
        self._note(layer, weights.get("bias"), 0, made, "follows")
        if not _activation_keeps(layer):
            self._fix(made, f"the activation of {layer.name!r}")
        return made

    def _through_depthwise(self, layer, ids):
        weights = _weights(layer, ("kernel", "bias"))
        if weights is None:
            return None
        made = np.repeat(ids, layer.depth_multiplier)
        if id(layer) in self._read:
            self._tie(self._read[id(layer)], ids)
            return made
        self._read[id(layer)] = ids
        self._note(layer, weights["kernel"], -2, ids, "follows")
        self._note(layer, weights.get("bias"), 0, made, "follows")
        return made

    def _through_batch_norm(self, layer, ids, call):
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        weights = _weights(layer, names)
        rank = len(call.tensors[0].shape)
        if weights is None or layer.axis not in (-1, rank - 1):
            return None
        if id(layer) in self._read:
            self._tie(self._read[id(layer)], ids)
            return ids
        self._read[id(layer)] = ids
        for name in names:
            self._note(layer, weights.get(name), 0, ids, "follows")
        return ids

    def _tie_all(self, ids):
        widest = max(ids, key=len)
        for other in ids:
            if len(other) == 1 < len(widest):
                self._fix(other, "broadcasting to all channels")
            elif len(other) != len(widest):
                return None
            else:
                self._tie(widest, other)
        return widest

    def _stop(self, call):
        """Hold what a call reads and makes in place."""
        kind = type(call.operation).__name__
        reason = f"{call.operation.name!r} ({kind})"
        for key in call.inputs:
            self._fix(self._known[key], reason)
        for key, tensor in zip(call.outputs, call.tensors, strict=True):
            self._known[key] = self._new(tensor, reason)
        _, made = self.makers.get(id(call.operation), (None, None))
        self._fix(made, reason)

    def _new(self, tensor, reason):
        width = tensor.shape[-1] if tensor.shape else None
        ids = None if width is None else self._number(width)
        self._fix(ids, reason)
        return ids

    def _number(self, count):
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def _note(self, layer, variable, axis, ids, role):
        if variable is not None:
            self.slices.append((layer, variable, axis, ids, role))

    def _fix(self, ids, reason):
        for place in () if ids is None else ids.tolist():
            self.fixed.setdefault(place, reason)

    def _tie(self, one, other):
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            low, high = sorted((self._find(a), self._find(b)))
            self._parents[high] = low

    def _find(self, place):
        parents = self._parents
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place


def _is_plain(call):
    """Whether a call is of Keras' own class, and treats all channels alike."""
    operation = call.operation
    if not type(operation).__module__.startswith("keras.src."):
        return False
    if getattr(operation, "data_format", None) == "channels_first":
        return False
    if getattr(operation, "quantization_mode", None) is not None:
        return False
    arguments = call.node.arguments
    values = (*arguments.args, *arguments.kwargs.values())
    return not any(_is_vector(value) for value in values)


def _is_vector(value):
    """Whether an argument holds a number for each channel."""
    if isinstance(value, keras.KerasTensor) or not hasattr(value, "shape"):
        return False
    return np.size(value) != 1


def _activation_keeps(operation):
    """Whether the activation of a layer, if it has one, keeps channels apart."""
    activation = getattr(operation, "activation", keras.activations.linear)
    name = str(getattr(activation, "__name__", None))
    own = getattr(keras.activations, name, None)
    return name in _ACTIVATIONS_THAT_KEEP and activation is own


def _joins_last(call):
    rank = len(call.tensors[0].shape)
    return call.operation.axis in (-1, rank - 1)


def _weights(layer, names):
    """Return the weights of a layer by name, or `None` if it has others as well."""
    found = {weight.name: weight for weight in layer.weights}
    is_known = set(found) <= set(names) and len(found) == len(layer.weights)
    return found if is_known else None
