import numpy as np
import pytest

from tftransfer.formats.litert_format import write_litert
from tftransfer.formats.run_alone import load_litert

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")


def size_of(folder):
    return (folder / "model.tflite").stat().st_size


def test_a_model_gives_the_live_outputs_for_any_number_of_images(colors, written):
    serve = load_litert(written(write_litert), 1)
    for count in (1, 7):
        outputs = serve(colors.images[:count])
        assert set(outputs) == {"logits", "probabilities"}
        for name, values in outputs.items():
            np.testing.assert_allclose(values, colors.live[name][:count], atol=1e-4)


def test_input_and_outputs_are_named_and_typed(written):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(
        model_path=str(written(write_litert) / "model.tflite")
    )
    (images,) = interpreter.get_input_details()
    assert images["dtype"] == np.uint8
    assert images["shape_signature"].tolist() == [-1, 16, 16, 3]
    assert interpreter.get_signature_list() == {
        "serving_default": {
            "inputs": ["images"],
            "outputs": ["logits", "probabilities"],
        }
    }


def test_float16_halves_the_weights_and_changes_little(colors, written):
    folder = written(write_litert, "float16")
    weights = sum(weight.size for weight in colors.model.get_weights())
    assert size_of(written(write_litert)) - size_of(folder) > weights
    logits = load_litert(folder, 1)(colors.images)["logits"]
    difference = np.abs(logits - colors.live["logits"]).max()
    assert 0 < difference < 5e-3 * np.ptp(colors.live["logits"], axis=0).max()


def test_int8_is_smaller_still_and_decides_the_same(colors, written):
    folder = written(write_litert, "int8")
    assert size_of(folder) < size_of(written(write_litert, "float16"))
    logits = load_litert(folder, 1)(colors.images)["logits"]
    assert np.mean(logits.argmax(1) == colors.live["logits"].argmax(1)) >= 0.99
