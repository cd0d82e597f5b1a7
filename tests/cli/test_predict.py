"""`tftransfer predict` and `export --formats`, on a model that tells colors apart."""

import csv
import json
import random
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import tftransfer as tft
from tftransfer.cli import main

KILLS = 2


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A model whose logits are the mean of each color; its classes are two of them."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 25)(inputs))
    dense = keras.layers.Dense(2)
    model = keras.Model(inputs, dense(x))
    dense.set_weights([np.array([[1.0, 0], [0, 1], [0, 0]]), np.zeros(2)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    folder = tmp_path_factory.mktemp("run")
    model.save(folder / "model.keras")
    about = {"class_names": ["class 0", "class 1"], "task": "classification"}
    (folder / "metadata.json").write_text(json.dumps(about))
    return str(folder / "model.keras")


@pytest.fixture(scope="module")
def exported(model_file, tmp_path_factory):
    output = str(tmp_path_factory.mktemp("export") / "colors")
    assert main.main(["export", model_file, output]) == 0
    return output


@pytest.mark.slow
def test_a_folder_goes_into_a_file(exported, photos, tmp_path, capsys):
    output = tmp_path / "out.csv"
    assert main.main(["predict", exported, str(photos), "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"40 rows in {output}\n"
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    predictions = tft.load_exported(exported).predict([row["source"] for row in rows])
    assert [row["label"] for row in rows] == predictions.labels
    assert main.main(["predict", exported, str(photos), "--output", str(output)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    words = ["predict", exported, str(photos), "--engine", "onnx"]
    assert main.main(words) == 2
    assert "which this export holds" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_killed_at_random_end_in_the_same_file(exported, photos, tmp_path):
    table = tmp_path / "many.csv"
    files = [str(path) for path in sorted(photos.rglob("*.png"))]
    table.write_text("\n".join(["image", *files * 50]) + "\n")
    whole, output = tmp_path / "whole.csv", tmp_path / "out.csv"
    words = ["predict", exported, str(table), "--batch-size", "4", "--output"]
    assert main.main([*words, str(whole)]) == 0

    journal = tmp_path / ".partial-out.csv"
    draw, size = random.Random(0), 0
    command = [sys.executable, "-m", "tftransfer", *words, str(output)]
    for _ in range(KILLS):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and size_of(journal) <= size:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
        assert size_of(journal) > size
        size = size_of(journal)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "of them from a run that was stopped" in done.stdout
    assert output.read_bytes() == whole.read_bytes()
    assert not journal.exists()


def size_of(path):
    return path.stat().st_size if path.exists() else 0


@pytest.mark.slow
def test_formats_are_measured_on_the_rows_named(model_file, photos, tmp_path, capsys):
    for module in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    output = str(tmp_path / "colors")
    words = ["export", model_file, output, "--formats", "onnx"]
    assert main.main([*words, "--examples", str(photos)]) == 0
    parity = json.loads((tmp_path / "colors" / "parity.json").read_text())
    assert "onnx" in json.dumps(parity)
    capsys.readouterr()
    files = [str(path) for path in sorted(photos.rglob("*.png"))[:3]]
    answers = []
    for engine in ("tensorflow", "onnx"):
        assert main.main(["predict", output, *files, "--engine", engine, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    for found, wanted in zip(*answers, strict=True):
        assert found["label"] == wanted["label"]
        assert found["probability"] == pytest.approx(wanted["probability"], rel=1e-4)


@pytest.mark.slow
def test_int8_needs_rows_that_tell_how_large_activations_get(
    model_file, photos, tmp_path, capsys
):
    words = ["export", model_file, str(tmp_path / "x"), "--formats", "onnx"]
    assert main.main([*words, "--quantization", "int8"]) == 2
    assert "representative_data" in capsys.readouterr().err


@pytest.mark.slow
def test_features_and_strange_rows_are_asked_for_by_name(
    model_file, photos, tmp_path, capsys
):
    words = ["export", model_file, str(tmp_path / "x"), "--extra", "features"]
    named = ["--domain-shift", str(photos), "--examples", str(photos)]
    assert main.main([*words, *named]) == 0
    exported = tft.load_exported(tmp_path / "x")
    files = [str(path) for path in sorted(photos.rglob("*.png"))[:3]]
    assert exported.features(files).shape == (3, 3)
    threshold = exported.metadata["extra_signatures"]["domain_shift"]["threshold"]
    known = [str(path) for path in sorted(photos.rglob("*.png"))]
    scores = exported.domain_shift(known)
    assert (scores <= threshold * (1 + 1e-4)).mean() == 0.95
    grey = np.full((32, 32, 3), 255, "uint8")
    assert exported.domain_shift([grey])[0] > 2 * threshold
    words = ["export", model_file, str(tmp_path / "y"), "--extra", "heat"]
    capsys.readouterr()
    assert main.main(words) == 2
    assert "give --domain-shift DATA" in capsys.readouterr().err
    words[-1] = "explain"
    assert main.main(words) == 2
    assert "must have a feature map" in capsys.readouterr().err
