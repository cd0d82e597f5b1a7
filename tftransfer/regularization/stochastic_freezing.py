"""Stochastic freezing: each step trains another part of the backbone."""

import keras
import numpy as np

from tftransfer.checks import check_number
from tftransfer.regularization.learning_blocks import (
    learning_blocks,
    read_values,
    sync_state,
)


class StochasticFreezing(keras.callbacks.Callback):
    """Freeze each block of the backbone at random, anew in every step.

    With this probability a block keeps its weights through a step, whatever the
    optimizer (momentum and weight decay do not move it either; what the optimizer
    gathers of its gradients goes on). So the backbone as a whole moves more slowly and
    its blocks rely less on one another. The head learns in every step. It costs a copy
    of the weights and saves no time: for that see `FreezeThreshold`.

    Args:
        probability: Of a block to be frozen in a step, in 0..1.
        seed: Seed of the draws, or `None`.

    Raises:
        ValueError: If `probability` is out of range, or in `fit` if the model has no
            graph.
        TypeError: If `probability` is no number.

    Example:

    >>> tft.StochasticFreezing(0.5, seed=0).probability
    0.5

    Reference:
        The task-free mask of [Xu et al., 2021](https://arxiv.org/abs/2109.05687), drawn
        for whole blocks and without scaling up the rest.
    """

    def __init__(self, probability=0.5, seed=None):
        super().__init__()
        check_number("probability", probability, 0.0, 1.0)
        self.probability = probability
        self._draws = np.random.default_rng(seed)
        self._blocks: dict = {}
        self._kept: list = []

    def on_train_begin(self, logs=None):
        """Find the blocks that learn."""
        self._blocks = {
            name: variables
            for name, (_, variables) in learning_blocks(self.model).items()
        }

    def on_train_batch_begin(self, batch, logs=None):
        """Draw the blocks of this step and remember their weights."""
        if not self._blocks:
            return
        frozen = self._draws.random(len(self._blocks)) < self.probability
        groups = zip(self._blocks.values(), frozen, strict=True)
        kept = [x for variables, is_frozen in groups if is_frozen for x in variables]
        sync_state(self.model)
        self._kept = list(zip(kept, read_values(kept), strict=True))

    def on_train_batch_end(self, batch, logs=None):
        """Put the remembered weights back."""
        sync_state(self.model)
        for variable, value in self._kept:
            variable.assign(value)
        self._kept = []
