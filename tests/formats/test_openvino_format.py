import importlib.util

import numpy as np
import pytest

from tftransfer.engines.openvino_engine import import_openvino
from tftransfer.formats.openvino_format import write_openvino
from tftransfer.formats.run_alone import load_openvino

# Not importorskip, which would import them with their telemetry.
if not importlib.util.find_spec("openvino"):
    pytest.skip("OpenVINO is not installed", allow_module_level=True)
needs_nncf = pytest.mark.skipif(
    not importlib.util.find_spec("nncf"), reason="NNCF is not installed"
)


def read(folder):
    return import_openvino().Core().read_model(folder / "model.xml")


def test_a_model_gives_the_live_outputs_for_any_number_of_images(colors, written):
    serve = load_openvino(written(write_openvino), 1)
    for count in (1, 7):
        outputs = serve(colors.images[:count])
        assert set(outputs) == {"logits", "probabilities"}
        for name, values in outputs.items():
            np.testing.assert_allclose(values, colors.live[name][:count], atol=1e-4)


def test_input_and_outputs_are_named_and_typed(written):
    model = read(written(write_openvino))
    (images,) = model.inputs
    assert images.get_names() == {"images"}
    assert images.get_element_type().get_type_name() == "u8"
    assert str(images.get_partial_shape()) == "[?,16,16,3]"
    assert [port.get_names() for port in model.outputs] == [
        {"logits"},
        {"probabilities"},
    ]


def test_float16_halves_the_weights_and_changes_little(colors, written):
    folder, whole = written(write_openvino, "float16"), written(write_openvino)
    sizes = [(each / "model.bin").stat().st_size for each in (folder, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    logits = load_openvino(folder, 1)(colors.images)["logits"]
    difference = np.abs(logits - colors.live["logits"]).max()
    assert 0 < difference < 5e-3 * np.ptp(colors.live["logits"], axis=0).max()


@needs_nncf
@pytest.mark.slow  # what NNCF imports takes seconds
def test_int8_computes_in_int8_and_decides_the_same(colors, written):
    folder = written(write_openvino, "int8")
    kinds = {op.get_type_name() for op in read(folder).get_ops()}
    assert "FakeQuantize" in kinds
    logits = load_openvino(folder, 1)(colors.images)["logits"]
    assert np.mean(logits.argmax(1) == colors.live["logits"].argmax(1)) >= 0.99
