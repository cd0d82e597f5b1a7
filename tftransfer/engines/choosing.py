"""The fastest engine that gives the values of Keras, found by measuring."""

import dataclasses
import time

import keras
import numpy as np

from tftransfer.checks import check_choice
from tftransfer.engines.building import (
    ENGINES,
    MODULES,
    build_engine,
    check_error,
    compute_reference,
    is_installed,
)
from tftransfer.engines.frozen_graph import Graphs
from tftransfer.engines.interface import DTYPES, EngineError, shapes_of
from tftransfer.engines.measuring import (
    estimate_rate,
    list_batches,
    measure_rates,
)
from tftransfer.engines.openvino_engine import list_precisions
from tftransfer.engines.remembered import (
    identify_trial,
    recall_trial,
    remember_trial,
)
from tftransfer.engines.tensorflow_graph import has_gpu

# Work that the first engine does within these seconds is not worth a trial.
SHORT_SECONDS = 8.0
# Work from which on an engine that could be installed is mentioned.
LONG_SECONDS = 120.0
CHECKED_ROWS = 8
VERY_MANY = 1_000_000  # rows, where nobody says


@dataclasses.dataclass(frozen=True)
class _Candidate:
    name: str
    precision: str

    @property
    def label(self):
        inside = "" if self.precision == "float32" else f" in {self.precision}"
        return f"{self.name}{inside}"


def choose_engine(
    function,
    example,
    *,
    engine="auto",
    dtype="float32",
    key=None,
    num_rows=None,
    folder=None,
    report=print,
):
    """Choose the engine that runs a function fastest on this machine.

    Keras' own backend is measured first. If the work will be short it is kept.
    Otherwise every installed engine is built, compared with Keras on real rows, and
    measured in turn with the others; those that do not give the same values, to the
    bound of `dtype`, are left out with a line that says so. What was found is
    remembered for this machine, these versions and this function, unless the machine
    was too busy with other things to measure anything.

    float32 stays float32: lower precision is used only where `dtype` asks for it, and
    then only where it is faster.

    Args:
        function: Callable on one batch of tensors that returns one tensor, computing
            as at inference.
        example: Batch of real rows: a NumPy array, or a dictionary, list or tuple of
            them.
        engine: `"auto"`, or the name of the engine to take whatever its speed.
        dtype: `"float32"`, `"float16"` or `"bfloat16"`: of the output.
        key: str that stands for the function and its weights, under which the
            outcome is remembered; None remembers nothing.
        num_rows: How many rows are waiting; None for very many.
        folder: Folder of the store; None for the usual one.
        report: Callable that takes each line there is to say.

    Returns:
        An `Engine`.

    Raises:
        ValueError: If `engine` or `dtype` is not one of the choices, or does not work
            under Keras' backend.
        ImportError: If the engine asked for is not installed.
        EngineError: If the engine asked for cannot run the function or does not give
            its values.

    Example:

    >>> rows = np.array([[1.0], [2.0]], "float32")
    >>> chosen = choose_engine(lambda batch: 3 * batch, rows, num_rows=2)
    >>> chosen.name, next(chosen.run([rows])).tolist()
    ('tensorflow', [[3.0], [6.0]])
    """
    check_choice("engine", engine, ("auto", *ENGINES))
    check_choice("dtype", dtype, DTYPES)
    trial = _Trial(function, example, dtype, report)
    if engine != "auto":
        return trial.build_asked(engine)
    return trial.choose(key, num_rows, folder)


