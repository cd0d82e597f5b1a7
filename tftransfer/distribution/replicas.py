"""`fit` of a model with several copies, where Keras 3 fails or reads too much."""

import functools

import keras
import tensorflow as tf

from tftransfer.distribution.scope import find_strategy, is_of_workers

_READY = "_is_ready_for_replicas"


def prepare_replicas(model):
    """Let a model `fit` under the strategy in whose scope it was built.

    Before `fit` Keras 3 takes a batch of the data, to build the model: an opening
    that changes the order of shuffled data, and on several machines it fails, as the
    mean of structures. Here the shapes are read instead. On several machines Keras
    also reduces the logs of a step along an axis that numbers do not have, and
    TensorFlow gives each whole files of a dataset, where here each gets its part of
    every batch. The methods of this one model are replaced; without a strategy none is.

    Args:
        model: `keras.Model`.

    Returns:
        `model`.
    """
    strategy = find_strategy(model)
    if strategy is None or hasattr(model, _READY):
        return model
    model._maybe_symbolic_build = functools.partial(_build, model)
    if is_of_workers(strategy):
        for name in ("train_step", "test_step"):
            setattr(model, name, _with_axis(getattr(model, name)))
    setattr(model, _READY, True)
    return model


def spread(strategy, dataset):
    """Return a dataset whose batches are shared among all replicas of a strategy.

    Args:
        strategy: `tf.distribute.Strategy`.
        dataset: Batched `tf.data.Dataset`; all workers read the same.
    """
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy
    options.experimental_distribute.auto_shard_policy = policy.DATA
    dataset = dataset.with_options(options)
    return strategy.experimental_distribute_dataset(dataset)


def _build(model, iterator=None, data_batch=None):
    strategy = find_strategy(model)
    if iterator is not None:
        if is_of_workers(strategy):
            dataset = iterator.data_adapter.get_tf_dataset()
            iterator._distributed_dataset = spread(strategy, dataset)
        specs = iterator._distributed_dataset.element_spec
        data_batch = keras.tree.map_structure(_spec_of_one, specs)
        if any(x.shape.rank is None for x in keras.tree.flatten(data_batch)):
            type(model)._maybe_symbolic_build(model, iterator=iterator)
            return
    with strategy.scope():
        model._symbolic_build(data_batch=data_batch)


def _spec_of_one(spec):
    """Return what one replica gets, of a spec for all of this process."""
    return getattr(spec, "_value_specs", (spec,))[0]


def _with_axis(step):
    """Give the logs of a step as vectors of one."""

    def step_with_axis(data):
        logs = step(data)
        return keras.tree.map_structure(lambda x: keras.ops.expand_dims(x, 0), logs)

    return step_with_axis
