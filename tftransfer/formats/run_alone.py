"""Run as a script: a written model in its own runtime, compared and timed there.

Usage: `python run_alone.py FORMAT MODEL FOLDER`. FOLDER holds `rows.npy` and
`settings.json`; the outputs are written to `outputs.npz`, times to `measured.json`.
What the runtime does not need cannot be imported here, as on a machine without it.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

FOREIGN = {"keras", "tensorflow", "tf_keras", "tftransfer", "torch"}


def load_onnx(model, cores):
    """Return a callable from uint8 images to a dictionary of arrays."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(
        str(Path(model, "model.onnx")), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def serve(images):
        return dict(zip(names, session.run(names, {"images": images}), strict=True))

    return serve


def load_openvino(model, cores):
    """Return a callable from uint8 images to a dictionary of arrays."""
    hide = "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules
    if hide:  # without it the package keeps to itself what it counts
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    if hide:
        del sys.modules["openvino_telemetry"]
    # Processors that can would compute in bfloat16 else.
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": cores,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(
        str(Path(model, "model.xml")), "CPU", options
    )
    names = [output.get_any_name() for output in compiled.outputs]

    def serve(images):
        outputs = compiled({"images": images})
        return {name: outputs[name].copy() for name in names}

    return serve


def load_litert(model, cores):
    """Return a callable from uint8 images to a dictionary of arrays."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        model_path=str(Path(model, "model.tflite")), num_threads=cores
    )
    runner = interpreter.get_signature_runner()
    return lambda images: runner(images=images)


def load_tf_saved_model(model, cores):
    """Return a callable from rows to a dictionary of arrays."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(cores)
    loaded = tf.saved_model.load(model)
    images = "serve_images" in loaded.signatures
    serving = loaded.signatures["serve_images" if images else "serving_default"]
    (name,) = serving.structured_input_signature[1]

    def serve(rows, _held=loaded):  # the variables live as long as it does
        outputs = serving(**{name: tf.constant(rows)})
        return {name: value.numpy() for name, value in outputs.items()}

    return serve


RUNTIMES = {
    "litert": (load_litert, "ai-edge-litert"),
    "onnx": (load_onnx, "onnxruntime"),
    "openvino": (load_openvino, "openvino"),
    "tf_saved_model": (load_tf_saved_model, "tensorflow"),
}


def compute(serve, rows, batch_size):
    """Serve all rows, some at a time; return a dictionary of arrays of numbers."""
    batches = [
        serve(rows[start : start + batch_size])
        for start in range(0, len(rows), batch_size)
    ]
    return {
        name: np.concatenate([batch[name] for batch in batches])
        for name in batches[0]
        if np.asarray(batches[0][name]).dtype.kind == "f"
    }


def time_batches(serve, rows, batch_size, most_runs, seconds):
    """Time batches one after another, warm.

    Args:
        serve: Callable on a batch.
        rows: Array of rows, gone through again and again.
        batch_size: Rows in each batch.
        most_runs: Number of batches, unless the time is up before.
        seconds: The time; three batches are run in any case.

    Returns:
        Array of seconds, one for each batch.
    """
    picked = np.arange(batch_size * most_runs) % len(rows)
    batches = [rows[picked[:batch_size]]] * 3
    for batch in batches:
        serve(batch)
    taken: list = []
    while len(taken) < most_runs and (len(taken) < 3 or sum(taken) < seconds):
        start = batch_size * len(taken)
        batch = rows[picked[start : start + batch_size]]
        started = time.perf_counter()
        serve(batch)
        taken.append(time.perf_counter() - started)
    return np.array(taken)


def main(name, model, folder):
    """Serve and time a model as `settings.json` says; write both results."""
    settings = json.loads(Path(folder, "settings.json").read_text(encoding="utf-8"))
    load, package = RUNTIMES[name]
    # TensorFlow Text imports Keras for layers of its own.
    blocked = {"tftransfer"} if settings["modules"] else FOREIGN
    for foreign in blocked - {package}:
        sys.modules[foreign] = None  # type: ignore[assignment]
    for module in settings["modules"]:
        __import__(module)
    serve = load(model, settings["cores"])
    rows = np.load(Path(folder, "rows.npy"))
    np.savez(Path(folder, "outputs.npz"), **compute(serve, rows, 32))
    runs, seconds = settings["runs"], settings["seconds"]
    single = time_batches(serve, rows, 1, runs, seconds)
    many = time_batches(serve, rows, 32, max(3, runs // 10), seconds)
    measured = {
        "runtime": f"{package} {version(package)}",
        "latency_ms_p50": float(np.percentile(single, 50)) * 1000,
        "latency_ms_p99": float(np.percentile(single, 99)) * 1000,
        "latency_runs": len(single),
        "rows_per_second": 32 / float(np.median(many)),
    }
    text = json.dumps(measured)
    Path(folder, "measured.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
