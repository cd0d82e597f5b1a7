"""What to try next, and with how much of the time."""

import dataclasses

import keras
import numpy as np

from tftransfer.automatic.frozen import Frozen, try_frozen
from tftransfer.automatic.result import AutoTransfer, Trial
from tftransfer.automatic.tuned import try_tuned
from tftransfer.backbones.catalog import load_backbone
from tftransfer.ensembles import average_models
from tftransfer.models import build_transfer_model
from tftransfer.ranking.entrants import load_entrant
from tftransfer.ranking.speed import rows_per_second
from tftransfer.tasks import compile_for

_LOOKING = 0.4  # share of the budget in which frozen networks are looked at
_FIRST = 0.3  # share that the first of them may take; else it sees fewer rows
_AT_END = 0.03  # share kept for what comes after training
_WORTH = 0.6  # of the time of the first fine-tuning, to begin a second
_LARGER = 1.4  # most, in each side, of images for the second


class Search:
    """What was tried so far within a budget.

    Args:
        problem: `Problem`.
        clock: `Clock`.
        extracting: Dict of further arguments of `extract_features`.
        verbose: Whether to print a line for each trial.
    """

    def __init__(self, problem, clock, extracting, verbose):
        self._problem, self._clock = problem, clock
        self._extracting, self._verbose = extracting, verbose
        self._notes: list = []
        self._frozen: list = []
        self._trials: list = []
        self._models: dict = {}  # name of a trial -> its model, or several

    def look_at(self, entrants):
        """Try a linear head on each backbone, while there is time."""
        budget = self._clock.budget
        for name, handle in entrants.items():
            backbone = load_entrant(name, handle)
            batch = next(iter(self._problem.plain))[0]
            rate = rows_per_second(backbone.model, batch, rounds=1)
            needed = self._problem.num_rows / rate
            if self._frozen and self._clock.spent + needed > _LOOKING * budget:
                self._notes.append(f"{name} was left out: no time to look at it.")
                continue
            if not self._frozen and needed > _FIRST * budget:
                self._learn_from_fewer(rate)
            found = try_frozen(
                *(handle, name, backbone, rate),
                *(self._problem, self._clock, self._extracting),
            )
            self._frozen.append(found)
            self._keep(found.trial, found.model)

    def _learn_from_fewer(self, rate):
        before = len(self._problem.kept)
        self._problem.limit(max(int(rate * _FIRST * self._clock.budget), 32))
        kept = len(self._problem.kept)
        self._notes.append(
            f"{kept:,} of {before:,} rows were learned from: the network runs "
            f"{rate:.0f} rows a second here. Give it more time."
        )

    def fine_tune(self):
        """Fine-tune the best, then another one, and average both."""
        best = max(self._frozen, key=lambda each: each.trial.score)
        if best.trial.score == 1:
            self._notes.append("Nothing is left to gain on the validation rows.")
            return
        begun = self._clock.spent
        first = self._tune(best, self._problem.seed)
        took = self._clock.spent - begun
        if first is None or self._left(best) < _WORTH * took:
            return
        second = self._tune(self._another(best), self._problem.seed + 1)
        if second is None:
            return
        predicted = (first.predicted + second.predicted) / 2
        score = self._problem.score(predicted)
        used = tuple(dict.fromkeys([*first.backbones, *second.backbones]))
        mean = Trial("mean of both tuned", score, self._clock.spent, predicted, used)
        self._keep(mean, [self._models[first.name], self._models[second.name]])

    def finish(self):
        """Return the best of all, an `AutoTransfer`."""
        best = max(self._trials, key=lambda trial: trial.score)  # the first of equals
        model = self._models[best.name]
        if isinstance(model, list):
            model = average_models(model)
        return AutoTransfer(
            model=model,
            trials=self._trials,
            best=best,
            why=self._explain(best),
            metric=self._problem.metric,
            num_rows=len(self._problem.aside),
            budget=self._clock.budget,
            seconds=self._clock.spent,
            notes=self._notes,
        )

    def _explain(self, best):
        others = [trial for trial in self._trials if trial is not best]
        told = f"{best.name}: {self._problem.metric} {best.score:.4f}"
        if not others:
            return f"{told}, all there was time for."
        runner_up = max(others, key=lambda trial: trial.score)
        ahead = best.score - runner_up.score
        if ahead == 0:
            return f"{told}, as good as {runner_up.name}, which took longer."
        return f"{told}, {ahead:.4f} above {runner_up.name}, the best of the others."

    def _tune(self, frozen, seed):
        # A copy: the frozen one can still be the best.
        own = dataclasses.replace(frozen, model=self._copy(frozen.model))
        trial = try_tuned(own, self._problem, self._clock, self._left(own), seed)
        if trial is None:
            self._notes.append(f"{frozen.name} was not fine-tuned: no time for it.")
        else:
            self._keep(trial, own.model)
        return trial

    def _copy(self, model):
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        return compile_for(copy, self._problem.task, keras.optimizers.Adam())

    def _another(self, best):
        """Return what to fine-tune second: on larger images, or another network."""
        size, own = self._problem.image_size, best.image_size
        if isinstance(best.handle, str) and size and own and min(size) > 1.1 * max(own):
            return self._enlarge(best, own)
        others = [each for each in self._frozen if each is not best]
        again = dataclasses.replace(best, name=f"{best.name}, another seed")
        return max(others, key=lambda each: each.trial.score, default=again)

    def _enlarge(self, best, own):
        size = tuple(
            min(side, int(_LARGER * old))
            for side, old in zip(self._problem.image_size, own, strict=True)
        )
        task = self._problem.task
        model = build_transfer_model(
            load_backbone(best.handle, image_size=size),
            num_classes=task.num_outputs,
            task=task.name,
        )
        model.set_weights(best.model.get_weights())
        rate = best.rate * np.prod(own) / np.prod(size)
        name = f"{best.name} at {size[0]}x{size[1]}"
        return Frozen(best.handle, name, model, best.trial, rate, size)

    def _left(self, frozen):
        """Seconds for training, when what comes after it is taken off."""
        after = len(self._problem.aside) / frozen.rate
        return self._clock.left - 1.5 * after - _AT_END * self._clock.budget

    def _keep(self, trial, model):
        self._trials.append(trial)
        self._models[trial.name] = model
        if self._verbose:
            print(
                f"{trial.seconds / 60:5.1f} minutes  {self._problem.metric} "
                f"{trial.score:.4f}  {trial.name}",
                flush=True,
            )
