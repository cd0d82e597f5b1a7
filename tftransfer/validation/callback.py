"""Label-free scores in the logs of a plain `fit`."""

from collections.abc import Callable

import keras
import numpy as np

from tftransfer.checks import check_choice
from tftransfer.tasks import infer_task
from tftransfer.validation.domain_distances import a_distance, mmd
from tftransfer.validation.model_outputs import Outputs, read_domain, reader_of
from tftransfer.validation.model_validators import (
    circular_validation,
    class_clusters,
    mixval,
)
from tftransfer.validation.validators import (
    HIGHER_IS_BETTER,
    agreement,
    average_thresholded_confidence,
    deep_embedded_validation,
    entropy,
    importance_weighted_validation,
    information_maximization,
    soft_neighborhood_density,
)
from tftransfer.weighting import logistic_ratio

_LEAST = 1e-7  # probability whose logarithm is taken


class LabelFreeScores(keras.callbacks.Callback):
    """Write label-free scores of the target into the logs after each epoch.

    To be looked at, not to choose by: none of them tells reliably whether an adaptation
    helps. They come as `target_<score>` in the logs, the progress bar, the history, and
    for other callbacks that stand behind this one.

    Args:
        source: Labeled source rows that the model does not learn from: `(x, y)` or a
            batched `tf.data.Dataset` of such pairs, `y` whole numbers or one-hot.
        target: Target rows: an array or a batched `tf.data.Dataset`; labels in it are
            dropped.
        scores: Names of `validators.HIGHER_IS_BETTER`, which says which way is better.
            Distances and clusters read the layer `features`, or, where there is none,
            what the last layer takes. `"agreement"` is with the model as it was before
            the first epoch.
        batch_size: Of arrays.
        seed: Of whatever draws at random.

    Raises:
        ValueError: If a score is unknown; in `fit` if the model is no classifier with
            one graph, or labels and rows do not fit.

    Example:

    >>> from tftransfer.validation.callback import LabelFreeScores
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile(loss=loss)
    >>> x, y = np.eye(2).repeat(4, axis=0), np.repeat([0, 1], 4)
    >>> scores = LabelFreeScores((x, y), x + 1, scores=("entropy", "mmd"))
    >>> history = model.fit(x, y, epochs=3, verbose=0, callbacks=[scores])
    >>> [len(history.history[name]) for name in ("target_entropy", "target_mmd")]
    [3, 3]
    """

    def __init__(
        self,
        source,
        target,
        *,
        scores=("entropy", "information_maximization"),
        batch_size=256,
        seed=0,
    ):
        super().__init__()
        for score in scores:
            check_choice("scores", score, HIGHER_IS_BETTER)
        self.scores, self.seed, self.batch_size = tuple(scores), seed, batch_size
        self.source, self.target = source, target
        self._reader, self._task = None, None
        self._before: Outputs | None = None

    def on_train_begin(self, logs=None):
        """Find the layers to read; remember what the model says before it learns."""
        self._reader = reader_of(self.model)
        self._task = infer_task(self.model)
        if self._task.name != "classification":
            raise ValueError(
                "`model` must be a classifier for label-free scores. Received: a model "
                f"whose task is {self._task.name!r}. Leave the callback out."
            )
        if "agreement" in self.scores:
            self._before = self._read(self.target)

    def on_epoch_end(self, epoch, logs=None):
        """Write the scores into `logs`."""
        source = self._read(self.source, labeled=True)
        target = self._read(self.target, with_inputs="mixval" in self.scores)
        found = {name: self._score(name, source, target) for name in self.scores}
        if logs is not None:
            logs.update({f"target_{name}": value for name, value in found.items()})

    def state_dict(self):
        """Return what the model said before it learned, for a checkpoint."""
        before = self._before
        return None if before is None else (before.features, before.probabilities)

    def load_state_dict(self, state):
        """Go on with what `state_dict` returned."""
        if state is not None:
            features, probabilities = state
            self._before = Outputs(features, probabilities, None, None)

    def _read(self, data, labeled=False, with_inputs=False):
        return read_domain(
            self._reader, self._task, data, self.batch_size, labeled, with_inputs
        )

    def _score(self, name, source: Outputs, target: Outputs):
        if name in _OF_PROBABILITIES:
            return _OF_PROBABILITIES[name](target.probabilities)
        if name in _OF_FEATURES:
            return _OF_FEATURES[name](source.features, target.features, seed=self.seed)
        if name in _OF_LOSSES:
            weights = logistic_ratio(
                source.features, target.features, normalize=False, seed=self.seed
            )
            return _OF_LOSSES[name](_losses(source), weights)
        if name == "agreement" and self._before is not None:
            return agreement(target.probabilities, self._before.probabilities)
        if name == "average_thresholded_confidence":
            return average_thresholded_confidence(
                source.probabilities, source.labels, target.probabilities
            )
        if name == "class_clusters":
            return class_clusters(target.features, target.probabilities, seed=self.seed)
        if name == "mixval":
            return mixval(self._probabilities, target.inputs, seed=self.seed)
        return circular_validation(
            source.features, source.labels, target.features, target.probabilities
        )

    def _probabilities(self, rows):
        return self._read(rows).probabilities


_OF_PROBABILITIES: dict[str, Callable] = {
    "entropy": entropy,
    "information_maximization": information_maximization,
    "soft_neighborhood_density": soft_neighborhood_density,
}
_OF_FEATURES: dict[str, Callable] = {"a_distance": a_distance, "mmd": mmd}
_OF_LOSSES: dict[str, Callable] = {
    "deep_embedded_validation": deep_embedded_validation,
    "importance_weighted_validation": importance_weighted_validation,
}


def _losses(source):
    """Cross-entropy of each source row."""
    of_truth = source.probabilities[np.arange(len(source.labels)), source.labels]
    return -np.log(np.maximum(of_truth, _LEAST))
