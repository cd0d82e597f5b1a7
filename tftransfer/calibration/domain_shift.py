"""A score for every row: how far it lies from the data a model was trained on."""

import dataclasses
import hashlib

import keras
import numpy as np

from tftransfer.calibration.energy import Energy
from tftransfer.calibration.mahalanobis import fit_mahalanobis
from tftransfer.checks import check_choice
from tftransfer.evaluation.metrics import roc_auc
from tftransfer.features.extract_features import extract_at
from tftransfer.freezing.feature_cut import feature_cut
from tftransfer.freezing.graph import graph_of
from tftransfer.freezing.parts import Cut, output_cut
from tftransfer.tasks import infer_task

METHODS = ("energy", "mahalanobis")
KEPT = 0.95  # share of known rows that lie below the threshold


@dataclasses.dataclass(frozen=True)
class ShiftFigures:
    """How well a score tells strange rows from known ones.

    Attributes:
        threshold: Score that 95 % of the known rows do not exceed.
        num_inside: Number of known rows.
        num_outside: Number of strange rows, 0 where none were given.
        roc_auc: Chance that a strange row scores higher than a known one, or `None`.
        found: Share of the strange rows above the threshold, or `None`.
    """

    threshold: float
    num_inside: int
    num_outside: int = 0
    roc_auc: float | None = None
    found: float | None = None

    def __str__(self):
        told = [f"threshold {self.threshold:.4g} of {self.num_inside:,} known rows"]
        if self.roc_auc is not None:
            told.append(
                f"ROC AUC {self.roc_auc:.3f}, {self.found:.1%} found, of "
                f"{self.num_outside:,} strange rows"
            )
        return "; ".join(told)

    def to_dict(self):
        """Return the figures as plain Python values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, eq=False)
class DomainShift:
    """A score of strangeness, made by `fit_domain_shift`; higher is stranger.

    Attributes:
        method: `"mahalanobis"` or `"energy"`.
        cut: `Cut` of the model whose tensor `layer` takes: features or logits.
        layer: `keras.layers.Layer` from `(batch, width)` to `(batch,)`, of stock
            operations, so that it can go into an export.
        engine: What computes features: see `extract_features`.
        figures: `ShiftFigures` that `fit_domain_shift` measured, or `None`.
        digest: SHA-256 of the weights that features are computed with.
    """

    method: str
    cut: Cut
    layer: keras.layers.Layer
    engine: str = "tensorflow"
    figures: ShiftFigures | None = None
    digest: str = ""

    def __str__(self):
        told = f"score of strange rows by {self.method}, of {self.cut.name!r}"
        return told if self.figures is None else f"{told}; {self.figures}"

    def __call__(self, inputs):
        """Score a batch within a graph.

        Args:
            inputs: What the model takes, such as images `(batch, height, width, 3)`.

        Returns:
            Tensor `(batch,)`, float32.
        """
        return self.layer(self.cut.run_below(inputs, training=False))

    def score(self, data, *, batch_size=32, verbose=0):
        """Score every row of data.

        Args:
            data: Batched dataset or array, with or without labels: see
                `extract_features`.
            batch_size: Rows in a batch, where arrays are given.
            verbose: `0` for silence.

        Returns:
            Float array `(n,)`.
        """
        rows = _extract(self.cut, data, self.engine, batch_size, verbose).features
        parts = [
            keras.ops.convert_to_numpy(
                self.layer(np.asarray(rows[start : start + 4096]))
            )
            for start in range(0, len(rows), 4096)
        ]
        return np.concatenate(parts)

    def measure(self, inside, outside=None, *, batch_size=32, verbose=0):
        """Tell how well the score separates known rows from strange ones.

        Args:
            inside: Data of the known kind, not trained on: rows of training lie nearer
                than new ones do.
            outside: Data of a strange kind, or `None` for the threshold alone. What is
                found here says nothing of strange data of other kinds.
            batch_size: See `score`.
            verbose: See `score`.

        Returns:
            `ShiftFigures`.
        """
        known = self.score(inside, batch_size=batch_size, verbose=verbose)
        threshold = float(np.quantile(known, KEPT, method="inverted_cdf"))
        if outside is None:
            return ShiftFigures(threshold, len(known))
        strange = self.score(outside, batch_size=batch_size, verbose=verbose)
        is_strange = np.repeat([0, 1], [len(known), len(strange)])
        return ShiftFigures(
            threshold,
            len(known),
            len(strange),
            roc_auc(is_strange, np.concatenate([known, strange])),
            float((strange > threshold).mean()),
        )


def fit_domain_shift(
    model,
    data=None,
    *,
    inside=None,
    outside=None,
    method="mahalanobis",
    task=None,
    engine="tensorflow",
    batch_size=32,
    verbose=0,
):
    """Make a score that tells rows unlike those a model was trained on.

    `"mahalanobis"` measures the distance of a row's features to the nearest class,
    `"energy"` how little the row excites any class. Which of them finds what is strange
    to you depends on the data: measure both on some of it.

    Args:
        model: Functional or Sequential `keras.Model`, or a wrapper that has one as
            `.model`. Nested backbones are entered. Features are those of
            `freezing.feature_cut`.
        data: Labeled rows that the model was trained on, as `extract_features` takes
            them; for several labels and values labels are not read: there is one mean
            for all rows. `"energy"` needs none.
        inside: Data of the known kind, not trained on, to set a threshold by: see
            `DomainShift.measure`, whose figures `figures` keeps.
        outside: With `inside`, data of a strange kind, to tell how well they are found.
        method: One of `METHODS`.
        task: One of `tasks.TASKS` where the model's loss does not tell.
        engine: What computes features: see `extract_features`.
        batch_size: Rows in a batch, where arrays are given.
        verbose: `0` for silence.

    Returns:
        A `DomainShift`.

    Raises:
        ValueError: If the model has no features, the data are missing or without
            labels, energy is asked of a model that gives no logits for several
            classes or labels, or `outside` is given without `inside`.
        EngineError: If the engine cannot run the model.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Identity(),
    ...     keras.layers.Dense(2, name="logits")])
    >>> rows = np.array([[0.0, 1.0], [0.0, -1.0], [9.0, 1.0], [9.0, -1.0]], "float32")
    >>> data = rows, np.array([0, 0, 1, 1])
    >>> shift = fit_domain_shift(model, data, task="classification")
    >>> near, far = shift.score(np.array([[0.0, 0.0], [4.5, 0.0]], "float32"))
    >>> bool(far > near)
    True

    Reference:
        [Lee et al., 2018](https://arxiv.org/abs/1807.03888), section 2.1;
        [Liu et al., 2020](https://arxiv.org/abs/2010.03759), section 3.
    """
    check_choice("method", method, METHODS)
    if outside is not None and inside is None:
        raise ValueError(
            "`inside` must be given with `outside`: known rows set the threshold. "
            "Received: inside=None. Pass rows like those trained on, but not those."
        )
    num_outputs = graph_of(model).outputs[0].shape[-1]
    kind = infer_task(model, task, num_outputs=num_outputs)
    if method == "energy":
        cut, layer = _logits_cut(model, kind), _energy(kind)
    else:
        cut = feature_cut(model)
        layer = _fit_distance(cut, data, kind, engine, batch_size, verbose)
    shift = DomainShift(method, cut, layer, engine, digest=digest_weights(cut))
    if inside is None:
        return shift
    rest = {"batch_size": batch_size, "verbose": verbose}
    return dataclasses.replace(shift, figures=shift.measure(inside, outside, **rest))


def digest_weights(cut):
    """Return the SHA-256 of the weights below a `Cut`, in the order they are run."""
    digest = hashlib.sha256()
    for call in cut.calls_below:
        for weight in getattr(call.operation, "weights", ()):
            digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _fit_distance(cut, data, kind, engine, batch_size, verbose):
    if data is None:
        raise ValueError(
            "`data` must be rows that the model was trained on. Received: data=None. "
            'Pass the training data, or method="energy", which needs none.'
        )
    found = _extract(cut, data, engine, batch_size, verbose)
    labels = _class_numbers(found.labels, kind)
    return fit_mahalanobis(np.asarray(found.features), labels)


def _extract(cut, data, engine, batch_size, verbose):
    return extract_at(
        cut,
        data,
        engine=engine,
        dtype="float32",
        directory=None,
        batch_size=batch_size,
        verbose=verbose,
    )


def _class_numbers(labels, kind):
    if kind.name != "classification":
        return None
    if labels is None:
        raise ValueError(
            "`data` must have labels: the distance is that to the nearest class. "
            "Received: data without labels. Pass (inputs, labels)."
        )
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return labels.argmax(axis=1)
    return labels.reshape(-1)


def _logits_cut(model, kind):
    several = kind.num_outputs > 1 and kind.name != "regression"
    if not several or not kind.from_logits:
        raise ValueError(
            '`method="energy"` must stand on logits of several classes or labels. '
            f"Received: a model with task={kind.name!r}, {kind.num_outputs} outputs, "
            f'from_logits={kind.from_logits}. Use method="mahalanobis".'
        )
    cut = output_cut(model)
    if cut is None:
        raise ValueError(
            "`model` must be functional, without a call of its own. Received: "
            f"{model.name!r} of class {type(model).__name__}. Apply "
            "calibration.energy.Energy to its logits yourself."
        )
    return cut


def _energy(kind):
    return Energy(multi_label=kind.name == "multi_label")
