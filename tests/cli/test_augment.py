"""`--augment` of the commands that average over views."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import tftransfer as tft
from tftransfer.cli import main


@pytest.fixture
def run(tmp_path):
    """A trained folder whose model looks at the upper left quarter alone."""
    inputs = keras.Input((8, 8, 3))
    corner = keras.layers.Cropping2D(((0, 4), (0, 4)))(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 99)(corner))
    model = keras.Model(inputs, x)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run" / "model.keras")
    about = {"class_names": ["red", "green", "blue"], "task": "classification"}
    (tmp_path / "run" / "metadata.json").write_text(json.dumps(about))
    return str(tmp_path / "run")


@pytest.fixture
def folder(tmp_path):
    """One image of each class, whose color is in the lower right corner."""
    for place, name in enumerate(["red", "green", "blue"]):
        pixels = np.zeros((8, 8, 3), "uint8")
        pixels[..., place - 1] = 30  # elsewhere a little of another one
        pixels[4:, 4:] = 255 * np.eye(3)[place]
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / name / "0.png")
    return str(tmp_path / "photos")


def accuracy(capsys, *words):
    assert main.main(["evaluate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["metrics"]["accuracy"]


def test_evaluate_averages_over_views(run, folder, capsys):
    assert accuracy(capsys, run, folder) == 0
    assert accuracy(capsys, run, folder, "--augment", "4") == 1
    assert accuracy(capsys, run, folder, "--augment", "rotate180") == 1
    assert accuracy(capsys, run, folder, "--augment", "flip,shift_up") == 0


@pytest.mark.slow
def test_export_keeps_the_views(run, folder, tmp_path, capsys):
    output = str(tmp_path / "export")
    words = ["export", f"{run}/model.keras", output, "--augment", "flip,rotate180"]
    assert main.main(words) == 0
    views = tft.load_exported(output).metadata["augment"]
    assert views == ["identity", "flip", "rotate180"]
    capsys.readouterr()
    assert main.main(["predict", output, f"{folder}/red/0.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] == "red"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--augment", "3"), "one of [1, 2, 4, 8]. Received: augment=3"),
        (("--augment", "spin"), "Received: augment='spin'"),
    ],
)
def test_unknown_views_are_a_mistake(run, folder, capsys, words, message):
    assert main.main(["evaluate", run, folder, *words]) == 2
    assert message in capsys.readouterr().err
