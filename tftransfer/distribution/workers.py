"""`fit` on several machines, which Keras 3 leaves broken."""

import functools

import keras

from tftransfer.distribution.scope import find_strategy, is_of_workers

_READY = "_is_ready_for_workers"


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
    if not is_of_workers(find_strategy(model)) or hasattr(model, _READY):
        return model
    model._maybe_symbolic_build = functools.partial(_build, model)
    for name in ("train_step", "test_step"):
        setattr(model, name, _with_axis(getattr(model, name)))
    setattr(model, _READY, True)
    return model


def _build(model, iterator=None, data_batch=None):
    strategy = find_strategy(model)
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
