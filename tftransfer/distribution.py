"""Models on several devices, or on several machines that train together."""

import contextlib
import functools

import keras

_READY = "_is_ready_for_workers"


def scope_of(model):
    """Return a context in which new variables live where those of a model do.

    Whatever compiles a model again or builds another beside it belongs in here: Keras
    refuses an optimizer that was made elsewhere.

    Args:
        model: `keras.Model`.

    Returns:
        Context manager; of a model that knows no strategy it does nothing.
    """
    strategy = _own_strategy(model)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def count_replicas(model):
    """Return on how many devices, of all machines together, a model has its copies."""
    strategy = _own_strategy(model)
    return 1 if strategy is None else strategy.num_replicas_in_sync


def predict_batch(model, inputs):
    """Predict one batch with Keras, each row once.

    `model.predict_on_batch` gives the whole batch to every replica, and all of their
    outputs come back.

    Args:
        model: `keras.Model`.
        inputs: Array or tensor, or a structure of them, with the batch first.

    Returns:
        Array, or structure of arrays, as the model gives it.
    """
    if count_replicas(model) == 1:
        return model.predict_on_batch(inputs)
    rows = len(keras.tree.flatten(inputs)[0])
    return model.predict(inputs, batch_size=rows, verbose=0)


def join_workers(model):
    """Let a model `fit` under `tf.distribute.MultiWorkerMirroredStrategy`.

    Keras 3 builds a model on the mean of a batch over all workers, which fails for
    structures, and reduces the logs of a step along an axis that numbers do not have.
    Both methods of this one model are replaced; under other strategies nothing is.

    Args:
        model: `keras.Model`.

    Returns:
        `model`.
    """
    if not _is_of_workers(_own_strategy(model)) or hasattr(model, _READY):
        return model
    model._maybe_symbolic_build = functools.partial(_build, model)
    for name in ("train_step", "test_step"):
        setattr(model, name, _with_axis(getattr(model, name)))
    setattr(model, _READY, True)
    return model


def _own_strategy(model):
    """Return the strategy in whose scope a model was built, `None` without one."""
    return getattr(model, "_distribute_strategy", None)  # other backends: none


def _is_of_workers(strategy):
    extended = getattr(strategy, "extended", None)
    return bool(getattr(extended, "_in_multi_worker_mode", bool)())


def _build(model, iterator=None, data_batch=None):
    strategy = model.distribute_strategy
    if iterator is not None:
        for _, _, batches in iterator:
            data_batch = keras.tree.map_structure(
                lambda values: strategy.experimental_local_results(values)[0],
                next(batches),
            )
            break
    with strategy.scope():
        model._symbolic_build(data_batch=data_batch)


def _with_axis(step):
    """Give the logs of a step as vectors of one."""

    def step_with_axis(data):
        logs = step(data)
        return keras.tree.map_structure(lambda value: value[None], logs)

    return step_with_axis
