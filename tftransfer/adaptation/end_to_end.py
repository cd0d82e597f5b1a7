"""Candidates that train the backbone itself, as far as a time budget allows."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tftransfer.acceleration.accelerate import accelerate
from tftransfer.adaptation.domain_models import (
    StudentOnFeatures,
    build_copy,
    class_probabilities,
    fit_head,
    head_on_raw_features,
    set_head,
)
from tftransfer.adaptation.rehearsal import rehearse
from tftransfer.alignment.adabn import adapt_batch_norm
from tftransfer.alignment.aligned_model import AlignedModel
from tftransfer.alignment.cdan import CDAN
from tftransfer.alignment.mcc import MCC
from tftransfer.distribution.predicting import predict_batch
from tftransfer.methods.problem import Candidate
from tftransfer.pacing import TIMED, Clock, Pace

STEPS, LEAST_STEPS = 1500, 200  # of training, and without which it is not tried
LEARNING_RATE = 3e-4
_LEAST_AGREEMENT = 0.95  # of two passes over the target, or its order is not fixed
_AFTERWARDS = 0.5  # of the time of the candidates on features, for what follows
_TRACING, _TRAINING = 4.0, 3.0  # times what the forward direction takes
_SOURCE_ROWS = 1000  # on which a trained model's source accuracy is read
_STATISTICS_ROWS = 2048  # of each domain, drawn, that AdaBN is content with


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one candidate is trained.

    Attributes:
        name: Of the candidate.
        alignments: Function without arguments that returns a list of `Alignment`.
    """

    name: str
    alignments: Callable


