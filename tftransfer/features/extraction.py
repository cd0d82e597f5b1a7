"""Run the frozen part of a model over data once, into the store."""

import functools
import hashlib
import json
import sys
import time

import keras
import numpy as np
from tqdm import tqdm

from tftransfer.engines.choosing import choose_engine
from tftransfer.features.below import key_below, run_below
from tftransfer.features.by_length import ByLength, full_row_shape
from tftransfer.features.hashing import ContentHasher
from tftransfer.features.passing import Passing
from tftransfer.features.sharing import check_shareable, share_out
from tftransfer.freezing.parts import is_random
from tftransfer.store.entries import open_entry
from tftransfer.store.listing import list_entries
from tftransfer.store.writer import write_entry

ACTIVATIONS = "activations"
_ENGINES = ("openvino", "onnx", "tensorflow", "jax")  # whose results "auto" takes


class Extraction:
    """The frozen part below a cut, to be run over data into the store.

    Args:
        cut: `Cut`.
        engine: Name of an engine, or `"auto"` for the fastest that is exact enough.
        dtype: `"float32"`, `"float16"` or `"bfloat16"`, of engine and stored rows.
        folder: Folder of the store, `None` for the usual one.
        check: Function called with the first batch before anything is computed; it
            may raise.
        most_bytes: Of activations, for data whose length is not known; `None`: any.
        report: Function that takes a line to print, or `None` for silence.
        cluster: `RayCluster` whose workers compute, `None`: this process does.
    """

    def __init__(
        self,
        cut,
        *,
        engine="auto",
        dtype="float32",
        folder=None,
        check=None,
        most_bytes=None,
        report=None,
        cluster=None,
    ):
        self.most_bytes = most_bytes
        self.cut, self.dtype, self.folder = cut, dtype, folder
        self.engine, self.report, self.cluster = engine, report, cluster
        self.prefix = key_below(cut)
        self._engine, self._check = None, check

    def run(self, examples, *, view=None):
        """Return the `Entry` with the rows of `examples`, computed if need be.

        Its arrays are `"activations"` and, for the leaves of labels and weights,
        `"rest_0"`, `"rest_1"`, ....

        Args:
            examples: `Examples`.
            view: Number of the pass, where passes differ: layers that draw at random
                then do so, as in training.

        Raises:
            ValueError: If there are no rows, or they differ in shape.
        """
        if self.cluster is not None:
            check_shareable(examples)
        if view is not None and any(is_random(x.operation) for x in self._calls):
            return self._compute(examples, _Drawing(self.cut))
        identity = examples.identity()
        differs = examples.randomness is not None
        if self.prefix is None or (differs and (view is None or identity is None)):
            return self._compute(examples)
        if identity is None and self.cluster is not None:
            return self._compute(examples)
        if identity is None:
            found = self._find_content(examples)
            return found or self._compute(examples, hashes=True)
        for name in _ENGINES if self.engine == "auto" else (self.engine,):
            found = open_entry(self._key(identity, name, view), self.folder)
            if found is not None:
                return found
        return self._compute(examples, identity=identity, view=view)

    def close(self):
        """Give back what the engine holds."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _key(self, identity, engine, view):
        parts = [self.prefix, identity, engine, self.dtype, view]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def _calls(self):
        return self.cut.calls_below

    def _compute(
        self, examples, engine=None, *, identity=None, hashes=False, view=None
    ):
        if examples.first is None:
            raise ValueError(
                "`data` must hold at least one batch. Received: none. Check the path "
                "or split it was read from."
            )
        example = examples.first[0]
        if self._check is not None:
            self._check(example)
        engine = engine or self._choose(example, examples.num_rows)
        key = self._key(identity, engine.name, view) if identity else None
        if hashes:  # found again by its content, which is known at the end only
            nonce = hashlib.sha256(str(time.time_ns()).encode()).hexdigest()
            key = self._key(nonce, engine.name, view)
        description = self._describe(examples, engine)
        size = self.row_bytes * (examples.num_rows or 0)
        with write_entry(
            key, description=description, folder=self.folder, num_bytes=size
        ) as writer:
            if writer.entry is not None:
                return writer.entry
            return self._write(writer, engine, examples, hashes)

    def _choose(self, example, num_rows):
        if self._engine is None:
            choose = functools.partial(self._choose_for, num_rows=num_rows)
            self._engine = run_below(self.cut, self.prefix, example, self.dtype, choose)
        return self._engine

    def _choose_for(self, function, example, key, *, num_rows):
        return choose_engine(
            function,
            example,
            engine=self.engine,
            dtype=self.dtype,
            key=key,
            num_rows=num_rows,
            folder=self.folder,
            report=self.report or (lambda line: None),
        )

    @functools.cached_property
    def row_bytes(self):
        """Bytes of one row of activations, 0 where the shape is not known."""
        shape = full_row_shape(self.cut)
        if None in shape:
            return 0
        return int(np.prod(shape)) * (4 if self.dtype == "float32" else 2)

    def _describe(self, examples, engine):
        return {
            "prefix": self.prefix,
            "cut": self.cut.name,
            "engine": engine.name,
            "dtype": self.dtype,
            "examples": examples.description,
        }

    def _write(self, writer, engine, examples, hashes):
        hasher = ContentHasher(ordered=not examples.shuffles) if hashes else None
        passing = Passing(hasher)
        sizes = examples.read_sizes = []
        skip, started = writer.rows_done, time.perf_counter()
        progress = tqdm(
            total=examples.num_rows,
            initial=skip,
            unit=" rows",
            desc=f"features at {self.cut.name!r}",
            disable=self.report is None or not _is_watched(),
            file=sys.stdout,
            leave=False,
            mininterval=0.5,
        )
        with progress:
            for rows, rest in self._pass(engine, examples, passing, skip, sizes):
                named = {f"rest_{i}": np.asarray(leaf) for i, leaf in enumerate(rest)}
                writer.append({ACTIVATIONS: rows, **named})
                self._check_size(writer.num_rows)
                progress.update(len(rows))
        content = {"content": hasher.hexdigest()} if hasher else {}
        entry = writer.finish(**content)
        if self.report:
            seconds = time.perf_counter() - started
            rate = (entry.num_rows - skip) / seconds
            self.report(
                f"{entry.num_rows:,} rows of features at {self.cut.name!r} in "
                f"{seconds:.1f} s, {rate:.0f} a second with {engine.name}"
                f"{_describe_padding(engine, seconds)}."
            )
        return entry

    def _pass(self, engine, examples, passing, skip, sizes):
        """Yield activations, and what goes with them, of all rows but the first."""
        if self.cluster is None:
            for rows in engine.run(passing.inputs(examples.batches(), skip, sizes)):
                yield rows, passing.rest()
            return
        given = {"engine": engine.name, "dtype": self.dtype, "skip": skip}
        answers = share_out(self.cluster, self.cut, examples, **given)
        for rows, rest, some in answers:
            sizes += some
            yield rows, rest

    def _check_size(self, num_rows):
        if self.most_bytes is not None and num_rows * self.row_bytes > self.most_bytes:
            raise ValueError(
                "`cache_bytes` must be enough for all rows. Received: "
                f"cache_bytes={self.most_bytes:,}, used up by {num_rows:,} rows. Raise "
                "it, or pass cache=False."
            )

    def _find_content(self, examples):
        """Read and hash the data, without the network, where that may save a run."""
        wanted = {
            "prefix": self.prefix,
            "dtype": self.dtype,
            "examples": examples.description,
        }
        keys = [
            entry.key
            for entry in list_entries(self.folder).entries
            if entry.state == "whole"
            and isinstance(entry.description, dict)
            and wanted.items() <= entry.description.items()
            and self.engine in ("auto", entry.description["engine"])
        ]
        if not keys:
            return None
        hasher = ContentHasher(ordered=not examples.shuffles)
        sizes = examples.read_sizes = []
        for x, rest in examples.batches():
            hasher.add((x, rest))
            sizes.append(len(keras.tree.flatten(x)[0]))
        content = hasher.hexdigest()
        for key in keys:
            entry = open_entry(key, self.folder)
            if entry is not None and entry.extra.get("content") == content:
                return entry
        return None


def _describe_padding(engine, seconds):
    if not isinstance(engine, ByLength) or not engine.num_places:
        return ""
    padding = 1 - engine.num_tokens / engine.num_places
    rate = engine.num_tokens / seconds
    return f", {rate:,.0f} tokens a second, {padding:.0%} of the places padding"


def _is_watched():
    """Whether standard output can redraw a line: a terminal, or a notebook."""
    return sys.stdout.isatty() or "ipykernel" in sys.modules


class _Drawing:
    """Runs the frozen part as training does, with its own random draws."""

    name = "keras"

    def __init__(self, cut):
        self._cut = cut

    def run(self, batches):
        """Yield activations, batch after batch."""
        for batch in batches:
            drawn = self._cut.run_below(batch, training=True)
            yield keras.ops.convert_to_numpy(drawn)
