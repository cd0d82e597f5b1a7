"""What int8 leaves in float, and what that is good for."""

import importlib

import numpy as np
import pytest

from tests.formats.conftest import make_images
from tftransfer.formats import kept_float, run_alone
from tftransfer.formats.kept_float import choose_kept

NEEDS = {"onnx": "onnxruntime", "openvino": "nncf", "litert": "ai_edge_litert"}


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([10, 10, 10, 10, 10, 10, 100_000, 500], (5, True)),  # five at most
        ([864, 288, 512, 1536, 864, 100_000, 300_000, 2_000], (4, False)),
        ([4_000, 300_000, 102_400, 10], (1, True)),
        ([5_000, 100_000], (0, False)),  # above a hundredth
        ([7], (0, False)),
        ([], (0, False)),
    ],
)
def test_a_hundredth_of_the_weights_is_kept_at_most(sizes, kept):
    assert choose_kept(sizes) == kept
    first, last = kept
    assert sum(sizes[:first]) + (sizes[-1] if last else 0) <= 0.01 * sum(sizes)


@pytest.mark.parametrize("name", NEEDS)
def test_pixels_and_outer_layers_in_float_bring_the_outputs_nearer(
    name, colors, written, tmp_path, monkeypatch
):
    pytest.importorskip(NEEDS[name])
    module = importlib.import_module(f"tftransfer.formats.{name}_format")
    write, load = getattr(module, f"write_{name}"), getattr(run_alone, f"load_{name}")

    def error(folder):
        logits = load(folder, 1)(colors.images)["logits"]
        return np.sqrt(np.mean((logits - colors.live["logits"]) ** 2))

    plain = error(written(write, "int8"))
    # Of 5,016 weights the first layer has 216 and the last 192.
    monkeypatch.setattr(kept_float, "SHARE", 0.1)
    write(colors.graph, tmp_path, "int8", make_images(2)[0])
    assert 0 < error(tmp_path) < 0.6 * plain
