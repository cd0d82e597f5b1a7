"""Run a model, and leave it and every random generator as they were."""

import contextlib
import random

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state  # public nowhere
from tensorflow.python.eager import context  # where eager seeds are drawn


@contextlib.contextmanager
def left_untouched(model):
    """Give back variables, losses and random states as they were on entering.

    The variables are all of the model's: weights, statistics of BatchNormalization and
    the seeds of dropout. What a shuffled dataset keeps for itself is not among it.

    Args:
        model: `keras.Model`.
    """
    values = [(x, keras.ops.convert_to_numpy(x)) for x in _variables_of(model)]
    python, numpy = random.getstate(), np.random.get_state()
    eager = _eager_generator()
    drawn = eager and eager.getstate()
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)
        random.setstate(python)
        np.random.set_state(numpy)
        if eager is not None:
            eager.setstate(drawn)
        model._clear_losses()


def _variables_of(model):
    found = {id(variable): variable for variable in model.variables}
    shared = global_state.get_global_attribute("global_seed_generator")
    if shared is not None:
        found[id(shared.state)] = shared.state
    generator = _stateful_generator()
    if generator is not None:
        found[id(generator.state)] = generator.state
    return list(found.values())


def _stateful_generator():
    # `tf.random.get_global_generator` would make one, which is a change too.
    from tensorflow.python.ops import stateful_random_ops

    return getattr(stateful_random_ops, "global_generator", None)


def _eager_generator():
    return getattr(context.context(), "_rng", None) if tf.executing_eagerly() else None
