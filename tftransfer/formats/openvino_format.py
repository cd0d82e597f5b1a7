"""Models for OpenVINO."""

import math
from pathlib import Path

from tftransfer.engines.onnx_engine import contain_logs
from tftransfer.engines.openvino_engine import (
    import_openvino,
    read_graph,
    without_telemetry,
)
from tftransfer.formats.kept_float import choose_kept

FILE = "model.xml"
_KERNELS = ("Convolution", "GroupConvolution", "MatMul")


def write_openvino(graph, folder, quantization=None, representative=None):
    """Write `model.xml` and `model.bin`.

    Args:
        graph: A `ServedGraph`.
        folder: Folder that exists.
        quantization: `None`; `"float16"` for weights stored in float16; `"int8"` for
            weights and activations, by NNCF, but for what `choose_kept` keeps.
        representative: For int8, uint8 images `(n, height, width, channels)` like
            those to come.

    Raises:
        ImportError: If a package is missing.
        EngineError: If the graph holds what OpenVINO does not know.
    """
    openvino = import_openvino()
    model = read_graph(openvino.Core(), graph)
    _rename(model, graph.names)
    if quantization == "int8":
        model = _quantize(model, representative)
    openvino.save_model(
        model, str(Path(folder, FILE)), compress_to_fp16=quantization is not None
    )


def _rename(model, names):
    # Names of inner tensors go: merged into an output, they become other names of it.
    ports = [port for node in model.get_ordered_ops() for port in node.outputs()]
    kept = [{names[old] for old in port.get_names() & names.keys()} for port in ports]
    for port, new in zip(ports, kept, strict=True):
        port.get_tensor().set_names(new)


def _quantize(model, representative):
    # Whatever NNCF finds (PyTorch, TensorFlow) it imports, with warnings of theirs.
    with contain_logs():
        with without_telemetry("nncf"):
            import nncf

        images = nncf.Dataset([image[None] for image in representative])
        kept = nncf.IgnoredScope(names=_choose_kept(model))
        count = len(representative)
        return nncf.quantize(model, images, subset_size=count, ignored_scope=kept)


def _choose_kept(model):
    """Names of the layers that stay in float."""
    layers = [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() in _KERNELS and _is_constant(node.input_value(1))
    ]
    sizes = [math.prod(node.input(1).get_shape()) for node in layers]
    first, last = choose_kept(sizes)
    kept = layers[:first] + (layers[-1:] if last else [])
    return [node.get_friendly_name() for node in kept]


def _is_constant(output):
    """Whether nothing above an output is an input of the model."""
    waiting, seen = [output.get_node()], set()
    while waiting:
        node = waiting.pop()
        if node.get_type_name() == "Parameter":
            return False
        above = [each.get_node() for each in node.input_values()]
        waiting += [x for x in above if x.get_friendly_name() not in seen]
        seen |= {x.get_friendly_name() for x in above}
    return True
