"""All scores of one backbone after another, on the same rows."""

import numpy as np

from tftransfer.features.extract_features import extract_features
from tftransfer.methods.softmax_regression import softmax
from tftransfer.ranking.entrants import source_head
from tftransfer.ranking.h_score import h_score
from tftransfer.ranking.knn import knn
from tftransfer.ranking.leep import leep
from tftransfer.ranking.linear_probe import linear_probe
from tftransfer.ranking.logme import logme
from tftransfer.ranking.nce import nce
from tftransfer.validation.domain_distances import a_distance

_OF_SOURCE = {"nce", "leep"}


class Scoring:
    """Scores backbones on the same rows of the same data.

    Args:
        data: Labeled rows, as `extract_features` takes them.
        target: Rows of another domain, or `None`.
        scores: Names of scores.
        task: `"classification"` or `"regression"`.
        max_rows: Most rows of either domain that anything is computed on.
        seed: Of the rows drawn and of folds.
        extracting: Dict of further arguments of `extract_features`.

    Attributes:
        num_rows: Rows that the last scores were computed on.
    """

    def __init__(self, data, target, scores, task, *, max_rows, seed, extracting):
        self._data, self._target = data, target
        self._scores, self._task = scores, task
        self._max_rows, self._seed = max_rows, seed
        self._extracting = extracting
        self.num_rows = 0

    def score(self, backbone):
        """Return a dict of the scores of a `Backbone`; `None` where none applies."""
        stored = extract_features(backbone.model, self._data, **self._extracting)
        labels = np.asarray(stored.labels)
        drawn = draw_rows(labels, self._max_rows, self._seed)
        rows, labels = np.asarray(stored.features)[drawn], labels[drawn]
        self.num_rows = len(rows)
        found: dict = dict.fromkeys(self._scores)
        varies = (rows != rows[0]).any()  # a score would refuse the whole ranking
        for name in self._scores:
            if varies and name not in _OF_SOURCE:
                found[name] = self._score_features(name, rows, labels)
        if self._task == "classification" and not _OF_SOURCE.isdisjoint(self._scores):
            found |= self._score_source(source_head(backbone), rows, labels)
        if self._target is not None:
            found["a_distance"] = self._measure_distance(backbone.model, rows)
        return found

    def _score_features(self, name, rows, labels):
        if name == "h_score":
            return h_score(rows, labels) if self._task == "classification" else None
        if name == "linear_probe":
            return linear_probe(rows, labels, task=self._task, seed=self._seed)
        return {"logme": logme, "knn": knn}[name](rows, labels, task=self._task)

    def _score_source(self, head, rows, labels):
        if head is None:
            return {}
        kernel, bias = head
        given = softmax(rows.astype("float64") @ kernel + bias)
        found = {"nce": nce(given.argmax(axis=1), labels), "leep": leep(given, labels)}
        return {name: found[name] for name in found if name in self._scores}

    def _measure_distance(self, model, rows):
        stored = extract_features(model, self._target, **self._extracting)
        others = np.asarray(stored.features)
        drawn = draw_rows(np.zeros(len(others)), self._max_rows, self._seed)
        return a_distance(rows, others[drawn], seed=self._seed)


def draw_rows(labels, most, seed):
    """Choose rows evenly over the classes' rows, or over the values.

    Args:
        labels: Array `(n,)`, or `(n, values)`, of which the first counts.
        most: Rows wanted.
        seed: Of the order among rows of equal labels.

    Returns:
        Whole numbers, ascending: all rows where there are no more than `most`.

    Example:

    >>> from tftransfer.ranking.scoring import draw_rows
    >>> labels = np.array([0] * 60 + [1] * 30)
    >>> np.bincount(labels[draw_rows(labels, 9, seed=0)]).tolist()
    [6, 3]
    """
    count = len(labels)
    if count <= most:
        return np.arange(count)
    first = np.reshape(labels, (count, -1))[:, 0]
    order = np.lexsort((np.random.default_rng(seed).random(count), first))
    middles = (np.arange(most) + 0.5) * count / most
    return np.sort(order[middles.astype(int)])
