"""The identity of a frozen part of a model: equal only where the outputs are."""

import hashlib
import inspect
import json
import sys
import tempfile
import types
from pathlib import Path

import keras
import numpy as np

# Whose classes do what they did before, as long as these versions or files are equal.
VERSIONED, OWN = ("keras", "keras_hub"), "tftransfer"
# They run programs that are neither in their configuration nor in their weights.
OPAQUE = {"FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"}
# What a configuration holds, and no output depends on once there are weights.
WITHOUT_EFFECT = {"build_config", "compile_config", "shared_object_id", "trainable"}
ENDINGS = ("_constraint", "_initializer", "_regularizer")
VERSION = 1  # raise it when the key itself comes to mean something else


class _UnknownError(Exception):
    """Something whose effect on the outputs cannot be seen."""


def prefix_key(calls, output_key, inputs=None):
    """Identify what a part of a graph computes, weights included.

    Two parts have the same key only if they give the same outputs for the same inputs
    in inference: the classes, configurations, arguments, dtypes, connections and the
    bytes of all weights are equal. Names, flags that freeze layers, initializers and
    regularizers do not matter, so the key holds from stage to stage and in other
    processes.

    What only Python code tells has no key: layers from outside Keras, KerasHub and
    this package, a `Lambda`, and functions of the user's. Such a layer can have an
    attribute `fingerprint`, a `str` that stands for its code.

    Args:
        calls: List of `Call`, each after all it reads.
        output_key: Key of the tensor to identify, one of the calls' outputs.
        inputs: Keys of the model's inputs in their order; may be left out where there
            is one.

    Returns:
        `str` of 64 hexadecimal digits, or None where something cannot be identified.

    Example:

    >>> from tftransfer.freezing.graph import read_graph
    >>> model = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(1)])
    >>> graph = read_graph(model)
    >>> key = prefix_key(graph.calls, graph.outputs[0])
    >>> _ = model.layers[0].kernel.assign([[1.0], [2.0]])
    >>> len(key), key == prefix_key(graph.calls, graph.outputs[0])
    (64, False)
    """
    try:
        names = _name_inputs(calls, output_key, inputs)
        described: dict[int, str] = {}
        needed = _needed(calls, output_key)
        for call in needed:
            if id(call.operation) not in described:
                described[id(call.operation)] = _describe_operation(call.operation)
            digest = _digest(described[id(call.operation)], _describe_call(call, names))
            for place, key in enumerate(call.outputs):
                names[key] = _digest(digest, place)
        keras_state = [keras.backend.backend(), keras.config.epsilon()]
        used = _packages(needed)
        versions = {name: _version(name) for name in VERSIONED if name in used}
        return _digest("prefix", VERSION, keras_state, versions, names[output_key])
    except Exception:  # get_config may raise anything: then there is no identity
        return None


def _needed(calls, output_key):
    wanted, found = {output_key}, []
    for call in reversed(calls):
        if wanted & set(call.outputs):
            wanted |= set(call.inputs)
            found.append(call)
    return found[::-1]


def _name_inputs(calls, output_key, inputs):
    """Name the tensors that no call makes by their place among the model's inputs."""
    made = {key for call in calls for key in call.outputs}
    given: dict = {}
    for call in _needed(calls, output_key):
        tensors = call.node.arguments.keras_tensors
        for key, tensor in zip(call.inputs, tensors, strict=True):
            if key not in made:
                given.setdefault(key, tensor)
    places = list(given) if inputs is None else list(inputs)
    if inputs is None and len(given) > 1:
        raise _UnknownError("which input is which")
    return {
        key: _digest("input", places.index(key), list(tensor.shape), str(tensor.dtype))
        for key, tensor in given.items()
    }


def _describe_call(call, names):
    """Describe the arguments, in which tensors stand for what made them."""
    arguments = call.node.arguments
    pairs = zip(arguments.keras_tensors, call.inputs, strict=True)
    made_by = {id(tensor): names[key] for tensor, key in pairs}
    described = _plain([arguments.args, arguments.kwargs], made_by)
    return [described, [str(tensor.dtype) for tensor in call.tensors]]


def _describe_operation(operation):
    layers = [operation]
    if isinstance(operation, keras.Layer):
        layers = list(operation._flatten_layers())
    codes = [_describe_code(layer) for layer in layers]
    states = [_describe_state(layer) for layer in layers]
    weights = [_describe_array(w) for w in getattr(operation, "weights", [])]
    return _digest(codes, _plain(operation.get_config()), states, weights)


