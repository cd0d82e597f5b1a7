"""What a loaded SavedModel offers: its function, inputs, outputs and variables."""

import dataclasses
import inspect
from typing import Any

import keras
import tensorflow as tf

USUAL_SIGNATURES = ("serving_default", "default")
STAND_IN_SIZE = 64  # for a dimension that the SavedModel leaves open


class Endpoint:
    """The one function of a loaded SavedModel that a `HubLayer` calls.

    A TF2 module is called through its `__call__`, which often takes a `training`
    flag. Plain and TF1-style SavedModels have only signatures: no flag, one named
    input, a dictionary of outputs.

    Args:
        module: Object returned by `tf.saved_model.load`.
        signature: Name of a signature; `None` takes `__call__` where the module has
            one, otherwise a signature of `USUAL_SIGNATURES`.
        output_key: Which output to take where there are several; nested outputs are
            named with slashes, those of a list by their position. `None` takes the
            only one, or the one named `default`.

    Raises:
        ValueError: If there is no such signature or output, if the function takes
            other than one tensor, or if it was saved for training only.

    Example:

    >>> import tempfile
    >>> folder, module = tempfile.mkdtemp(), tf.Module()
    >>> module.double = tf.function(lambda x: 2 * x, [tf.TensorSpec((None, 3))])
    >>> tf.saved_model.save(module, folder, signatures=module.double)
    >>> Endpoint(tf.saved_model.load(folder))(np.ones((1, 3), "float32")).numpy()
    array([[2., 2., 2.]], dtype=float32)
    """

    def __init__(self, module, *, signature=None, output_key=None):
        self._function, self._is_signature = _choose_function(module, signature)
        self.concrete_functions = (
            [self._function]
            if self._is_signature
            else self._function.concrete_functions
        )
        specs = [self._find_input(concrete) for concrete in self.concrete_functions]
        self.input_spec = max(specs, key=_count_open_dimensions)
        self.training_choices = self._find_training_choices()
        self._output_key = _choose_output(self._trace(self._call_all), output_key)
        self.output_spec = self._trace(self)

    def __call__(self, inputs, training=False):
        """Return the chosen output; functions without the flag ignore `training`."""
        return self._call_all(inputs, training)[self._output_key]

    def _call_all(self, inputs, training=False):
        if self._is_signature:
            (name,) = self._function.structured_input_signature[1]
            return dict(_flatten(self._function(**{name: inputs})))
        flag = {"training": training} if self.training_choices else {}
        return dict(_flatten(self._function(inputs, **flag)))

    def _trace(self, function):
        traced = tf.function(lambda inputs: function(inputs), autograph=False)
        return traced.get_concrete_function(self.input_spec).structured_outputs

    def _find_input(self, concrete):
        args, kwargs = concrete.structured_input_signature
        first, *others = [*args, *kwargs.values()] or [None]
        tensors = [  # a `training` flag may be a tensor, too
            other
            for other in tf.nest.flatten(others)
            if isinstance(other, tf.TypeSpec) and other.dtype != tf.bool
        ]
        if tensors or not isinstance(first, tf.TensorSpec):
            raise ValueError(
                "`handle` must be a SavedModel whose function takes one tensor. "
                f"Received: a function of {args} {kwargs}. "
                "Choose another one with `signature=`."
            )
        return first

    def _find_training_choices(self):
        if self._is_signature:
            return frozenset()
        names = list(inspect.signature(self._function).parameters)
        choices: set[Any] = set()
        for concrete in self.concrete_functions:
            args, kwargs = concrete.structured_input_signature
            flag = {**dict(zip(names, args, strict=False)), **kwargs}.get("training")
            is_tensor = isinstance(flag, tf.TensorSpec)
            choices.update({True, False} if is_tensor else {flag} & {True, False})
        if choices == {True}:
            raise ValueError(
                "`handle` must be a SavedModel that can be called with "
                "training=False. Received: a function saved for training=True only. "
                "Save it again with both, or choose a signature with `signature=`."
            )
        return frozenset(choices)


def _choose_function(module, signature):
    signatures = dict(getattr(module, "signatures", {}))
    function = module.__call__ if callable(module) else None
    if signature is None and getattr(function, "concrete_functions", None):
        return function, False
    usual = [name for name in USUAL_SIGNATURES if name in signatures]
    candidates = usual[:1] or list(signatures)
    name = candidates[0] if signature is None and len(candidates) == 1 else signature
    if name not in signatures:
        raise ValueError(
            f"`signature` must be one of {sorted(signatures)}. "
            f"Received: signature={signature!r}. Without a choice the SavedModel needs "
            "a saved `__call__` or a signature named 'serving_default'."
        )
    return signatures[name], True


def _choose_output(outputs, output_key):
    keys = list(outputs)
    if output_key is None and len(keys) == 1:
        return keys[0]
    chosen = "default" if output_key is None else output_key
    if chosen not in keys:
        raise ValueError(
            f"`output_key` must be one of {sorted(keys)}. "
            f"Received: output_key={output_key!r}."
        )
    return chosen


