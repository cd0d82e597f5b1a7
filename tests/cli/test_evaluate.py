import argparse
import json

import keras
import numpy as np
import pytest
from PIL import Image

from tftransfer.cli import main
from tftransfer.cli.datasets import add_reading_arguments
from tftransfer.cli.evaluate import load_rows
from tftransfer.resizing import build_resizing

COLORS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture
def colors(tmp_path):
    """A folder with three classes of two plain images each."""
    for name, color in COLORS.items():
        (tmp_path / "colors" / name).mkdir(parents=True)
        for number in range(2):
            path = tmp_path / "colors" / name / f"{number}.png"
            Image.new("RGB", (9, 6 + number), color).save(path)
    return tmp_path / "colors"


@pytest.fixture
def save_run(tmp_path):
    """Save a model that answers with the mean of each channel, and what it was."""

    def save(names, task="classification", loss=None, crop=False):
        inputs = keras.Input((None, None, 3))
        x = build_resizing((4, 4), crop=crop)(inputs, training=False)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
        model = keras.Model(inputs, x)
        loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(loss=loss)
        (tmp_path / "run").mkdir()
        model.save(tmp_path / "run" / "model.keras")
        about = {"class_names": names, "task": task}
        (tmp_path / "run" / "metadata.json").write_text(json.dumps(about))
        return str(tmp_path / "run")

    return save


@pytest.fixture
def write_table(tmp_path, colors):
    """Write a CSV file with one row for each image: how much of a color it holds."""

    def write(*columns):
        rows = [",".join(["image", *columns])]
        for path in sorted(colors.rglob("*.png")):
            held = [str(int(path.parent.name == column)) for column in columns]
            rows.append(",".join([str(path), *held]))
        (tmp_path / "colors.csv").write_text("\n".join(rows))
        return str(tmp_path / "colors.csv")

    return write


def figures(capsys, *words):
    assert main.main(["evaluate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def mistake(capsys, *words):
    assert main.main(["evaluate", *words]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    return errors


def test_the_class_order_of_training_is_kept(save_run, colors, capsys):
    found = figures(capsys, save_run(["red", "green", "blue"]), str(colors))
    assert found["class_names"] == ["red", "green", "blue"]
    assert found["confusion"] == np.diag([2, 2, 2]).tolist()


def test_other_classes_than_those_of_training_are_refused(save_run, colors, capsys):
    errors = mistake(capsys, save_run(["red", "green", "yellow"]), str(colors))
    assert (
        "classes ['red', 'green', 'yellow']. Received: directories ['blue']" in errors
    )


def test_images_are_prepared_by_the_layer_of_the_model(
    save_run, colors, capsys, monkeypatch
):
    sizes = []
    real = main._COMMANDS["evaluate"].load_datasets
    monkeypatch.setattr(
        main._COMMANDS["evaluate"],
        "load_datasets",
        lambda *given, **options: sizes.append(given[1]) or real(*given, **options),
    )
    figures(capsys, save_run(["red", "green", "blue"], crop=True), str(colors))
    assert isinstance(sizes[0], keras.layers.Resizing)
    assert sizes[0].crop_to_aspect_ratio


def test_several_labels_are_read_in_the_order_of_training(
    save_run, write_table, capsys
):
    loss = keras.losses.BinaryCrossentropy()
    run = save_run(["red", "green", "blue"], "multi_label", loss)
    table = write_table("blue", "red", "green")
    assert figures(capsys, run, table)["metrics"]["subset_accuracy"] == 1
    columns = ["--label-columns", "blue,red,green"]
    errors = mistake(capsys, run, table, *columns)
    assert "in this order. Received: ['blue', 'red', 'green'] in" in errors


def test_values_are_measured_as_values(save_run, write_table, capsys):
    loss = keras.losses.MeanSquaredError()
    run = save_run(["red", "green", "blue"], "regression", loss)
    found = figures(capsys, run, write_table("red", "green", "blue"))
    assert found["task"] == "regression"
    assert found["metrics"]["mean_absolute_error"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_without_a_resizing_layer_the_input_tells_the_size(tmp_path, colors, capsys):
    model = keras.Sequential(
        [
            keras.Input((5, 7, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Softmax(),
        ]
    )
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy())
    model.save(tmp_path / "model.keras")
    assert figures(capsys, str(tmp_path / "model.keras"), str(colors))["num_rows"] == 6


@pytest.mark.parametrize(("part", "count"), [("train", 6), ("test", 4)])
def test_the_part_asked_for_is_loaded(tmp_path, part, count):
    for name, number in (("train", 3), ("test", 2)):
        for kind in ("a", "b"):
            folder = tmp_path / name / kind
            folder.mkdir(parents=True)
            for index in range(number):
                pixels = np.full((8, 8, 3), 40 * index, "uint8")
                Image.fromarray(pixels).save(folder / f"{index}.png")
    parser = argparse.ArgumentParser()
    add_reading_arguments(parser)
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))
    data = load_rows(
        parser.parse_args([]), str(tmp_path), model, ["a", "b"], None, part
    )
    assert sum(len(labels) for _, labels in data) == count
