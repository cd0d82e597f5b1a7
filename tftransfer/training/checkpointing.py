"""Checkpoints of all stages of `fine_tune`, and going on from one."""

import contextlib
import dataclasses
import types
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checkpoints.draws import describe_dataset
from tftransfer.checkpoints.passes import find_passes, number_passes
from tftransfer.checkpoints.plain import from_plain, to_plain
from tftransfer.checkpoints.resume import Resume
from tftransfer.checkpoints.same_run import check_same, describe_model
from tftransfer.checkpoints.saver import explain
from tftransfer.checkpoints.training_state import (
    read_flag_values,
    read_state,
    write_flag_values,
    write_random,
    write_variables,
)
from tftransfer.distribution.copies import Copies
from tftransfer.distribution.scope import count_replicas
from tftransfer.features.hashing import hash_arrays
from tftransfer.freezing.recompiling import carries_on, own_rate, plain_optimizer
from tftransfer.freezing.while_training import trace_with_new_flags
from tftransfer.training.batches import read_data

_LOOKS = 32  # at the data before training begins


class RunCheckpoints(Resume):
    """What `fine_tune` adds to `Resume`: stages, best weights, the history so far.

    Args:
        model: Compiled `keras.Model`.
        directory: Folder for the checkpoints.
        checkpoint_every: As of `Resume`.
        run: JSON description of the run, which a later one must share.
        seed: Seed of a new run; one that is gone on with keeps its own.
        verbose: Whether to print where training goes on.

    Attributes:
        seed: Seed of the run.
        stage: Number of the stage to go on with, or that is trained now.

    Raises:
        ValueError: If the folder is in use or of another run.
    """

    def __init__(self, model, directory, checkpoint_every, run, *, seed, verbose):
        super().__init__(directory, checkpoint_every, verbose=bool(verbose))
        self._copies = Copies(model)
        self._run, self.stage = run, 0
        drawn = int(np.random.randint(2**31)) if seed is None else seed
        self.seed = self._copies.ask_all(drawn)[0]
        self._piece: dict = {"first": 0, "earlier": None, "flags": None}
        self._so_far: Any = None
        self._told: dict = {}
        self._numbered: dict = {}
        self._pending: Any = self._read()
        if self._pending is None:
            return
        content, arrays = self._pending
        try:
            check_same(content.get("run"), run, directory)
        except ValueError:
            self.close()
            raise
        self._told = from_plain(content["told"], arrays)
        self.seed, self.stage = self._told["seed"], self._told["stage"]
        self._piece = self._told["piece"]

    @property
    def is_over(self):
        """Whether the run came to its end before."""
        return "end" in self._told

    def is_past(self, stage):
        """Whether a stage was trained before; notes that it begins if not."""
        if stage < self.stage:
            return True
        self.stage = stage
        return False

    def watch(self, model, history, best, fast_path):
        """Note what grows with the stages; set it to what it was.

        Args:
            model: The model that is trained.
            history: `History` of all stages.
            best: Object with `loss` and `weights`, of the best epoch.
            fast_path: `FastPath`, or `None`.
        """
        self._copies = Copies(model)
        parts = {"model": model, "history": history, "best": best}
        self._so_far = types.SimpleNamespace(**parts, fast_path=fast_path)
        if self._pending is None:
            return
        content, arrays = self._pending
        write_variables(model, self._copies, content, arrays, only="model")
        _write_history(history, self._told["history"])
        best.loss, best.weights = self._told["best"]
        if fast_path is not None and self._told["budget"] is not None:
            fast_path.budget, fast_path.keeps_budget = self._told["budget"], True

    def number(self, data):
        """Return `TrainingData` whose shuffled epochs can be had again."""
        source = data.source
        if not isinstance(source, tf.data.Dataset):
            return data
        if id(source) not in self._numbered:  # once: stages share its openings
            firsts = self._told.get("firsts", {}).get(len(self._numbered))
            numbered = number_passes(source, firsts, looks=_LOOKS)
            self._numbered[id(source)] = source, numbered
        numbered = self._numbered[id(source)][1]
        return (
            data if numbered is source else dataclasses.replace(data, source=numbered)
        )

    def find_piece(self, initial_epoch):
        """Return the first epoch of the piece to go on with, and what was before."""
        if self._pending is None:
            return initial_epoch, None
        earlier = self._piece["earlier"]
        if earlier is None:
            return self._piece["first"], None
        return self._piece["first"], types.SimpleNamespace(
            epoch=earlier[0], history=earlier[1]
        )

    def begin_piece(self, first, earlier):
        """Note which call of `fit` begins; set what learns to what did then.

        Args:
            first: Its first epoch.
            earlier: History of earlier pieces of the stage, or `None`.
        """
        model = self._so_far.model
        if self._pending is not None:
            if write_flag_values(model, self._piece["flags"]):
                trace_with_new_flags(model)
            return
        before = None if earlier is None else (earlier.epoch, earlier.history)
        flags = read_flag_values(model)
        self._piece = {"first": first, "earlier": before, "flags": flags}
        _warn_of_lost_moments(model)

    def settle(self, stages):
        """Leave all data as a run of these stages leaves them."""
        epochs = sum(stage.epochs for stage in stages)
        for _, numbered in self._numbered.values():
            for each in find_passes(numbered):
                each.settle(epochs)

    def finish(self, model, history):
        """Write the end of the run: a later one returns at once."""
        content, arrays = read_state(model, [], self._copies)
        told = {"end": _read_history(history), "seed": self.seed, "stage": self.stage}
        told.update(piece=self._piece, firsts=self._firsts())
        content["told"] = to_plain(told, arrays)
        try:
            self._folder.write({**content, "run": self._run}, arrays)
        except OSError as error:
            failure = explain(error, self._folder.directory)
            raise failure from error

    def take_end(self, model):
        """Give a model what it had at the end of the run; return its `History`."""
        content, arrays = self._pending
        write_flag_values(model, content["flags"])
        write_variables(model, self._copies, content, arrays, only="model")
        write_random(from_plain(content["random"], arrays))
        history = keras.callbacks.History()
        history.set_model(model)
        _write_history(history, self._told["end"])
        model.history = history
        self._say(f"all {len(history.epoch)} epochs are done.")
        return history

    def _take(self):
        pending, self._pending = self._pending, None
        return pending

    def _leave(self):
        """Keep the folder: there may be more stages."""
        self._order.rest()

    def _tell_end(self, epochs):
        """Say nothing of a stage that is over: another one begins."""

    def _firsts(self):
        both = enumerate(self._numbered.values())
        return {i: [x.first for x in find_passes(made)] for i, (_, made) in both}

    def _extra(self, arrays):
        so_far = self._so_far
        told = {
            "seed": self.seed,
            "stage": self.stage,
            "piece": self._piece,
            "firsts": self._firsts(),
            "history": _read_history(so_far.history),
            "best": (so_far.best.loss, so_far.best.weights),
            "budget": so_far.fast_path and so_far.fast_path.budget,
        }
        return {"run": self._run, "told": to_plain(told, arrays)}


