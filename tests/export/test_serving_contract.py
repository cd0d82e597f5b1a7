"""What TensorFlow Serving asks of a model folder, and a request as it decodes one."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
PREDICT = "tensorflow/serving/predict"


def read_graph(path):
    content = saved_model_pb2.SavedModel.FromString(
        (path / "1" / "saved_model.pb").read_bytes()
    )
    (graph,) = content.meta_graphs
    return graph


def as_tensor_rows(instances):
    """Decode the "instances" of a REST request: base64 where an object says b64."""
    return [
        {
            name: base64.b64decode(value["b64"]) if isinstance(value, dict) else value
            for name, value in row.items()
        }
        for row in instances
    ]


@pytest.mark.parametrize("name", ["classes", "binary", "multi_label", "regression"])
def test_the_folder_is_one_that_a_server_watches(exports, name):
    path = exports[name].path
    versions = [x.name for x in path.iterdir() if x.is_dir() and x.name.isdecimal()]
    assert versions == ["1"]
    graph = read_graph(path)
    assert list(graph.meta_info_def.tags) == ["serve"]
    for key in ("serving_default", "serve_images"):
        signature = graph.signature_def[key]
        assert signature.method_name == PREDICT
        for tensor in [*signature.inputs.values(), *signature.outputs.values()]:
            assert tensor.tensor_shape.dim[0].size == -1, "the batch comes first"
    (given,) = graph.signature_def["serving_default"].inputs.items()
    assert given[0] == "image_bytes"
    assert given[1].dtype == tf.string.as_datatype_enum
    assert len(given[1].tensor_shape.dim) == 1
    # Outputs named so would come back as base64.
    outputs = graph.signature_def["serving_default"].outputs
    assert not [key for key in outputs if key.endswith("_bytes")]


def test_a_request_is_answered_row_by_row(exports, photo):
    export = exports["classes"]
    files = [tf.io.encode_png(photo(20, 30, seed=seed)).numpy() for seed in (1, 2)]
    request = json.dumps(
        {
            "signature_name": "serving_default",
            "instances": [
                {"image_bytes": {"b64": base64.b64encode(file).decode()}}
                for file in files
            ],
        }
    )
    body = json.loads(request)
    rows = as_tensor_rows(body["instances"])
    serve = tf.saved_model.load(str(export.path / "1")).signatures[
        body["signature_name"]
    ]
    outputs = serve(image_bytes=tf.constant([row["image_bytes"] for row in rows]))
    assert {len(value) for value in outputs.values()} == {2}
    live = export.model.predict(
        np.stack([photo(20, 30, seed=seed) for seed in (1, 2)]), verbose=0
    )
    np.testing.assert_allclose(outputs["logits"], live, rtol=1e-5, atol=1e-5)


def test_the_page_shows_a_request_and_an_answer_as_they_are(exports):
    request, answer = (
        json.loads(block)
        for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.S)
    )
    rows = as_tensor_rows(request["instances"])
    serve = tf.saved_model.load(str(exports["classes"].path / "1")).signatures[
        request["signature_name"]
    ]
    outputs = serve(image_bytes=tf.constant([row["image_bytes"] for row in rows]))
    (shown,) = answer["predictions"]
    assert set(shown) == set(outputs)
    for name, value in shown.items():
        assert np.ndim(value) == np.ndim(outputs[name]) - 1
    assert sum(shown["probabilities"]) == pytest.approx(1, abs=1e-3)
