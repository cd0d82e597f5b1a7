import numpy as np
import pytest

from tftransfer.formats import proof
from tftransfer.formats.onnx_format import write_onnx
from tftransfer.formats.proof import count_bytes, format_proofs, prove_model


def prove(colors, path, **changes):
    options = {"task_name": "classification", "precision": "float32"}
    options |= {"labels": colors.labels, **changes}
    return prove_model("onnx", path, colors.images, colors.live, **options)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(proof, "RUNS", 5)


@pytest.mark.usefixtures("short")
def test_a_model_is_served_in_a_fresh_process_with_its_runtime_alone(colors, written):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    folder = written(write_onnx)
    found = prove(colors, folder)
    assert found["accepted"] and found["reason"] is None
    assert 0 < found["relative_difference"] <= 1e-4
    assert found["equal_decisions"] == 1.0
    assert found["accuracy"] == found["live_accuracy"] > 0.9
    assert found["runtime"].startswith("onnxruntime ")
    assert 0 < found["latency_ms_p50"] <= found["latency_ms_p99"]
    assert found["rows_per_second"] > 0
    assert found["bytes"] == (folder / "model.onnx").stat().st_size


def test_a_file_that_cannot_be_loaded_is_refused_with_its_last_words(colors, tmp_path):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    (tmp_path / "model.onnx").write_bytes(b"no model")
    found = prove(colors, tmp_path)
    assert not found["accepted"]
    assert found["reason"].startswith("exit status 1 of a fresh process")
    assert "model.onnx" in found["reason"]


def test_other_outputs_than_the_live_ones_are_refused(colors, tmp_path, monkeypatch):
    shifted = colors.live["logits"] + np.float32(0.1)
    served = {**colors.live, "logits": shifted}, {"runtime": "x"}
    monkeypatch.setattr(proof, "run_in_fresh_process", lambda *_: served)
    found = prove(colors, tmp_path)
    assert not found["accepted"]
    assert found["max_difference"] == pytest.approx(0.1, abs=1e-6)
    assert prove(colors, tmp_path, precision="int8")["accepted"]


def test_all_files_of_a_folder_count(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"4567")
    assert count_bytes(tmp_path) == 7


def test_the_table_shows_every_figure():
    found = {
        "accepted": True,
        "relative_difference": 1.24e-5,
        "equal_decisions": 0.995,
        "mean_absolute_error": 0.25,
        "latency_ms_p50": 1.234,
        "latency_ms_p99": 56.7,
        "rows_per_second": 890.4,
        "bytes": 1_250_000,
    }
    titles, row = format_proofs({"onnx": found}).splitlines()
    assert row.split() == "onnx 1.2e-05 99.50% 0.2500 1.23 56.7 890 1.2".split()
    assert len(titles) == len(row)
