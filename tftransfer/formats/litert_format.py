"""Models for LiteRT, once called TensorFlow Lite."""

import math
from pathlib import Path

import tensorflow as tf

from tftransfer.engines.onnx_engine import contain_logs
from tftransfer.formats.kept_float import choose_kept

FILE = "model.tflite"
_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def write_litert(graph, folder, quantization=None, representative=None):
    """Write `model.tflite`, with a signature that names inputs and outputs.

    Args:
        graph: A `ServedGraph`.
        folder: Folder that exists.
        quantization: `None`; `"float16"` for weights stored in float16; `"int8"` for
            weights, one scale a channel, and activations, but for what `choose_kept`
            keeps.
        representative: For int8, uint8 images `(n, height, width, channels)` like
            those to come.
    """
    (spec,) = graph.inputs.values()

    @tf.function(input_signature=[spec], autograph=False)
    def serve(images):
        outputs = tf.graph_util.import_graph_def(
            graph.graph_def,
            input_map=dict.fromkeys(graph.inputs, images),
            return_elements=[f"{name}:0" for name in graph.outputs],
        )
        return dict(zip(graph.outputs, outputs, strict=True))

    def build_converter():
        return tf.lite.TFLiteConverter.from_concrete_functions(
            [serve.get_concrete_function()], tf.Module()
        )

    with contain_logs():
        written = _convert(build_converter, quantization, representative)
    Path(folder, FILE).write_bytes(written)


def _convert(build_converter, quantization, representative):
    converter = build_converter()
    if quantization is None:
        return converter.convert()
    if quantization == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return converter.convert()
    kept = _choose_kept(converter.convert())
    converter = build_converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in representative)
    if not kept:
        return converter.convert()
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
    # It alone can leave layers out; nothing is debugged.
    quantizer = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=converter.representative_dataset,
        debug_options=options,
    )
    return quantizer.get_nondebug_quantized_model()


def _choose_kept(model):
    """Names of the outputs of the operations that stay in float."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    tensors = {each["index"]: each for each in interpreter.get_tensor_details()}
    # No other way tells the operations.
    operations = interpreter._get_ops_details()
    places = [
        place
        for place, operation in enumerate(operations)
        if operation["op_name"] in _KERNELS
    ]
    sizes = [
        math.prod(tensors[operations[place]["inputs"][1]]["shape"]) for place in places
    ]
    first, last = choose_kept(sizes)
    start = places[first] if first else 0  # what is done to the pixels, too
    end = places[-1] if last else len(operations)
    return [
        tensors[operation["outputs"][0]]["name"]
        for operation in [*operations[:start], *operations[end:]]
        if operation["op_name"] != "CAST"
    ]
