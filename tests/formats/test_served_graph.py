import numpy as np
import pytest
import tensorflow as tf

from tftransfer.engines.interface import EngineError
from tftransfer.formats.served_graph import build_served_graph
from tftransfer.resizing import build_resizing


def run(graph, images):
    with tf.compat.v1.Session(graph=import_graph(graph)) as session:
        return session.run(
            [f"{name}:0" for name in graph.outputs], {"images:0": images}
        )


def import_graph(graph):
    imported = tf.Graph()
    with imported.as_default():
        tf.graph_util.import_graph_def(graph.graph_def, name="")
    return imported


def test_the_graph_gives_what_the_live_model_gives_for_any_number_of_images(colors):
    for count in (1, 7):
        logits, probabilities = run(colors.graph, colors.images[:count])
        np.testing.assert_allclose(logits, colors.live["logits"][:count], atol=1e-5)
        np.testing.assert_allclose(
            probabilities, colors.live["probabilities"][:count], atol=1e-6
        )


def test_the_graph_has_one_input_and_no_variables(colors):
    nodes = colors.graph.graph_def.node
    assert [node.name for node in nodes if node.op == "Placeholder"] == ["images"]
    assert not [node for node in nodes if "Var" in node.op]
    assert colors.graph.names == {
        "images:0": "images",
        "logits:0": "logits",
        "probabilities:0": "probabilities",
    }


def test_resizing_at_its_own_size_is_left_out():
    resizing = build_resizing((6, 4))

    def predict(images):
        return tf.reduce_mean(resizing(tf.cast(images, tf.float32)), axis=[1, 2])

    graph = build_served_graph(predict, (6, 4, 3), lambda raw: {"values": raw})
    assert "ScaleAndTranslate" not in {node.op for node in graph.graph_def.node}
    images = np.arange(2 * 6 * 4 * 3, dtype="uint8").reshape(2, 6, 4, 3)
    np.testing.assert_allclose(run(graph, images)[0], images.mean((1, 2)), rtol=1e-6)


def test_a_table_cannot_be_frozen():
    keys = tf.lookup.KeyValueTensorInitializer([0], [1.0], tf.int64, tf.float32)
    table = tf.lookup.StaticHashTable(keys, 0.0)

    def predict(images):
        return table.lookup(tf.cast(images[:, 0, 0, :1], tf.int64))

    with pytest.raises(EngineError, match="looks something up in a table"):
        build_served_graph(predict, (2, 2, 3), lambda raw: {"values": raw})
