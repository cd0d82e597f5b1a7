"""The engine OpenVINO, told to keep what it sees to itself."""

import contextlib
import os
import sys
import tempfile
import threading

import numpy as np

from tftransfer.engines.converted import ConvertedEngine
from tftransfer.engines.cores import count_cores
from tftransfer.engines.interface import EngineError, cut_rows, fill_rows
from tftransfer.engines.sizes import choose_size

PRECISIONS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
_TELEMETRY = "openvino_telemetry"
_PATIENCE = 10.0  # seconds after which a silent request is asked for its error
_CAPABILITIES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}


class OpenVINOEngine(ConvertedEngine):
    """OpenVINO on the CPU, one stream of work for each core.

    Args:
        graphs: `Graphs` of the function.
        dtype: dtype of the output, as a str.
        precision: dtype of the arithmetic, as a str; None for `dtype` where the
            processor computes in it, else `"float32"`.

    Raises:
        ImportError: If OpenVINO is not installed.
        EngineError: If OpenVINO cannot run the function.
    """

    name = "openvino"

    def __init__(self, graphs, dtype, precision=None):
        self._openvino = import_openvino()
        self._core = self._openvino.Core()
        able = list_precisions(self._core)
        precision = precision or (dtype if dtype in able else "float32")
        super().__init__(graphs, dtype, precision)

    def _compile(self, frozen, leaves):
        return _Program(self._openvino, self._core, frozen, leaves, self.precision)


def import_openvino():
    """Import OpenVINO without its telemetry.

    The package counts imports and conversions and sends the counts, unless a file in
    the user's home says otherwise. While it is imported its telemetry is hidden, for
    which case it has a stub of its own: nothing is sent and nothing is written.

    Raises:
        ImportError: If it is not installed.
    """
    with without_telemetry("openvino"):
        try:
            import openvino
        except ImportError as error:
            raise ImportError(
                "The engine 'openvino' needs the package openvino. "
                'Install it: pip install "tftransfer[fast]"'
            ) from error
    return openvino


def list_precisions(core=None):
    """List the dtypes in which this processor computes under OpenVINO.

    Args:
        core: An `openvino.Core` at hand; None makes one.
    """
    core = core or import_openvino().Core()
    found = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return [dtype for dtype, name in _CAPABILITIES.items() if name in found]


@contextlib.contextmanager
def without_telemetry(importer):
    """Hide OpenVINO's telemetry while a package is imported for the first time.

    Args:
        importer: Name of the package. Where somebody else imported it before, what it
            sends is theirs to decide.
    """
    if importer in sys.modules:
        yield
        return
    before = {name: sys.modules[name] for name in [_TELEMETRY] if name in sys.modules}
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        sys.modules.update(before)


def read_graph(core, frozen):
    """Read a graph as an `openvino.Model`.

    Args:
        core: An `openvino.Core`.
        frozen: A `FrozenGraph`, or anything else with its `graph_def`.

    Raises:
        EngineError: If the graph holds what OpenVINO does not know.
    """
    # OpenVINO's own reader, a hundredth of a second for each megabyte; the Python
    # converter traces the graph again, takes twenty times as long and has telemetry.
    file, path = tempfile.mkstemp(suffix=".pb")
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(frozen.graph_def.SerializeToString())
        model = core.read_model(path)
    except RuntimeError as error:
        raise EngineError(_last_words(error)) from error
    finally:
        os.unlink(path)
    return model


def _last_words(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "No conversion rule" in line]
    return (told or lines or ["no reason given"])[0].lstrip("- ")


class _Program:
    """A model compiled for rows of one shape, some at a time, on every core."""

    def __init__(self, openvino, core, frozen, leaves, precision):
        self._openvino = openvino
        self._core = core
        self._model = read_graph(core, frozen)
        self._names = frozen.inputs
        self._options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": count_cores(),
            # Pinned threads wait wherever another process has their core.
            "ENABLE_CPU_PINNING": False,
        }
        cores = count_cores()
        self._size, self._queue = choose_size(self._compile, leaves, cores)
        self._model = None
        self.rows_at_once = self._size * cores

    def start(self, leaves):
        """Hand the rows to idle requests; return what waits for them."""
        return self._queue.start(leaves)

    def close(self):
        """Wait for what is under way and let go of the model."""
        self._queue.close()

    def _compile(self, size):
        model = self._model.clone()
        model.reshape(
            {name: [size, *model.input(name).partial_shape[1:]] for name in self._names}
        )
        compiled = self._core.compile_model(model, "CPU", self._options)
        return _Queue(self._openvino, compiled, self._names, size)


class _Queue:
    """Requests of one compiled model, each computing `size` rows."""

    def __init__(self, openvino, compiled, names, size):
        (output,) = compiled.outputs
        if not output.partial_shape.is_static or output.shape[0] != size:
            raise EngineError(
                f"a batch of {size} rows would give the shape {output.partial_shape}"
            )
        self._row_shape = tuple(output.shape)[1:]
        self._dtype = output.element_type.to_dtype()
        self._names, self._size = names, size
        self._requests = openvino.AsyncInferQueue(compiled)
        self._requests.set_callback(_copy_output)
        self._lock = threading.Lock()  # two runs may share the requests

    def __call__(self, leaves):
        pending = [self.start(leaves) for _ in range(len(self._requests))]
        return [one.result() for one in pending][0]

    def start(self, leaves):
        rows = np.empty((len(leaves[0]), *self._row_shape), self._dtype)
        pending = _Pending(self._requests, rows)
        for start, stop, piece in cut_rows(leaves, self._size):
            inputs = dict(zip(self._names, fill_rows(piece, self._size), strict=True))
            with self._lock:
                self._requests.start_async(
                    inputs, (pending, start, stop, inputs), share_inputs=True
                )
            pending.pieces += 1
        return pending

    def close(self):
        self._requests.wait_all()
        self._requests = None


class _Pending:
    """Rows on their way."""

    def __init__(self, requests, rows):
        self.rows = rows
        self.pieces = 0
        self.copied = threading.Semaphore(0)
        self._requests = requests

    def result(self):
        """Wait for the last row."""
        for _ in range(self.pieces):
            if not self.copied.acquire(timeout=_PATIENCE):
                self._requests.wait_all()  # raises what went wrong in a request
                self.copied.acquire()
        return self.rows


def _copy_output(request, told):
    pending, start, stop, _ = told
    pending.rows[start:stop] = request.get_output_tensor(0).data[: stop - start]
    pending.copied.release()
