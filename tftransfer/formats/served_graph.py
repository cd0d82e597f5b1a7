"""A model as a graph from uint8 images of one size to named outputs."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tftransfer.engines.frozen_graph import Graphs, keep_needed

IMAGES = "images"


@dataclasses.dataclass(frozen=True)
class ServedGraph:
    """What every format is written from.

    Attributes:
        graph_def: A `tf.compat.v1.GraphDef` without variables.
        inputs: Dictionary with the one input tensor, `"images:0"`, and its
            `tf.TensorSpec`, uint8 `(None, height, width, channels)`.
        outputs: Names of the outputs, each of a tensor of that name.
    """

    graph_def: Any
    inputs: dict
    outputs: tuple

    @property
    def names(self):
        """Dictionary from tensors of the graph to the names that users read."""
        return {f"{name}:0": name for name in (IMAGES, *self.outputs)}


def build_served_graph(predict, image_shape, name_outputs):
    """Freeze a model, its preprocessing inside, for images of one size.

    Resizing that has nothing to do at that size is left out: other runtimes know none
    that filters.

    Args:
        predict: Callable from a uint8 tensor `(batch, height, width, channels)` to
            what the model gives for it, as at inference.
        image_shape: `(height, width, channels)`.
        name_outputs: Callable from what `predict` gives to a dictionary of tensors.

    Returns:
        A `ServedGraph`.

    Raises:
        EngineError: If something in the model cannot become a constant.

    Example:

    >>> graph = build_served_graph(
    ...     lambda images: tf.cast(images, tf.float32)[:, 0, 0],
    ...     (2, 2, 3),
    ...     lambda outputs: {"probabilities": tf.nn.softmax(outputs)},
    ... )
    >>> graph.names
    {'images:0': 'images', 'probabilities:0': 'probabilities'}
    """
    example = np.zeros((2, *image_shape), "uint8")
    frozen = Graphs(predict, example).freeze([example])
    spec = tf.TensorSpec([None, *image_shape], tf.uint8, name=IMAGES)
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(spec.dtype, spec.shape, name=IMAGES)
        (raw,) = tf.graph_util.import_graph_def(
            frozen.graph_def,
            input_map=dict.fromkeys(frozen.inputs, images),
            return_elements=[frozen.output],
        )
        outputs = name_outputs(raw)
        for name, tensor in outputs.items():
            tf.identity(tensor, name=name)
    # The input that `images` stands for is there still.
    graph_def = keep_needed(graph.as_graph_def(), [IMAGES, *outputs])
    return ServedGraph(graph_def, {f"{IMAGES}:0": spec}, tuple(outputs))
