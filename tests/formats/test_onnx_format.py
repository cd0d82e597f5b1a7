import numpy as np
import pytest

from tftransfer.formats.onnx_format import write_onnx
from tftransfer.formats.run_alone import load_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")


def size_of(folder):
    return (folder / "model.onnx").stat().st_size


def test_a_model_gives_the_live_outputs_for_any_number_of_images(colors, written):
    serve = load_onnx(written(write_onnx), 1)
    for count in (1, 7):
        outputs = serve(colors.images[:count])
        assert set(outputs) == {"logits", "probabilities"}
        for name, values in outputs.items():
            np.testing.assert_allclose(values, colors.live[name][:count], atol=1e-4)


def test_input_and_outputs_are_named_and_typed(written):
    graph = onnx.load_model(written(write_onnx) / "model.onnx").graph
    (images,) = graph.input
    shape = images.type.tensor_type.shape.dim
    assert images.name == "images"
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [side.dim_param or side.dim_value for side in shape] == ["batch", 16, 16, 3]
    assert {output.name for output in graph.output} == {"logits", "probabilities"}


def test_float16_halves_the_weights_and_changes_little(colors, written):
    small = onnx.load_model(written(write_onnx, "float16") / "model.onnx")
    stored = [each for each in small.graph.initializer if each.dims]
    assert not [each for each in stored if each.data_type == onnx.TensorProto.FLOAT]
    weights = sum(weight.size for weight in colors.model.get_weights())
    saved = size_of(written(write_onnx)) - size_of(written(write_onnx, "float16"))
    assert saved > weights  # two bytes each; casts and folded BatchNormalization cost
    logits = load_onnx(written(write_onnx, "float16"), 1)(colors.images)["logits"]
    difference = np.abs(logits - colors.live["logits"]).max()
    assert 0 < difference < 5e-3 * np.ptp(colors.live["logits"], axis=0).max()


def test_int8_computes_in_int8_and_decides_the_same(colors, written):
    folder = written(write_onnx, "int8")
    nodes = onnx.load_model(folder / "model.onnx").graph.node
    assert "QuantizeLinear" in {node.op_type for node in nodes}
    logits = load_onnx(folder, 1)(colors.images)["logits"]
    assert np.mean(logits.argmax(1) == colors.live["logits"].argmax(1)) >= 0.99
