"""The engine ONNX Runtime."""

import concurrent.futures
import contextlib
import io
import logging
import warnings

import numpy as np

from tftransfer.engines.converted import ConvertedEngine
from tftransfer.engines.cores import count_cores
from tftransfer.engines.interface import EngineError, cut_rows
from tftransfer.engines.sizes import choose_size

OPSET = 17


class ONNXEngine(ConvertedEngine):
    """ONNX Runtime on the CPU, one thread of work for each core.

    Args:
        graphs: `Graphs` of the function.
        dtype: dtype of the output, as a str; the arithmetic is float32.
        precision: None or `"float32"`.

    Raises:
        ImportError: If ONNX Runtime or tf2onnx is not installed.
        EngineError: If the graph cannot be written as ONNX.
    """

    name = "onnx"

    def __init__(self, graphs, dtype, precision=None):
        import_onnx()
        super().__init__(graphs, dtype, precision or "float32")

    def _compile(self, frozen, leaves):
        return _Program(frozen, leaves)


def import_onnx():
    """Import ONNX Runtime and the converter.

    Returns:
        Tuple of the modules `onnxruntime` and `tf2onnx`.

    Raises:
        ImportError: If one of them is not installed.
    """
    try:
        with contain_logs():
            import onnxruntime
            import tf2onnx
    except ImportError as error:
        raise ImportError(
            "The engine 'onnx' needs the packages onnxruntime and tf2onnx. "
            'Install them: pip install "tftransfer[fast]"'
        ) from error
    return onnxruntime, tf2onnx


@contextlib.contextmanager
def contain_logs():
    """Keep to itself what converters log, warn of and print.

    On leaving, the root logger has its handlers back.
    """
    # tf2onnx warns of TensorFlow's old functions and NumPy's, and writes a log.
    root = logging.getLogger()
    kept, before = list(root.handlers), logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        root.handlers[:] = kept


def convert_to_onnx(frozen, names=None):
    """Write a graph as ONNX.

    Args:
        frozen: A `FrozenGraph`, or anything else with its `graph_def` and `inputs`.
        names: Dictionary from the graph's inputs and outputs to their names in the
            model; `None` keeps those of a `FrozenGraph`.

    Returns:
        bytes of the model.

    Raises:
        EngineError: If the graph holds what ONNX cannot say.
    """
    _, tf2onnx = import_onnx()
    outputs = [frozen.output] if names is None else [*names.keys() - frozen.inputs]
    try:
        with contain_logs():
            model, _ = tf2onnx.convert.from_graph_def(
                frozen.graph_def,
                input_names=list(frozen.inputs),
                output_names=sorted(outputs),
                opset=OPSET,
                tensors_to_rename=names,
            )
    except Exception as error:  # tf2onnx raises whatever it meets
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EngineError(reason) from error
    return model.SerializeToString()


class _Program:
    """A session whose runs, of some rows each, go on side by side."""

    def __init__(self, frozen, leaves):
        runtime, _ = import_onnx()
        options = runtime.SessionOptions()
        # Whole rows on each core were faster than the cores sharing a row's work.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        model = convert_to_onnx(frozen)
        try:
            self._session = runtime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own kinds, without a common base
            raise EngineError(str(error).strip().splitlines()[0]) from error
        self._names = frozen.inputs
        self._cores = count_cores()
        self._workers = concurrent.futures.ThreadPoolExecutor(self._cores)
        self._size, _ = choose_size(
            lambda size: self._compute_on_all, leaves, self._cores
        )
        self.rows_at_once = self._size * self._cores

    def start(self, leaves):
        """Hand the rows to the threads; return what waits for them."""
        return _Pending(
            [
                self._workers.submit(self._compute, piece)
                for _, _, piece in cut_rows(leaves, self._size)
            ]
        )

    def close(self):
        """Wait for what is under way and let go of the session."""
        self._workers.shutdown()
        self._session = None

    def _compute(self, leaves):
        (output,) = self._session.run(None, dict(zip(self._names, leaves, strict=True)))
        return output

    def _compute_on_all(self, leaves):
        list(self._workers.map(self._compute, [leaves] * self._cores))


class _Pending:
    """Rows on their way."""

    def __init__(self, futures):
        self._futures = futures

    def result(self):
        """Wait for the last row."""
        pieces = [future.result() for future in self._futures]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