def run_with_checkpoints(model, run, data, stages, checkpoints):
    """Train with checkpoints, or take the end of a run that is over.

    Args:
        model: Compiled `keras.Model`.
        run: Function of `TrainingData`, seed and `RunCheckpoints` that trains it and
            returns the `History`.
        data: `TrainingData`.
        stages: List of `Stage`.
        checkpoints: `RunCheckpoints`.
    """
    with contextlib.closing(checkpoints):
        numbered = checkpoints.number(data)
        if checkpoints.is_over:
            for stage in stages:
                if stage.data is not None:
                    checkpoints.number(read_data("data", stage.data))
            checkpoints.settle(stages)
            return checkpoints.take_end(model)
        history = run(numbered, checkpoints.seed, checkpoints)
        checkpoints.settle(stages)
        checkpoints.finish(model, history)
    return history


def describe_run(model, stages, data, validation, class_weight, plan, **told):
    """Describe a run of `fine_tune` as JSON, as far as its course depends on it.

    Args:
        model: Compiled `keras.Model`.
        stages: List of `Stage`.
        data: `TrainingData`.
        validation: `TrainingData` or `None`.
        class_weight: Dict or `None`.
        plan: `Plan` of a strategy, or `None`.
        told: Further parts, JSON values.
    """
    rate = own_rate(model.optimizer)
    return {
        **describe_model(model),
        "learning_rate": rate if isinstance(rate, float) else type(rate).__name__,
        "stages": [str(stage) for stage in stages],
        "train": _describe_data(data),
        "validation_data": validation and _describe_data(validation),
        "class_weight": class_weight and str(class_weight),
        "strategy": plan and _describe_strategy(plan.strategy),
        "replicas": count_replicas(model),
        **told,
    }


def _describe_strategy(strategy):
    names = [field.name for field in dataclasses.fields(strategy)]
    return {x: getattr(strategy, x) for x in names if x != "source"}


def _describe_data(data):
    told = {"kind": type(data.source).__name__, "batches": data.num_batches}
    if data.is_arrays:
        told["content"] = hash_arrays(data.source)
    elif isinstance(data.source, tf.data.Dataset):
        told["kind"] = "Dataset"
        told.update(describe_dataset(data.source))
    return told


def _read_history(history):
    values = {
        name: [float(value) for value in each] for name, each in history.history.items()
    }
    return list(history.epoch), values, list(history.stages)


def _write_history(history, told):
    history.epoch, history.history, history.stages = told


def _warn_of_lost_moments(model):
    optimizer = plain_optimizer(model.optimizer)
    if not carries_on(optimizer):
        return
    if len(optimizer._slots.rules) > len(optimizer._trainable_variables):
        warnings.warn(
            f"{type(optimizer).__name__} keeps moments of weights that do not learn in "
            "this stage; a run that is resumed here begins them anew.",
            stacklevel=2,
        )
