"""Layers whose matrix is W + alpha / rank * A B, of which only A and B learn."""

import contextlib
import functools
import math

import keras
from keras import ops

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_HALVES = ("float16", "bfloat16")
_FACTORS = ("adapter_a", "adapter_b")


class Learning:
    """Mixed into the class of a layer that learns in a model with adapters."""

    learns_with_adapters = True
    _trainable_variables: list  # the layer's own


class LowRank(Learning):
    """Mixed into the class of a layer: its matrix gets a product of thin factors.

    Keras' own `enable_lora` is not built on, because of what it does in Keras 3.15: a
    saved file holds the sum, rounded to the compute dtype, and comes back with both
    factors zero, so that no gradient ever reaches them; `Dense` and `Embedding` forget
    alpha; the product is taken in half precision; attention's `(width, heads, size)`
    kernels get `width * heads` rows in A; and `trainable = True` frees the kernel.

    The variables are `adapter_a` of shape `(rows, rank)` and `adapter_b` `(rank,
    columns)`, the numbers `adapter_rank` and `adapter_alpha`.
    """

    @property
    def kernel(self):
        """The sum, in the layer's compute dtype."""
        return _sum(self, super().kernel)  # type: ignore[misc]

    @property
    def embeddings(self):
        """The sum, in the layer's compute dtype."""
        return _sum(self, super().embeddings)  # type: ignore[misc]

    def save_own_variables(self, store):
        """Store the layer's variables apart from the factors."""
        with as_plain([self]):
            self.save_own_variables(store)
        for name in _FACTORS:
            store[name] = getattr(self, name)

    def load_own_variables(self, store):
        """Restore all of them."""
        with as_plain([self]):
            self.load_own_variables(store)
        for name in _FACTORS:
            getattr(self, name).assign(store[name])


def factors_of(layer):
    """List the two factors of a layer; empty where it has none."""
    return [getattr(layer, name) for name in _FACTORS if hasattr(layer, name)]


def _sum(layer, matrix):
    product = ops.matmul(layer.adapter_a, layer.adapter_b)
    scale = layer.adapter_alpha / layer.adapter_rank
    total = ops.add(matrix, scale * ops.reshape(product, matrix.shape))
    return ops.cast(total, layer.compute_dtype)


@contextlib.contextmanager
def as_plain(layers):
    """Give layers the classes back that they had before anything was mixed in.

    Args:
        layers: Keras layers, any of them.
    """
    mixed = [(layer, type(layer)) for layer in layers if plain_class(layer)]
    for layer, made in mixed:
        set_class(layer, made.plain_class)
    try:
        yield
    finally:
        for layer, made in mixed:
            set_class(layer, made)


def plain_class(layer):
    """Return the class a layer had before anything was mixed in, or `None`."""
    return getattr(type(layer), "plain_class", None)


def mix_in(layer, mixin):
    """Put `mixin` in front of the class of a layer; the name of the class stays."""
    set_class(layer, _mixed(layer.__class__, mixin))


def set_class(layer, made):
    """Set the class of a layer; Keras would track it as if it were a weight."""
    object.__setattr__(layer, "__class__", made)


@functools.cache
def _mixed(made, mixin):
    plain = getattr(made, "plain_class", made)
    names = {"plain_class": plain, "__module__": __name__}
    return type(plain.__name__, (mixin, made), names)


def matrix_shape(layer):
    """Return `(rows, columns)` of a layer's matrix, or `None` where it has none.

    A kernel of any shape counts as a matrix from all it sums over to what it makes:
    `(height * width * channels, filters)` of a convolution, `(width, heads * size)` of
    attention's query.

    Args:
        layer: Built Keras layer.

    Example:

    >>> layer = keras.layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 4))
    >>> layer.build((None, 7, 16))
    >>> matrix_shape(layer)
    (16, 8)
    """
    if not _takes_factors(layer):
        return None
    shape = tuple(matrix_of(layer).shape)
    if not isinstance(layer, keras.layers.EinsumDense):
        return math.prod(shape[:-1]), shape[-1]
    inputs, kernel, outputs = _subscripts(layer.equation)
    sums = [x in inputs and x not in outputs for x in kernel]
    makes = [x in outputs and x not in inputs for x in kernel]
    split = sum(sums)
    if not all(sums[:split]) or not all(makes[split:]):
        return None
    return math.prod(shape[:split]), math.prod(shape[split:])


def _takes_factors(layer):
    kinds = (keras.layers.Dense, keras.layers.EinsumDense, *CONVOLUTIONS)
    if isinstance(layer, keras.layers.Embedding):
        constraint = layer.embeddings_constraint
    elif isinstance(layer, kinds):
        constraint = layer.kernel_constraint
    else:
        return False
    return layer.built and constraint is None and layer.quantization_mode is None


def _subscripts(equation):
    given, outputs = equation.replace(" ", "").replace("...", "").split("->")
    return (*given.split(","), outputs)


def matrix_of(layer):
    """Return the variable with a layer's pretrained matrix, whatever its shape."""
    is_table = isinstance(layer, keras.layers.Embedding)
    return layer._embeddings if is_table else layer._kernel


def add_factors(layer, rank, alpha):
    """Add a random A and a zero B to a layer, so that nothing changes at first.

    Args:
        layer: Layer with a `matrix_shape`, without factors.
        rank: Width of A, at least 1.
        alpha: The product is multiplied by `alpha / rank`.
    """
    matrix = matrix_of(layer)
    rows, columns = matrix_shape(layer)
    dtype = "float32" if matrix.dtype in _HALVES else matrix.dtype
    locked, layer._tracker.locked = layer._tracker.locked, False
    shapes, makers = ((rows, rank), (rank, columns)), ("he_uniform", "zeros")
    with _name_scopes(matrix.path):
        for name, shape, initializer in zip(_FACTORS, shapes, makers, strict=True):
            # Not cast on the way in: small products would be lost in half precision.
            variable = layer.add_weight(
                name=name,
                shape=shape,
                initializer=initializer,
                dtype=dtype,
                autocast=False,
            )
            setattr(layer, name, variable)
    layer._tracker.locked = locked
    matrix._autocast = False  # for the same reason: the sum is cast, once
    layer.adapter_rank, layer.adapter_alpha = rank, alpha
    mix_in(layer, LowRank)


@contextlib.contextmanager
def _name_scopes(path):
    """Let variables made here have paths beside that of another."""
    with contextlib.ExitStack() as stack:
        for name in path.split("/")[:-1]:
            stack.enter_context(keras.name_scope(name))
        yield


def merge_factors(layer):
    """Add the product to the pretrained matrix and remove the factors.

    Args:
        layer: Layer with factors. Its class is as before.
    """
    product = ops.matmul(layer.adapter_a, layer.adapter_b)
    scale = layer.adapter_alpha / layer.adapter_rank
    matrix = matrix_of(layer)
    matrix.assign(ops.add(matrix, scale * ops.reshape(product, matrix.shape)))
    matrix._autocast = True
    for name in _FACTORS:
        layer._untrack_variable(getattr(layer, name))
        # Keras' own way collects all garbage after every variable.
        super(keras.Layer, layer).__delattr__(name)
    del layer.adapter_rank, layer.adapter_alpha
    set_class(layer, plain_class(layer))
