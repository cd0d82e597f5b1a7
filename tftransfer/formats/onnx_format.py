"""Models for ONNX Runtime, and whatever else reads ONNX."""

import math
import tempfile
from pathlib import Path

from tftransfer.engines.onnx_engine import contain_logs, convert_to_onnx, import_onnx
from tftransfer.formats.kept_float import choose_kept
from tftransfer.formats.served_graph import IMAGES

FILE = "model.onnx"
_KERNELS = ("Conv", "Gemm", "MatMul")
BATCH = "batch"


def write_onnx(graph, folder, quantization=None, representative=None):
    """Write `model.onnx`.

    Args:
        graph: A `ServedGraph`.
        folder: Folder that exists.
        quantization: `None`; `"float16"` for weights stored in float16 and cast back
            when the model is loaded; `"int8"` for weights, one scale a channel, and
            activations, but for what `choose_kept` keeps.
        representative: For int8, uint8 images `(n, height, width, channels)` like
            those to come, from which the ranges of activations are taken.

    Raises:
        EngineError: If the graph holds what ONNX cannot say.
    """
    import_onnx()
    import onnx

    model = onnx.load_model_from_string(convert_to_onnx(graph, graph.names))
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    if quantization == "float16":
        _store_in_float16(onnx, model)
    if quantization == "int8":
        model = _quantize(onnx, model, representative)
    onnx.checker.check_model(model)
    onnx.save_model(model, str(Path(folder, FILE)))


def _store_in_float16(onnx, model):
    # Only stored so: few processors compute in float16, and the runtime computes a
    # cast of constants once, when it loads the model.
    casts = []
    for stored in model.graph.initializer:
        if stored.data_type != onnx.TensorProto.FLOAT or not stored.dims:
            continue
        values, name = onnx.numpy_helper.to_array(stored), stored.name
        half = onnx.numpy_helper.from_array(values.astype("float16"), f"{name}_float16")
        stored.CopyFrom(half)
        casts.append(
            onnx.helper.make_node(
                "Cast", [half.name], [name], to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _quantize(onnx, model, representative):
    with contain_logs():
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder, f"{step}.onnx")) for step in range(3)]
            onnx.save_model(model, files[0])
            quant_pre_process(files[0], files[1], skip_symbolic_shape=True)
            quantization.quantize_static(
                *(files[1], files[2], _Reader(representative)),
                per_channel=True,
                nodes_to_exclude=_choose_kept(onnx.load_model(files[1]).graph),
            )
            return onnx.load_model(files[2])


def _choose_kept(graph):
    """Names of the nodes that stay in float."""
    weights = {each.name: math.prod(each.dims) for each in graph.initializer}
    places = [
        place
        for place, node in enumerate(graph.node)
        if node.op_type in _KERNELS and node.input[1] in weights
    ]
    sizes = [weights[graph.node[place].input[1]] for place in places]
    first, last = choose_kept(sizes)
    start = places[first] if first else 0  # what is done to the pixels, too
    end = places[-1] if last else len(graph.node)
    return [node.name for node in [*graph.node[:start], *graph.node[end:]]]


class _Reader:
    """Hands out one image at a time, as the calibration asks for them."""

    def __init__(self, images):
        self._rows = iter([{IMAGES: image[None]} for image in images])

    def get_next(self):
        return next(self._rows, None)
