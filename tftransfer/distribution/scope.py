"""The `tf.distribute` strategy in whose scope a model was built."""

import contextlib

import tensorflow as tf


def find_strategy(model):
    """Return the strategy in whose scope a model was built, `None` without one.

    Args:
        model: `keras.Model`, of any backend.
    """
    return getattr(model, "_distribute_strategy", None)


def scope_of(model):
    """Return a context in which new variables live where those of a model do.

    Whatever compiles a model again or builds another beside it belongs in here: Keras
    refuses an optimizer that was made elsewhere.

    Args:
        model: `keras.Model`.

    Returns:
        Context manager; of a model that knows no strategy it does nothing.
    """
    strategy = find_strategy(model)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def count_replicas(model):
    """Return on how many devices, of all machines together, a model has its copies.

    Args:
        model: `keras.Model`.
    """
    strategy = find_strategy(model)
    return 1 if strategy is None else strategy.num_replicas_in_sync


def is_of_workers(strategy):
    """Whether a strategy trains in several processes.

    Args:
        strategy: `tf.distribute.Strategy`, or `None`.
    """
    extended = getattr(strategy, "extended", None)
    return bool(getattr(extended, "_in_multi_worker_mode", bool)())


def check_scope(model):
    """Raise `ValueError` unless a model is trained under the strategy of its weights.

    Args:
        model: `keras.Model`.
    """
    used, own = tf.distribute.get_strategy(), find_strategy(model)
    values = [weight.value for weight in model.weights]
    apart = any(isinstance(x, tf.distribute.DistributedValues) for x in values)
    if own is None and apart:
        raise ValueError(
            "`model` must be made in the scope of the strategy of its weights. "
            f"Received: {type(model).__name__} {model.name!r}, made outside from "
            "layers of one that is inside. Make it inside `with strategy.scope():`."
        )
    if not tf.distribute.has_strategy():
        return
    if used is not own:
        built = "without one" if own is None else f"under another {type(own).__name__}"
        raise ValueError(
            "`model` must be built in the scope of the strategy it is trained under. "
            f"Received: a model built {built}, under {type(used).__name__}. Build and "
            "compile it inside `with strategy.scope():`."
        )


def check_single(model, name):
    """Raise `ValueError` if a model has copies where only one can be trained.

    Args:
        model: `keras.Model`.
        name: What cannot be divided, for the message.
    """
    replicas = count_replicas(model)
    if replicas > 1:
        raise ValueError(
            f"`{name}` must be trained on one device: its batches hold the labels of "
            "two domains one behind the other, and replicas would mix them up. "
            f"Received: a model with {replicas} replicas. Build it without a strategy."
        )


def check_divides(model, name, rows):
    """Raise `ValueError` unless each replica gets as many rows of a batch.

    Args:
        model: `keras.Model`.
        name: Name of the data, for the message.
        rows: Number of rows in a whole batch.
    """
    replicas = count_replicas(model)
    if rows % replicas:
        raise ValueError(
            f"`{name}` must have batches that all replicas share equally. Received: "
            f"batches of {rows} for {replicas} replicas. Batch by a multiple of "
            f"{replicas}, such as {max(rows // replicas, 1) * replicas}."
        )


def check_last(model, name, rows):
    """Raise `ValueError` if a last batch leaves a replica without a row.

    Args:
        model: `keras.Model`.
        name: Name of the data, for the message.
        rows: Number of rows that are left for it, 0 for none.
    """
    replicas = count_replicas(model)
    if 0 < rows < replicas:
        raise ValueError(
            f"`{name}` must leave each replica a row of the last batch. Received: a "
            f"last batch of {rows} for {replicas} replicas. Leave {rows} out, or add "
            f"{replicas - rows}."
        )
