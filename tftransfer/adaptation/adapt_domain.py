"""Adapt a backbone with a new head to a domain without labels, if that helps."""

import dataclasses

import keras
import numpy as np

from tftransfer.adaptation.adapt_features import adapt_features
from tftransfer.adaptation.linear_student import fit_linear_student
from tftransfer.adaptation.result import AdaptationResult
from tftransfer.backbones.catalog import load_backbone
from tftransfer.data.unlabeled import UnlabeledDomain
from tftransfer.features.extract_features import extract_features
from tftransfer.models import build_transfer_model


@dataclasses.dataclass(frozen=True)
class DomainAdaptation:
    """Whether to adapt, and a Keras model that does what was decided.

    Attributes:
        model: Compiled `keras.Model`, raw input to logits, its backbone frozen: train,
            evaluate and export it like any other.
        features: `AdaptationResult` on the backbone's features: candidates, table,
            figure.
        agreement: Share of the target rows that `model` calls as the candidates chosen
            do together; 1 where the choice is linear itself.
    """

    model: keras.Model
    features: AdaptationResult
    agreement: float

    @property
    def verdict(self):
        """`"adapted"`, `"adapted in part"` or `"kept source-only"`."""
        return self.features.verdict

    @property
    def reasons(self):
        """List of str, in plain words and with the figures."""
        return self.features.reasons

    @property
    def table(self):
        """`CandidateTable`: every candidate with every score."""
        return self.features.table

    @property
    def estimated_accuracy(self):
        """Dict with `Estimate` for `"control"` and `"chosen"`."""
        return self.features.estimated_accuracy

    def evaluate(self, labels):
        """Return accuracies of all candidates, for those who have the labels.

        An oracle: see `AdaptationResult.evaluate`.
        """
        return self.features.evaluate(labels)

    def __str__(self):
        return f"{self.features}\nmodel agrees on {self.agreement:.1%} of the target"


def adapt_domain(
    backbone, source, target, *, methods="auto", engine="auto", seed=0, verbose="auto"
):
    """Adapt to images or texts without labels where that helps, else stay put.

    The backbone stays frozen. Its features of both domains are computed once, in the
    fastest engine, and stored; `adapt_features` decides on them, without a single
    target label. What it chose becomes the head of an ordinary Keras model: read off
    exactly where it is linear, else distilled into a linear layer on the target rows,
    and `agreement` tells what that costs.

    Args:
        backbone: What `load_backbone` takes or returns.
        source: Batched `tf.data.Dataset` of `(inputs, labels)`, or a tuple of arrays;
            labels are whole numbers from 0.
        target: The same without labels; labels that come along are dropped unread, with
            a line.
        methods: As of `adapt_features`.
        engine: As of `extract_features`.
        seed: Whole number >= 0.
        verbose: 0 for silence, 1 or `"auto"` for progress and the verdict.

    Returns:
        `DomainAdaptation`.

    Raises:
        ValueError: If the source has no labels, or as `adapt_features`.
        TypeError: If an argument has the wrong type.

    Example:

    >>> body = keras.Sequential(
    ...     [keras.Input((3,)), keras.layers.Activation("linear", name="features")]
    ... )
    >>> draw = np.random.default_rng(0).normal
    >>> labels = np.arange(120) % 2
    >>> source = (draw(size=(120, 3)) + 4.0 * labels[:, None]).astype("float32")
    >>> found = tft.adapt_domain(body, (source, labels), source + 1.5, verbose=0)
    >>> found.model.predict(source[:2] + 1.5, verbose=0).argmax(axis=1).tolist()
    [0, 1]
    """
    target = UnlabeledDomain(target)
    backbone = load_backbone(backbone)
    options = {"engine": engine, "verbose": verbose}
    rows, labels = extract_features(backbone, source, **options)
    labels = _read_labels(labels)
    own = np.asarray(extract_features(backbone, target.data, **options).features)
    result = adapt_features(
        np.asarray(rows), labels, own, methods=methods, seed=seed, verbose=verbose
    )
    num_classes = int(labels.max()) + 1
    model = build_transfer_model(backbone, num_classes=num_classes, seed=seed)
    kernel, bias, agreement = fit_linear_student(
        result.model.predict_proba, own, result.predict_proba()
    )
    _set_head(model, kernel, bias, result.classes.astype(int), num_classes)
    return DomainAdaptation(model, result, agreement)


def _read_labels(labels):
    if labels is None:
        raise ValueError(
            "`source` must give (inputs, labels). Received: inputs alone. Pass the "
            "domain that has labels first."
        )
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            "`source` must have labels that are whole numbers from 0, shape (rows,). "
            f"Received: labels of shape {labels.shape} and dtype {labels.dtype}. Of "
            "one-hot rows take argmax."
        )
    return labels


def _set_head(model, kernel, bias, classes, num_classes):
    """Put the layer into the head; classes that the source lacks are never called."""
    least = bias.min() - 1e3
    whole = np.zeros((len(kernel), num_classes)), np.full(num_classes, least)
    whole[0][:, classes], whole[1][classes] = kernel, bias
    model.layers[-1].set_weights([part.astype("float32") for part in whole])
