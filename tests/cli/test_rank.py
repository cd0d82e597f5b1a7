"""`tftransfer rank` on images, texts and values."""

import json

import numpy as np
import pytest
from PIL import Image

from tftransfer.cli import main


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "store"))


def test_networks_are_compared_and_drawn(photos, tiny_backbone, tmp_path, capsys):
    words = ["rank", str(photos), "--backbones", str(tiny_backbone)]
    words += ["--scores", "logme,knn", "--sort-by", "knn", "--image-size", "32"]
    output = tmp_path / "ranking"
    assert main.main([*words, "--output", str(output)]) == 0
    told = capsys.readouterr().out
    assert "classification, 40 rows, sorted by kNN" in told
    assert "LogME" in told and "H-score" not in told
    ranking = json.loads((output / "ranking.json").read_text())
    (row,) = ranking["rows"]
    assert row["features"] == 3 and row["knn"] == 1.0  # the classes are two colors
    with Image.open(output / "ranking.png") as image:
        assert image.size == (800, 500)
    assert main.main([*words, "--output", str(output)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_another_place_is_told_apart(photos, tiny_backbone, tmp_path, capsys):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(30):
        pixels = rng.integers(200, 256, (32, 32, 3), dtype="uint8")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    words = ["rank", str(photos), "--backbones", str(tiny_backbone), "--json"]
    words += ["--scores", "knn", "--image-size", "32", "--target", str(folder)]
    assert main.main(words) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["a_distance"] > 1.5  # of at most 2


def test_values_of_a_table_are_ranked_by_logme(photos, tiny_backbone, tmp_path, capsys):
    files = sorted(photos.rglob("*.png"))
    lines = [f"{file},{np.asarray(Image.open(file)).mean():.4f}" for file in files]
    table = tmp_path / "table.csv"
    table.write_text("image,brightness\n" + "\n".join(lines) + "\n")
    words = ["rank", str(table), "--label-columns", "brightness", "--json"]
    words += ["--task", "regression", "--backbones", str(tiny_backbone)]
    assert main.main([*words, "--image-size", "32"]) == 0
    ranking = json.loads(capsys.readouterr().out)
    assert ranking["task"] == "regression"
    assert ranking["rows"][0]["logme"] is not None
    assert ranking["rows"][0]["h_score"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scores", "logmee"], "Did you mean 'logme'"),
        (
            ["--scores", "knn", "--sort-by", "logme"],
            "`--sort-by` must be one of ['knn']",
        ),
        (["--backbones", "pip:efficientnet_lite9"], "pip:efficientnet_lite9"),
        (["--target", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_told_in_a_line(photos, words, message, capsys):
    assert main.main(["rank", str(photos), "--image-size", "32", *words]) == 2
    assert message in capsys.readouterr().err