PLANS = (
    Plan("E.mcc", lambda: [MCC(1.0)]),
    Plan("E.cdan", lambda: [CDAN(1.0, steps=STEPS // 2), MCC(1.0)]),
)


class EndToEnd:
    """Trains copies of a backbone on both domains, and keeps the models.

    Each starts from the control: the backbone as it is, below the control's linear
    layer. `methods` are of the kind that `adapt_features` takes; where time is short
    they return None, and `notes` say so.

    Args:
        backbone: `Backbone`; it stays as it is.
        domains: `DomainBatches`.
        features: What it makes of both domains, float arrays `(n, width)` and
            `(m, width)`.
        labels: Whole numbers `(n,)` of the source.
        clock: `Clock` of the whole budget.
        trainable_depth: How much of the copies learns, see `set_trainable_depth`;
            None for half of the parameters, or all where there are no blocks.
        seed: Whole number >= 0.
        report: Called with a line at each step.

    Attributes:
        models: Dict from the name of a candidate to its compiled `keras.Model`.
        source_accuracy: Dict from the same names to the accuracy on source rows.
        notes: List of str: what was tried, and what was not for lack of time.
        problem: `Problem` that the candidates are for; None before they are asked.
        control: Its `Control`.
    """

    def __init__(
        self,
        backbone,
        domains,
        features,
        labels,
        clock,
        *,
        trainable_depth=None,
        seed=0,
        report=lambda line: None,
    ):
        self.models: dict = {}
        self.source_accuracy: dict = {}
        self.notes: list = []
        self.problem: Any = None
        self.control: Any = None
        self._backbone, self._domains = backbone, domains
        self._features, self._labels = features, labels
        self._classes = np.unique(labels)
        self._clock, self._began, self._reserve = clock, clock.spent, 0.0
        self._depth, self._seed, self._report = trainable_depth, seed, report
        self._rehearsal: Any = None

    @property
    def methods(self):
        """List of functions `(problem, control)` to a `Candidate` or None."""
        trained = [functools.partial(self._train, plan) for plan in PLANS]
        return [self._adapt_statistics, *trained]

    def _adapt_statistics(self, problem, control):
        """Return the control with statistics of each domain's own, by AdaBN."""
        name = "E.adabn"
        if not self._is_ready(name, problem, control):
            return None
        model = self._build()
        if not _has_batch_norm(model):
            return None
        num_rows = 6 * _STATISTICS_ROWS + sum(map(len, self._features))
        if self._is_short(name, 2 * self._rehearsal.seconds(num_rows)):
            return None
        self._report(f"{name}: BatchNormalization with statistics of each domain")
        domains, begun = self._domains, self._clock.spent
        adapt_batch_norm(model, self._some(domains.source_rows))
        body = keras.Model(model.input, model.get_layer("features").output)
        rows = [predict_batch(body, x) for x, _ in domains.source_rows]
        features = np.concatenate(rows)
        kernel, bias = fit_head(features, problem.labels, control.penalty)
        set_head(model, kernel, bias, self._classes)
        adapt_batch_norm(model, self._some(domains.target_rows))
        self.source_accuracy[name] = 1.0  # the control's, by construction
        return self._keep(name, model, begun)

    def _train(self, plan, problem, control):
        """Return what training the backbone on both domains gives."""
        if not self._is_ready(plan.name, problem, control):
            return None
        num_rows, told = sum(map(len, self._features)), self._rehearsal
        storing = num_rows * told.row  # of the frozen part
        step = 2 * _TRAINING * told.batch
        starting = storing + _TRACING * told.starting + TIMED * step
        after = 1.5 * told.seconds(len(self._features[1]) + _SOURCE_ROWS)
        if self._is_short(plan.name, starting + after):
            return None
        self._report(f"{plan.name}: training the backbone")
        begun, model = self._clock.spent, self._build()
        pace = Pace(STEPS, LEAST_STEPS, Clock(self._left - after))
        self._fit(model, plan, pace)
        if not pace.fits:
            least = LEAST_STEPS * (pace.seconds or step)
            self._say_short(plan.name, least)
            return None
        self.source_accuracy[plan.name] = self._score_source(model)
        return self._keep(plan.name, model, begun, f"{pace.done} steps, ")

    def _is_ready(self, name, problem, control):
        """Whether candidates can be trained at all; the first one finds out."""
        if self.problem is None:
            self.problem, self.control = problem, control
            spent = self._clock.spent - self._began
            self._reserve = 1.0 + _AFTERWARDS * spent
            self._rehearse(name)
        return self._rehearsal is not None

    def _rehearse(self, name):
        if self._is_short("end-to-end candidates", 0.0):
            return
        found = rehearse(
            self._build(), self._domains.target_rows, self._clock, self._reserve
        )
        if found.logits is None:
            self._say_short("end-to-end candidates", found.seconds(1))
            return
        calls = found.logits[:, self._classes].argmax(axis=1)
        if len(calls) != len(self.control.labels) or (
            np.mean(calls == self.control.labels) < _LEAST_AGREEMENT
        ):
            self.notes.append(
                "no end-to-end candidates: a second pass over the target gave other "
                "rows, or in another order; pass it unshuffled"
            )
            return
        self._rehearsal = found

    @property
    def _left(self):
        """Seconds that candidates may still take."""
        return self._clock.left - self._reserve

    def _is_short(self, name, seconds):
        is_short = self._left <= seconds
        if is_short:
            self._say_short(name, seconds)
        return is_short

    def _say_short(self, name, seconds):
        self.notes.append(
            f"{name} not tried for lack of time: {max(self._left, 0):.0f} s left of "
            f"{self._clock.budget:g}, more than {seconds:.0f} needed"
        )

    def _build(self):
        """Return a copy of the backbone with the control's head on it."""
        model = build_copy(
            self._backbone,
            num_classes=int(self._labels.max()) + 1,
            trainable_depth=self._depth,
            seed=self._seed,
        )
        source, target = self._features
        kernel, bias = head_on_raw_features(self.problem, self.control, source, target)
        set_head(model, kernel, bias, self._classes)
        return model

    def _some(self, rows):
        mixed, taken = self._domains.mixed(rows), 0
        for batch in mixed:
            yield batch
            taken += len(batch)
            if taken >= _STATISTICS_ROWS:
                return

    def _fit(self, model, plan, pace):
        aligned = AlignedModel(model, plan.alignments())
        aligned.compile(keras.optimizers.Adam(LEARNING_RATE), loss=model.loss)
        accelerate(aligned, engine="tensorflow", verbose=False)
        pairs = self._domains.pairs
        aligned.fit(pairs, epochs=STEPS, shuffle=False, callbacks=[pace], verbose=0)

    def _score_source(self, model):
        right, rows = 0, 0
        for x, y in self._domains.mixed(self._domains.source_rows, labels=True):
            calls = predict_batch(model, x).argmax(axis=1)
            right, rows = right + int(np.sum(calls == y.numpy())), rows + len(calls)
            if rows >= _SOURCE_ROWS:
                break
        return right / rows

    def _keep(self, name, model, begun, steps=""):
        logits = [predict_batch(model, x) for x in self._domains.target_rows]
        probabilities = class_probabilities(np.concatenate(logits), self._classes)
        if not np.isfinite(probabilities).all():
            self.notes.append(f"{name} diverged: left out")
            return None
        seconds = self._clock.spent - begun
        self.notes.append(f"{name}, end to end: {steps}{seconds:.0f} s")
        self.models[name] = model
        student = StudentOnFeatures(self.problem.target, probabilities)
        return Candidate(name, probabilities, student)


def _has_batch_norm(model):
    return any(
        isinstance(layer, keras.layers.BatchNormalization)
        for layer in model._flatten_layers()
    )