def _count_open_dimensions(spec):
    shape = spec.shape
    return float("inf") if shape.rank is None else shape.as_list().count(None)


def _flatten(outputs, prefix=""):
    if isinstance(outputs, tf.Tensor):
        yield prefix or "output", outputs
        return
    if isinstance(outputs, (list, tuple)):
        outputs = dict(enumerate(outputs))
    items = outputs.items() if isinstance(outputs, dict) else ()
    for key, value in items:
        yield from _flatten(value, f"{prefix}/{key}" if prefix else str(key))


@dataclasses.dataclass(frozen=True)
class ModuleRecord:
    """What Keras must know of a SavedModel before its files are there.

    While a `.keras` file is loaded, the graph of layers and the optimizer are built
    first and the files inside are unpacked afterwards.

    Args:
        fingerprint: From `fingerprint_saved_model`.
        inputs: `(shape, dtype)` of the input; the shape is `None` if the rank is open.
        outputs: `(shape, dtype)` of the chosen output.
        takes_training: Whether the function can be called with `training=True`.
        variables: `(name, shape, dtype, trainable)` of each variable.
    """

    fingerprint: str
    inputs: tuple
    outputs: tuple
    takes_training: bool
    variables: tuple

    @classmethod
    def describe(cls, endpoint, variables, fingerprint):
        """Record a loaded SavedModel and its `list_variables`."""
        return cls(
            fingerprint=fingerprint,
            inputs=_describe_spec(endpoint.input_spec),
            outputs=_describe_outputs(endpoint),
            takes_training=True in endpoint.training_choices,
            variables=tuple(
                (v.name.split(":")[0], tuple(v.shape), v.dtype.name, trainable)
                for v, trainable in variables
            ),
        )

    @property
    def has_statistics(self):
        """Whether the module keeps numbers that learn without a gradient."""
        return any(
            not trainable and keras.backend.is_float_dtype(dtype)
            for _, _, dtype, trainable in self.variables
        )

    def check_inputs(self, inputs):
        """Raise `ValueError` unless the module can be called on `inputs`."""
        shape, dtype = self.inputs
        received = keras.backend.standardize_dtype(inputs.dtype)
        fits = tf.TensorShape(shape).is_compatible_with(inputs.shape)
        if not fits or (received == "string") != (dtype == "string"):
            raise ValueError(
                f"`inputs` must have shape {shape} and a dtype that can become {dtype} "
                f"for this SavedModel. Received: inputs.shape={tuple(inputs.shape)}, "
                f"inputs.dtype={received}."
            )

    def cast_inputs(self, inputs):
        """Return `inputs` in the dtype that the module wants; pixels are rounded."""
        dtype = self.inputs[1]
        if dtype == "string":
            return inputs
        if inputs.dtype.is_floating and keras.backend.is_int_dtype(dtype):
            inputs = keras.ops.round(inputs)
        return keras.ops.cast(inputs, dtype)

    @classmethod
    def from_config(cls, config):
        """Read what `dataclasses.asdict` wrote, after a trip through JSON."""
        return cls(**{key: _freeze(value) for key, value in config.items()})


def _freeze(value):
    return tuple(map(_freeze, value)) if isinstance(value, (list, tuple)) else value


def _describe_spec(spec):
    shape = None if spec.shape.rank is None else tuple(spec.shape)
    return shape, spec.dtype.name


def _describe_outputs(endpoint):
    shape, dtype = _describe_spec(endpoint.output_spec)
    if shape and shape[-1] is not None:
        return shape, dtype
    wanted = endpoint.input_spec.shape
    if wanted.rank is None:
        raise ValueError(
            "`handle` must be a SavedModel that tells the rank of its input or the "
            f"width of its output. Received: input {wanted}, output {shape}. "
            "Choose another function with `signature=`."
        )
    sizes = [STAND_IN_SIZE if size is None else size for size in wanted]
    sizes[:1] = [wanted[0] or 1]
    fill = "" if endpoint.input_spec.dtype == tf.string else 0
    measured = endpoint(tf.fill(sizes, tf.constant(fill, endpoint.input_spec.dtype)))
    known = shape or (None,) * measured.shape.rank
    return (*known[:-1], measured.shape[-1]), dtype


def check_backend():
    """Raise `NotImplementedError` unless Keras runs on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(
            "HubLayer needs Keras on TensorFlow. Received: the backend "
            f"{keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
        )


def load_module(directory, tags):
    """Load a SavedModel, or raise `ValueError` that says why it cannot be loaded."""
    if tags is None and (directory / "tfhub_module.pb").exists():
        tags = []  # the old format of TensorFlow Hub keeps its main graph untagged
    try:
        return tf.saved_model.load(str(directory), tags=tags)
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        raise ValueError(
            "`handle` must be a SavedModel that this TensorFlow can load. Received: "
            f"handle={str(directory)!r}, tags={tags!r}. {type(error).__name__}: "
            f"{error} Check that it is whole, pass `tags=` if it holds several "
            "graphs, and import the package that brings its operations, if any."
        ) from error
