"""Models for LiteRT, once called TensorFlow Lite."""

from pathlib import Path

import tensorflow as tf

from tftransfer.engines.onnx_engine import contain_logs

FILE = "model.tflite"


def write_litert(graph, folder, quantization=None, representative=None):
    """Write `model.tflite`, with a signature that names inputs and outputs.

    Args:
        graph: A `ServedGraph`.
        folder: Folder that exists.
        quantization: `None`; `"float16"` for weights stored in float16; `"int8"` for
            weights, one scale a channel, and activations.
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

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [serve.get_concrete_function()], tf.Module()
    )
    if quantization is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        converter.representative_dataset = lambda: ([x[None]] for x in representative)
    with contain_logs():
        Path(folder, FILE).write_bytes(converter.convert())
