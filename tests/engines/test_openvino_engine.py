import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.engines.conftest import (
    check_resizing,
    check_values,
    relative_error,
    run_all,
)
from tftransfer.engines import converted
from tftransfer.engines.building import is_installed
from tftransfer.engines.frozen_graph import Graphs
from tftransfer.engines.interface import EngineError
from tftransfer.engines.openvino_engine import (
    OpenVINOEngine,
    import_openvino,
    list_precisions,
)

# Not importorskip, which would import OpenVINO with its telemetry.
pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("openvino"), reason="needs the extra `fast`"
)

# Any call that reaches for a network ends the process with an error.
OFFLINE = """
import os, socket, sys, threading, traceback

def refuse(*arguments, **options):
    traceback.print_stack()
    sys.stderr.flush()
    os._exit(3)

class Refusing(socket.socket):
    connect = connect_ex = sendto = sendmsg = refuse

socket.socket = Refusing
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
started = []
start = threading.Thread.start
threading.Thread.start = lambda self: (started.append(self.name), start(self))[1]

import numpy as np
from tftransfer.engines.building import build_engine

rows = np.ones((3, 2), "float32")
for name in sys.argv[1:]:
    (output,) = build_engine(name, lambda batch: batch + 1, rows).run([rows])
names = [name for name in sys.modules if name.startswith("openvino_telemetry")]
print(output.tolist(), names, os.path.exists(os.path.expanduser("~/intel")))
print([name for name in started if "elemetry" in name])
"""


def build(function, example, dtype="float32", precision=None):
    return OpenVINOEngine(Graphs(function, example), dtype, precision)


def test_values_are_those_of_keras(function, images):
    check_values(build, function, images)


def test_resized_images_have_the_values_of_keras(resizing_function, rng):
    check_resizing(build, resizing_function, rng)


def test_other_shapes_are_compiled_when_they_come_often(monkeypatch, images):
    monkeypatch.setattr(converted, "PATIENCE", 0.0)

    def function(batch):
        return tf.reduce_mean(batch, [1, 2])

    engine = build(function, images)
    for size in (8, 3, 5, 3):
        cut = images[:, :size]
        assert relative_error(run_all(engine, [cut]), function, cut) < 1e-5


def test_dictionaries_are_computed():
    batch = {"b": np.full((2, 1), 5.0, "float32"), "a": np.ones((2, 1), "int32")}
    engine = build(lambda batch: batch["b"] - tf.cast(batch["a"], "float32"), batch)
    assert run_all(engine, [batch]).tolist() == [[4.0], [4.0]]


def test_two_runs_at_once_do_not_mix(function, images):
    engine = build(function, images)
    forward, backward = engine.run([images] * 3), engine.run([images[::-1]] * 3)
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(one, other[::-1], rtol=1e-5)


def test_precision_is_that_of_the_dtype_where_the_processor_has_it(function, images):
    assert "float32" in list_precisions()
    for dtype in ("float16", "bfloat16"):
        engine = build(function, images, dtype)
        expected = dtype if dtype in list_precisions() else "float32"
        assert engine.precision == expected
        (output,) = engine.run([images])
        assert output.dtype.name == dtype
        assert relative_error(output.astype("float32"), function, images) < 3e-2


def test_what_openvino_does_not_know_is_told(images, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(EngineError, match="No conversion rule .*: EncodePng"):
        build(
            lambda batch: tf.strings.length(
                tf.map_fn(
                    tf.io.encode_png,
                    tf.cast(batch, "uint8"),
                    fn_output_signature=tf.string,
                )
            ),
            images,
        )
    assert list(tmp_path.iterdir()) == []


def test_an_output_without_the_rows_of_the_batch_is_refused(images):
    with pytest.raises(EngineError, match="a batch of 4 rows would give the shape"):
        build(lambda batch: tf.reduce_mean(batch, [0, 1, 2]), images)


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r'pip install "tftransfer\[fast\]"'):
        import_openvino()


def test_closing_leaves_nothing_to_run(function, images):
    engine = build(function, images)
    run_all(engine, [images])
    engine.close()
    engine.close()
    assert not engine._programs


def test_telemetry_is_not_imported(function, images):
    build(function, images)
    assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]


@pytest.mark.slow
def test_nothing_is_sent_and_nothing_written_at_home(tmp_path):
    others = ["onnx"] if is_installed("onnx") else []
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "openvino", *others],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]] [] False",
        "[]",
    ]
