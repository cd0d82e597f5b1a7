"""Passes over a dataset by their number, so that each epoch has an order of its own."""

import threading
import weakref

import numpy as np
import tensorflow as tf

from tftransfer.checkpoints.draws import find_draws, walk
from tftransfer.features.datasets import inspect_dataset

_OPENED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # in this process
_ONE_ORDER = "it shuffles by itself, and with a checkpoint its rows need one order"


class Passes:
    """Passes over a dataset that shuffles, each of which can be asked for again.

    A seeded `tf.data` pipeline draws its next order whenever it is opened, so that the
    order of an epoch depends on how often anybody opened it before. Here an epoch has
    a fixed number among all openings: the draws of those that are missing are made and
    left, which reads nothing.

    Args:
        dataset: `tf.data.Dataset`.
        first: Number of the pass that epoch 0 gets; `None` is the next one behind
            `looks`.
        looks: Openings before training, at most, that change nothing.
        per_epoch: Passes that an epoch may take, of a dataset that repeats in it.

    Attributes:
        first: Number of the pass of epoch 0.

    Example:

    >>> numbers = tf.data.Dataset.range(9).shuffle(9, seed=3)
    >>> passes = Passes(numbers)
    >>> passes.begin(4)
    >>> once = list(passes.dataset().as_numpy_iterator())
    >>> again = Passes(tf.data.Dataset.range(9).shuffle(9, seed=3))
    >>> again.begin(4)
    >>> once == list(again.dataset().as_numpy_iterator())
    True
    """

    def __init__(self, dataset, first=None, *, looks=0, per_epoch=1):
        self._dataset, self._per_epoch = dataset, per_epoch
        self._draws = find_draws(dataset)
        self._epoch: int | None = None  # none yet: the dataset is only looked into
        self._lock = threading.Lock()
        self.first = self._opened + looks if first is None else first

    @property
    def _opened(self):
        return _OPENED.get(self._dataset, 0)

    def dataset(self, repeated=False):
        """Return the passes as a `tf.data.Dataset`, opened when first read.

        Args:
            repeated: Whether pass follows on pass, `per_epoch` of them.
        """
        numbers = tf.data.Dataset.range(self._per_epoch if repeated else 1)
        passes = numbers.map(self._open).flat_map(lambda _: self._dataset)
        cardinality = int(self._dataset.cardinality())
        if repeated or cardinality < 0:
            return passes
        return passes.apply(tf.data.experimental.assert_cardinality(cardinality))

    def begin(self, epoch):
        """Make the next pass that of an epoch, counted from 0.

        Not in the step that opens the dataset: it would open others while all threads
        of `tf.data` may be waiting for it.

        Raises:
            ValueError: If that pass has gone by.
        """
        with self._lock:
            self._epoch = epoch
            self._advance(self._number(epoch))
            self._check(self._number(epoch))

    def rest(self):
        """Let the dataset be looked into again."""
        self._epoch = None

    def settle(self, epochs):
        """Draw all that `epochs` draw, for whoever reads the dataset afterwards."""
        with self._lock:
            self._advance(self._number(epochs))
            self._epoch = None

    def _number(self, epoch):
        return self.first + epoch * self._per_epoch

    def _open(self, number):
        return tf.numpy_function(self._count, [number], tf.int64)

    def _count(self, number):
        with self._lock:
            if self._epoch is not None:
                self._check(self._number(self._epoch) + int(number))
            _OPENED[self._dataset] = self._opened + 1
            return np.int64(number)

    def _check(self, wanted):
        if self._opened != wanted:
            raise ValueError(
                "`train` must be opened by nobody else while it is trained on with a "
                f"checkpoint. Received: {self._opened} openings in this process where "
                f"epoch {self._epoch} takes number {wanted}. Make the dataset anew, "
                "and give callbacks one of their own."
            )

    def _advance(self, wanted):
        while self._opened < wanted:
            for step in self._draws:
                iter(step)
            _OPENED[self._dataset] = self._opened + 1


def number_passes(dataset, firsts=None, looks=0):
    """Return a dataset whose passes have numbers, with what loaders hang on theirs.

    Args:
        dataset: `tf.data.Dataset`; pairs of two domains are paired anew, each domain
            with numbers of its own.
        firsts: `first` of each of its `Passes`, or `None`.
        looks: As of `Passes`.

    Returns:
        `tf.data.Dataset` with `passes`, a list of `Passes`; the given one where it
        gives the same at every opening.
    """
    if find_passes(dataset) or not find_draws(dataset):
        return dataset
    parts, per_epoch = vars(dataset).get("parts"), 1
    if parts is not None:
        steps = [max(1, int(part.cardinality())) for part in parts]
        per_epoch = -(-max(steps) // min(steps))
    given = parts or (dataset,)
    passes = [
        Passes(part, first, looks=looks, per_epoch=per_epoch)
        for part, first in zip(given, firsts or [None] * len(given), strict=True)
    ]
    opened = [each.dataset() for each in passes]
    numbered = opened[0]
    if parts is not None:
        for each, part in zip(passes, opened, strict=True):
            part.repeated = each.dataset(repeated=True)
        numbered = dataset.rebuild(*opened)
    return _pass_on(dataset, numbered, passes)


def _pass_on(dataset, numbered, passes):
    for name, value in vars(dataset).items():
        if not name.startswith("_"):
            setattr(numbered, name, value)
    facts = inspect_dataset(dataset)
    has_order = "unshuffled" in vars(dataset)  # one of our loaders
    numbered.shuffles, numbered.passes = facts.shuffles, passes
    numbered.randomness = facts.randomness or (None if has_order else _ONE_ORDER)
    numbered.augmented = bool(facts.randomness)
    return numbered


def find_passes(dataset):
    """Return the `Passes` that a dataset is made of, a list; empty without any."""
    found = (vars(step).get("passes") for step in walk(dataset))
    return next((passes for passes in found if passes), [])