def _describe_code(operation):
    """Identify the class and the functions of one operation, or raise."""
    kind = type(operation)
    told = getattr(operation, "fingerprint", None)
    if isinstance(told, str):
        return [kind.__module__, kind.__qualname__, told, *_own_sources(kind)]
    if kind.__name__ in OPAQUE:
        raise _UnknownError(kind.__name__)
    for value in vars(operation).values():
        if isinstance(value, (types.FunctionType, types.MethodType)) or (
            callable(value) and not hasattr(value, "get_config")
        ):
            _check_known(getattr(value, "__module__", None))
    for base in kind.__mro__:
        if base not in keras.Layer.__mro__:  # below which Keras puts its backend's
            _check_known(base.__module__)
    return [kind.__module__, kind.__qualname__, *_own_sources(kind)]


def _own_sources(kind):
    modules = [base.__module__ for base in kind.__mro__]
    own = [name for name in modules if name.partition(".")[0] == OWN]
    return [inspect.getsource(sys.modules[name]) for name in own]


def _check_known(module):
    if (module or "").partition(".")[0] not in (*VERSIONED, OWN):
        raise _UnknownError(module)


def _packages(calls):
    """Packages that the classes of the operations come from."""
    kinds = {
        type(part)
        for call in calls
        for part in getattr(call.operation, "_flatten_layers", lambda: ())()
    }
    kinds |= {type(call.operation) for call in calls}
    return {
        base.__module__.partition(".")[0] for kind in kinds for base in kind.__mro__
    }


def _version(package):
    return getattr(sys.modules.get(package), "__version__", None)


def _describe_state(layer):
    """Describe what a layer saves besides its weights, such as a vocabulary."""
    if not isinstance(layer, keras.Layer) or hasattr(layer, "fingerprint"):
        return None
    state: list = []
    if type(layer).save_own_variables is not keras.Layer.save_own_variables:
        store: dict = {}
        layer.save_own_variables(store)
        state += [[name, _describe_array(store[name])] for name in sorted(store)]
    if hasattr(layer, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            state += [
                [path.relative_to(folder).as_posix(), _hash(path.read_bytes())]
                for path in files
            ]
    return state


def _describe_array(array):
    if isinstance(array, keras.Variable) or keras.ops.is_tensor(array):
        array = keras.ops.convert_to_numpy(array)
    array = np.ascontiguousarray(array)
    if array.dtype.hasobject:
        raise _UnknownError("an array of objects")
    return ["array", str(array.dtype), list(array.shape), _hash(array.tobytes())]


def _plain(value, made_by=None):
    """Turn a configuration or arguments into JSON values without names, or raise."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return _plain_dictionary(value, made_by)
    if isinstance(value, (list, tuple)):
        return [_plain(part, made_by) for part in value]
    if isinstance(value, slice):
        return ["slice", *map(_plain, (value.start, value.stop, value.step))]
    if value is Ellipsis:
        return ["ellipsis"]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, keras.KerasTensor):
        return ["tensor", (made_by or {})[id(value)]]
    if isinstance(value, (np.ndarray, np.generic, keras.Variable)):
        return _describe_array(value)
    if keras.ops.is_tensor(value):
        return _describe_array(value)
    if hasattr(value, "get_config"):
        return _plain(keras.saving.serialize_keras_object(value))
    if hasattr(value, "as_numpy_dtype") or isinstance(value, np.dtype):
        return ["dtype", str(getattr(value, "name", value))]
    raise _UnknownError(type(value).__name__)


def _plain_dictionary(value, made_by):
    kind = value.get("class_name")
    if isinstance(kind, str) and "config" in value:
        if kind in ("__lambda__", "__typespec__"):
            raise _UnknownError(kind)
        if not kind.startswith("__"):
            _check_known(value.get("module"))
        if kind.endswith(("Policy", "PolicyMap")):  # the one name that matters
            return ["policy", json.dumps(value["config"], sort_keys=True, default=str)]
    items = [(str(key), inner) for key, inner in value.items() if not _is_idle(key)]
    return {key: _plain(inner, made_by) for key, inner in sorted(items)}


def _is_idle(key):
    return key == "name" or key in WITHOUT_EFFECT or str(key).endswith(ENDINGS)


def _digest(*parts):
    return _hash(json.dumps(parts, sort_keys=True).encode())


def _hash(content):
    return hashlib.sha256(content).hexdigest()
