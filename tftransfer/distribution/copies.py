"""What the copies of a model hold, each of them, and what all workers agree on."""

import numpy as np
import tensorflow as tf

from tftransfer.distribution.replicas import spread
from tftransfer.distribution.scope import find_strategy, is_of_workers


class Copies:
    """The copies of a model on all devices of all machines.

    Weights and slots of the optimizer are equal in all of them. Metrics and the
    statistics of BatchNormalization are not: each replica counts what it sees. Metrics
    are summed when they are read; of statistics Keras takes the first replica's.

    Reading and writing them, and asking, is done by all workers at the same time: they
    wait for each other.

    Args:
        model: `keras.Model`.

    Attributes:
        number: Number of copies.
        of_workers: Whether there are several processes.
        is_chief: Whether this process is the one that writes files.
    """

    def __init__(self, model):
        self._strategy = strategy = find_strategy(model)
        self.number = 1 if strategy is None else strategy.num_replicas_in_sync
        self.of_workers = is_of_workers(strategy)
        self._statistics = {
            id(variable)
            for layer in (model._flatten_layers() if self.number > 1 else ())
            for variable in layer._non_trainable_variables
        }
        self.is_chief = not self.of_workers or strategy.extended.should_checkpoint

    def read(self, variables):
        """Return the values of variables as arrays.

        Args:
            variables: List of `keras.Variable`.

        Returns:
            List of arrays; of what is not equal in all copies, all values on a new
            first axis.
        """
        if self._strategy is None:
            return [np.array(variable) for variable in variables]
        apart = [x for x in variables if self._is_apart(x)]
        values = {}
        if apart:
            local = self._strategy.run(lambda: [_read_own(x) for x in apart])
            for variable, value in zip(apart, local, strict=True):
                values[id(variable)] = self._strategy.gather(value, axis=0)
        return [np.array(values.get(id(x), self._local(x))) for x in variables]

    def write(self, pairs):
        """Set variables to what `read` returned.

        Args:
            pairs: List of pairs of a `keras.Variable` and its array.
        """
        apart = [(x, value) for x, value in pairs if self._is_apart(x)]
        for variable, value in pairs:
            if not self._is_apart(variable):
                variable.assign(value)
        if apart:
            self._strategy.run(lambda: _write_own(apart))

    def shape_of(self, variable):
        """Return the shape of a variable's value as `read` returns it.

        Args:
            variable: `keras.Variable`.
        """
        shape = tuple(variable.shape)
        return (self.number, *shape) if self._is_apart(variable) else shape

    def ask_all(self, number):
        """Return a whole number of each copy, or of this process alone.

        Args:
            number: Number of this process, 0 to 2**62 or below 0.

        Returns:
            List of int, the chief's first.
        """
        if not self.of_workers:
            return [int(number)]
        told = self._strategy.run(lambda: tf.constant([number], tf.int64))
        return self._strategy.gather(told, axis=0).numpy().tolist()

    def try_all(self, function):
        """Call a function on all workers; where one fails all do.

        None goes on before all have called it.

        Args:
            function: Function without arguments.

        Returns:
            What it returns.

        Raises:
            OSError: If it does.
            ValueError: If it does, or fails on another worker.
        """
        made, failure = None, None
        try:
            made = function()
        except (OSError, ValueError) as error:
            failure = error
        failed = self.ask_all(failure is not None)
        if failure is not None:
            raise failure
        if any(failed):
            raise ValueError(
                "`checkpoint` must be a folder that all workers can use. Received: "
                f"failures, 1 for yes: {failed}. The output of that worker says why."
            )
        return made

    def spread(self, dataset):
        """Return a dataset whose batches are shared among all copies.

        Args:
            dataset: Batched `tf.data.Dataset`.
        """
        return dataset if self._strategy is None else spread(self._strategy, dataset)

    def _is_apart(self, variable):
        if self.number == 1:
            return False
        kind = getattr(variable.value, "synchronization", None)
        joined = kind == tf.VariableSynchronization.ON_READ
        return joined or id(variable) in self._statistics

    def _local(self, variable):
        return self._strategy.experimental_local_results(variable.value)[0]


def _read_own(variable):
    return tf.identity(variable.value)[None]


def _write_own(pairs):
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    for variable, values in pairs:
        variable.value.assign(tf.gather(values, replica))


def share_seed(model, seed):
    """Return the seed of a training that all workers use.

    Args:
        model: `keras.Model`.
        seed: Given seed, or `None`, which is drawn by the chief of several workers.
    """
    copies = Copies(model)
    if not copies.of_workers:
        return seed
    drawn = np.random.randint(2**31) if seed is None else seed
    return copies.ask_all(drawn)[0]
