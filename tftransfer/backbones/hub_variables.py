"""The variables of a SavedModel as Keras weights, their gradients and their blocks."""

import keras
import tensorflow as tf


def list_variables(module, endpoint):
    """List the numeric variables of a loaded SavedModel in their saved order.

    Lookup tables, `None` and variables of text are left out: Keras has no weights of
    that kind; they stay in the SavedModel.

    Args:
        module: Object returned by `tf.saved_model.load`.
        endpoint: Its `Endpoint`.

    Returns:
        List of `(tf.Variable, trainable)`.
    """
    listed = list(getattr(module, "variables", None) or [])
    for concrete in endpoint.concrete_functions:
        listed += getattr(concrete, "variables", ())
    meant = getattr(module, "trainable_variables", None)
    meant = None if meant is None else {id(variable) for variable in meant}
    variables, seen = [], set()
    for variable in listed:
        whole = _whole_variable(variable)
        if id(whole) not in seen and _can_be_weight(whole):
            seen.add(id(whole))
            learns = whole.trainable and (meant is None or id(whole) in meant)
            variables.append((whole, bool(learns)))
    return variables


def _whole_variable(variable):
    # Under tf.distribute a function names one replica's part of the variable.
    container = getattr(variable, "_distributed_container", None)
    return container() if container else variable


def _can_be_weight(variable):
    if not isinstance(variable, tf.Variable) or not variable.shape.is_fully_defined():
        return False
    numeric = variable.dtype.is_floating or variable.dtype.is_integer
    return numeric or variable.dtype.is_complex or variable.dtype.is_bool


def check_gradient(endpoint, variables, training):
    """Raise `ValueError` unless the endpoint's output has gradients for `variables`.

    Only the graph of the gradient is built; nothing runs, so that no statistics move.
    """
    found: list[bool] = []

    def differentiate(inputs):
        with tf.GradientTape() as tape:
            outputs = endpoint(inputs, training)
        found.extend(g is not None for g in tape.gradient(outputs, variables))
        return 0

    try:
        run = _strategy_of(variables).run
        traced = tf.function(lambda x: run(differentiate, (x,)), autograph=False)
        traced.get_concrete_function(endpoint.input_spec)
        problem = "" if any(found) else "its output does not depend on its variables"
    except LookupError as error:  # raised by TensorFlow for an operation without one
        problem = f"it was saved without custom gradients ({str(error)[:90]}...)"
    if problem:
        raise ValueError(
            "`trainable` must be False for this SavedModel: "
            f"{problem}. Received: trainable=True. Train a head on the frozen module, "
            "or have it saved again with "
            "tf.saved_model.SaveOptions(experimental_custom_gradients=True)."
        )


def _strategy_of(variables):
    # A variable made under tf.distribute can only be read as one of its replicas.
    strategy = getattr(next(iter(variables), None), "distribute_strategy", None)
    return strategy or tf.distribute.get_strategy()


def make_weights(entries, variables=None):
    """Make the Keras weights that stand for the variables of a SavedModel.

    Args:
        entries: `(name, shape, dtype, trainable)` of each variable.
        variables: The `tf.Variable`s, which are shared and not copied; `None` makes
            stand-ins for `replace_value`.

    Returns:
        List of `keras.Variable`, each with a name of its own.
    """
    weights = []
    taken: dict[str, int] = {}
    for position, (name, shape, dtype, trainable) in enumerate(entries):
        name = name.replace("/", "_")  # Keras allows no slash
        taken[name] = taken.get(name, 0) + 1
        weight = keras.Variable(
            variables[position] if variables else "zeros",
            shape=shape,
            dtype=dtype,
            trainable=trainable,
            autocast=False,
            name=name if taken[name] == 1 else f"{name}_{taken[name] - 1}",
        )
        weights.append(weight)
    return weights


def replace_value(weight, variable, keep):
    """Let a Keras weight stand for `variable` from now on."""
    if keep:
        variable.assign(weight.value)
    # The optimizer of a loaded model is built before and knows variables by this.
    primary = getattr(variable, "_primary", variable)  # of the replicas, if any
    primary._unique_id = weight.value._unique_id
    weight._value = variable


def group_by_prefix(names, sizes):
    """Group variables into blocks by name prefix, in the order given.

    A SavedModel has no layers, only named variables. What all names share at the
    front is no block; the next part is. A block that holds more than half of the
    parameters is split by the part after that (`transformer` into
    `transformer/layer_0`, `transformer/layer_1`, ...).

    Args:
        names: Variable names in creation order, such as `"block1/conv/kernel"`.
        sizes: Number of parameters of each variable.

    Returns:
        List of `(block_name, positions)`; a block stands where its first variable
        stands.

    Raises:
        ValueError: If a name has no prefix, so that blocks cannot be told.

    Example:

    >>> group_by_prefix(["net/a/kernel", "net/a/bias", "net/b/kernel"], [4, 2, 4])
    [('net/a', [0, 1]), ('net/b', [2])]
    """
    without = [name for name in names if "/" not in name]
    if without:
        raise ValueError(
            "`trainable_depth` must be 0 or 'all' for a SavedModel whose variable "
            "names do not tell its blocks (such as 'block1/kernel'). "
            f"Received: variable names {without[:4]}. "
            "Pass trainable_depth=0 or trainable_depth='all'."
        )
    if not names:
        return []
    folders = [name.split("/")[:-1] for name in names]
    depth = 1
    while len(blocks := _group(folders, range(len(names)), depth)) == 1:
        if depth >= min(map(len, folders)):
            return blocks
        depth += 1
    return _split_large(blocks, folders, sizes, depth)


def _group(folders, positions, depth):
    blocks: dict[str, list[int]] = {}
    for position in positions:
        blocks.setdefault("/".join(folders[position][:depth]), []).append(position)
    return list(blocks.items())


def _split_large(blocks, folders, sizes, depth):
    half = sum(sizes) / 2
    result = []
    for name, positions in blocks:
        parts = _group(folders, positions, depth + 1)
        is_large = sum(sizes[position] for position in positions) > half
        can_split = len({tuple(folders[position]) for position in positions}) > 1
        if is_large and can_split:
            result += _split_large(parts, folders, sizes, depth + 1)
        else:
            result.append((name, positions))
    return result
