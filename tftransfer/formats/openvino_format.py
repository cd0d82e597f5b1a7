"""Models for OpenVINO."""

from pathlib import Path

from tftransfer.engines.onnx_engine import contain_logs
from tftransfer.engines.openvino_engine import (
    import_openvino,
    read_graph,
    without_telemetry,
)

FILE = "model.xml"


def write_openvino(graph, folder, quantization=None, representative=None):
    """Write `model.xml` and `model.bin`.

    Args:
        graph: A `ServedGraph`.
        folder: Folder that exists.
        quantization: `None`; `"float16"` for weights stored in float16; `"int8"` for
            weights and activations, by NNCF.
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
        return nncf.quantize(model, images, subset_size=len(representative))
