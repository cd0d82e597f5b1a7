"""Run the frozen part of a model once, then fit the rest on the stored rows."""

import contextlib
import dataclasses

import keras
import numpy as np

from tftransfer.acceleration.budget import choose_cut
from tftransfer.acceleration.chunks import (
    can_run_chunks,
    fresh_traces,
    training_in_chunks,
)
from tftransfer.acceleration.frozen_cuts import find_frozen_cuts
from tftransfer.acceleration.parts import CannotStore, cut_rows
from tftransfer.acceleration.resuming import resume_above
from tftransfer.acceleration.rows import (
    EpochNumber,
    array_rows,
    pair_rows,
    stored_rows,
)
from tftransfer.engines.interface import EngineError
from tftransfer.features.examples import ArrayExamples
from tftransfer.features.extraction import Extraction
from tftransfer.features.frozen_check import check_frozen, check_parts

_CHECKED_ROWS = 4


class FastPath:
    """The fast path of one model, through several calls of `fit` and the like.

    Args:
        model: `keras.Model`.
        settings: `CacheSettings`.
        report: Function that takes a line to print, or `None` for silence.

    Attributes:
        budget: The most bytes to store, as the last call found.
        keeps_budget: Whether the next call takes `budget` as it is.
    """

    keeps_budget = False

    def __init__(self, model, settings, report):
        self.model, self.settings, self.report = model, settings, report
        self.budget: int | None = None

    def say(self, line):
        """Report a line, unless silent."""
        if self.report is not None:
            self.report(line)

    def decline(self, reason):
        """Say why the model runs as it always does."""
        self.say(f"Fast path not taken: {reason}.")

    @contextlib.contextmanager
    def training(
        self, train, validation=None, *, epochs, callbacks, class_weight, seed
    ):
        """Replace training and validation data by stored rows for a call of `fit`.

        Args:
            train: `Part`.
            validation: `Part`, or `None`.
            epochs: Number of epochs of the call.
            callbacks: List of its callbacks.
            class_weight: Dict from class to weight, or `None`.
            seed: Whole number, of the order of the rows.

        Yields:
            Arguments of `fit` that replace those for the data, class weights and
            callbacks; `None` if nothing is stored: the reason was reported.
        """
        with contextlib.ExitStack() as stack:
            settings = {"seed": seed, "class_weight": class_weight}
            labels = keras.tree.flatten(train.examples[0].rest)
            if class_weight and len(labels) != 1:
                self.decline("class weights need one output")
                yield None
                return
            replaced = self._replace(stack, train, validation, settings)
            if replaced is None:
                yield None
                return
            rows, own_rows = replaced
            watchers = [EpochNumber(rows)]
            if len(rows) == 1 and can_run_chunks(
                self.model, rows[0], callbacks, epochs
            ):
                chunks = training_in_chunks(self.model, rows[0])
                watchers.append(stack.enter_context(chunks))
            elif not rows[0].is_stored:
                yield None  # `fit` feeds arrays as well
                return
            given = {
                "x": _as_dataset(rows, train.epoch),
                "shuffle": False,
                "callbacks": [*watchers, *callbacks],
            }
            if own_rows is not None:
                given["validation_data"] = _as_dataset(own_rows, validation.epoch)
            yield given

    def _replace(self, stack, train, validation, settings):
        """Return lists of `Rows` of training and of validation, or `None`."""
        if self._takes_vectors(train):
            rows = array_rows(train.examples[0], **settings)
            return [rows], None
        stored = self._try(stack, train, validation)
        if stored is None:
            return None
        entries, own_entries, cut = stored
        own_rows = own_entries and self._rows(validation, own_entries, cut)
        return self._rows(train, entries, cut, **settings), own_rows

    def _takes_vectors(self, part):
        """Whether nothing is frozen and the data are vectors in memory."""
        examples = part.examples[0]
        if not isinstance(examples, ArrayExamples) or self.settings.insists:
            return False
        inputs = examples.arrays[0]
        is_table = isinstance(inputs, np.ndarray) and inputs.ndim == 2
        return is_table and not find_frozen_cuts(self.model).cuts

    @contextlib.contextmanager
    def rows(self, train, validation=None, class_weight=None):
        """Store features of one domain, to be read as arrays.

        Args:
            train: `Part` of one domain.
            validation: `Part` of one domain, or `None`.
            class_weight: Dict from class to weight, or `None`.

        Yields:
            `Rows` of both, and the `Cut`; `None` for validation data that are not
            there, or whose features cannot be stored.

        Raises:
            CannotStore: If nothing can be stored.
        """
        if len(train.examples) > 1:
            raise CannotStore("the data are pairs of two domains")
        with contextlib.ExitStack() as stack:
            entries, own_entries, cut = self._store(stack, train, validation)
            (rows,) = self._rows(train, entries, cut, class_weight=class_weight)
            own = own_entries and self._rows(validation, own_entries, cut)
            yield rows, own and own[0], cut

    @contextlib.contextmanager
    def reading(self, data):
        """Replace data of `evaluate` or `predict` by stored rows, in their order.

        Args:
            data: `Part`.

        Yields:
            A dataset, or `None` if nothing is stored; the reason was reported.
        """
        with contextlib.ExitStack() as stack:
            # Passes at random are for training only.
            settings = dataclasses.replace(self.settings, augmented_views=1)
            once = FastPath(self.model, settings, self.report)
            stored = once._try(stack, data, None)
            if stored is None:
                yield None
            else:
                entries, _, cut = stored
                yield _as_dataset(self._rows(data, entries, cut), data.epoch)

    def _try(self, stack, train, validation):
        """Store as `_store` does, or say why not and return `None`."""
        try:
            return self._store(stack, train, validation)
        except CannotStore as reason:
            if self.settings.insists:
                raise ValueError(
                    f"`cache` must not be True where nothing can be stored: {reason}. "
                    'Received: cache=True. Pass cache="auto".'
                ) from None
            self.decline(reason)
            return None

    def _store(self, stack, train, validation):
        views = self.settings.augmented_views
        if views > 1 and not self._differs(train):
            views = 1
        if not self.keeps_budget:
            self.budget = self.settings.most_bytes
        budget, self.keeps_budget = self.budget, False
        cuts = self._choose(train, validation, views, budget)
        extraction = self._start_extraction(stack, cuts, views, budget)
        entries = _extract(stack, extraction, train, views)
        own = None
        if validation is not None and not validation.randomness:
            own = _extract(stack, extraction, validation, 1)
        stack.enter_context(resume_above(cuts))
        stack.enter_context(fresh_traces(self.model))
        return entries, own, cuts[-1]

    def _differs(self, part):
        """Whether examples, or layers in the frozen part, differ from pass to pass."""
        if part.randomness is not None:
            return True
        steady = find_frozen_cuts(self.model).cuts
        return steady != find_frozen_cuts(self.model, allow_random=True).cuts

    def _choose(self, train, validation, views, budget):
        insists = self.settings.insists
        found = find_frozen_cuts(self.model, allow_random=insists or views > 1)
        if not found.cuts:
            raise CannotStore(found.obstacle)
        randomness = train.randomness
        if randomness and views == 1 and not insists:
            raise CannotStore(f"{randomness}; augmented_views=k would store k passes")
        train.check_inputs(len(found.cuts[0][0].graph.inputs))
        rows = views * train.num_rows + (validation.num_rows if validation else 0)
        cuts, line = choose_cut(found.cuts, rows, budget, lambda: train.first_rows(1))
        if cuts is None:
            raise CannotStore(line)
        self.say(f"Fast path: {line}.")
        return cuts

    def _start_extraction(self, stack, cuts, views, budget):
        draws = self.settings.insists or views > 1

        def check(batch):
            rows = cut_rows(batch, _CHECKED_ROWS)
            reason = check_frozen(cuts[0], rows, draws=draws) or check_parts(
                cuts[-1], rows
            )
            if reason:
                raise CannotStore(reason)

        extraction = Extraction(
            cuts[0],
            check=check,
            engine=self.settings.engine,
            folder=self.settings.folder,
            report=self.report,
            dtype=_storage(cuts[0]),
            most_bytes=budget,
        )
        stack.callback(extraction.close)
        return extraction

    def _rows(self, part, entries, cut, *, seed=None, class_weight=None):
        # Of texts, whose length is open, what goes along tells where they end.
        channels = len(cut.along) if None in cut.row_shape else 0
        # Of two domains the first one has the labels.
        weights = [class_weight] + [None] * (len(part.examples) - 1)
        return [
            stored_rows(
                views,
                examples,
                seed=seed,
                class_weight=weight,
                channels=channels,
            )
            for views, examples, weight in zip(
                entries, part.examples, weights, strict=True
            )
        ]


def _extract(stack, extraction, part, views):
    """Return for each of the part's examples a list of entries, one for each view."""
    extracted = []
    for examples in part.examples:
        try:
            entries = [
                extraction.run(examples, view=view if views > 1 else None)
                for view in range(views)
            ]
        except (EngineError, TypeError, ValueError, OSError) as error:
            raise CannotStore(f"{error}".rstrip(".")) from error
        for entry in entries:
            stack.callback(entry.close)
        extracted.append(entries)
    return extracted


def _as_dataset(rows, epoch):
    if epoch is None:
        dataset = rows[0].dataset()
    else:
        source, target = rows
        dataset = pair_rows(source, target, epoch)
    dataset.holds_stored_rows = True
    return dataset


def _storage(cut):
    """Return the dtype that keeps every bit of what the cut gives."""
    return (
        cut.tensor.dtype if cut.tensor.dtype in ("float16", "bfloat16") else "float32"
    )