class _Trial:
    """Engines of one function, built, checked and measured."""

    def __init__(self, function, example, dtype, report):
        self._function, self._example = function, example
        self._dtype, self._report = dtype, report
        self._few = keras.tree.map_structure(lambda leaf: leaf[:CHECKED_ROWS], example)
        self._reference = None
        backend = keras.backend.backend()
        self._graphs = function if backend == "jax" else Graphs(function, example)
        self._home = _Candidate("jax" if backend == "jax" else "tensorflow", "float32")

    def build_asked(self, name):
        """Build the engine of this name, or say why it cannot be used."""
        built = build_engine(name, self._graphs, self._example, self._dtype)
        try:
            self._check(built)
        except EngineError as error:
            raise EngineError(
                "`engine` must give the values of Keras. "
                f"Received: engine={name!r}, but {error}. {self._advise(name)}"
            ) from error
        return built

    def choose(self, key, num_rows, folder):
        """Build the engine with which the rows are done first."""
        name = self._identify(key)
        found = recall_trial(name, folder) if key is not None else None
        best = self._best_known(found, num_rows)
        if best is not None and best != self._home:
            try:
                return self._build(best)
            except (EngineError, ImportError):
                found = None  # it worked when it was remembered: measure anew
        home = self._build(self._home)
        if self._dtype != "float32":
            self._check_home(home)  # its values may be too large for the dtype
        if best == self._home and found is not None:
            return home
        rate = estimate_rate(home, self._example, self._few)
        if num_rows is not None and num_rows / rate < SHORT_SECONDS:
            return home
        chosen, found = self._compare(home, rate)
        if key is not None and found is not None:
            remember_trial(name, found, folder)
        if num_rows is None or num_rows / rate > LONG_SECONDS:
            self._mention_missing()
        return chosen

    def _compare(self, home, rate):
        self._check_home(home)
        engines, seconds = {self._home: home}, {self._home: 0.0}
        for candidate in self._list_candidates():
            started = time.perf_counter()
            try:
                engine = self._build(candidate)
                self._check(engine)
            except EngineError as error:
                reason = error.__cause__ or error
                self._report(f"Engine {candidate.label} is not used: {reason}.")
                continue
            engines[candidate] = engine
            seconds[candidate] = time.perf_counter() - started
        batches = list_batches(rate, self._example, self._few)
        rates, is_quiet = measure_rates(engines, batches)
        best = max(rates, key=lambda candidate: rates[candidate])
        for candidate, engine in engines.items():
            if candidate != best:
                engine.close()
        self._report(_describe_choice(best, rates))
        found = [
            {
                "engine": candidate.name,
                "precision": candidate.precision,
                "rows_per_second": round(rates[candidate], 2),
                "seconds_to_build": round(seconds[candidate], 2),
            }
            for candidate in rates
        ]
        return engines[best], {"engines": found} if is_quiet else None

    def _list_candidates(self):
        if self._home.name == "jax" or has_gpu():
            return []  # compiled for the device already
        candidates = []
        if is_installed("openvino"):
            precisions = dict.fromkeys([self._dtype, "float32"])
            able = list_precisions()
            candidates += [
                _Candidate("openvino", one) for one in precisions if one in able
            ]
        if is_installed("onnx"):
            candidates.append(_Candidate("onnx", "float32"))
        return candidates

    def _build(self, candidate):
        return build_engine(
            candidate.name,
            self._graphs,
            self._example,
            self._dtype,
            candidate.precision,
        )

    def _check(self, engine):
        if self._reference is None:
            self._reference = compute_reference(self._function, self._few)
        check_error(engine, self._few, self._reference)

    def _check_home(self, engine):
        try:
            self._check(engine)
        except EngineError as error:
            raise EngineError(
                "`function` must give the same values each time, as at inference. "
                f"Received: a function of which engine {engine.name!r} computes other "
                f"values: {error}. {self._advise(engine.name)}"
            ) from error

    def _advise(self, name):
        if self._dtype != "float32":
            return "Use dtype='float32'."
        if name == self._home.name:
            return "Call the model with training=False, and look for random layers."
        return f"Use engine={self._home.name!r}."

    def _best_known(self, found, num_rows):
        try:
            totals = {
                _Candidate(one["engine"], one["precision"]): one["seconds_to_build"]
                + (num_rows or VERY_MANY) / one["rows_per_second"]
                for one in found["engines"]
            }
            best = min(totals, key=lambda candidate: totals[candidate])
        except (TypeError, KeyError, ValueError, ZeroDivisionError):
            return None  # nothing remembered, or nothing that can be read
        usable = best == self._home or best in self._list_candidates()
        return best if usable else None

    def _identify(self, key):
        leaves = [np.asarray(leaf) for leaf in keras.tree.flatten(self._example)]
        return identify_trial(
            key,
            shapes_of(leaves),
            [leaf.dtype.str for leaf in leaves],
            self._dtype,
            f"{self._home.name}, {'GPU' if has_gpu() else 'CPU'}",
        )

    def _mention_missing(self):
        missing = [name for name in MODULES if not is_installed(name)]
        if missing and self._home.name == "tensorflow" and not has_gpu():
            self._report(
                f"Engine {' or '.join(missing)} may be faster: "
                'pip install "tftransfer[fast]".'
            )


def _describe_choice(best, rates):
    others = ", ".join(
        f"{candidate.label} {rate:,.0f}"
        for candidate, rate in rates.items()
        if candidate != best
    )
    compared = f" ({others})" if others else ""
    return f"Engine {best.label}: {rates[best]:,.0f} rows a second{compared}."
