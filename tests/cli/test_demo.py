import json
import re

import pytest

from tftransfer.cli import demo, main


@pytest.mark.slow
def test_the_demo_trains_draws_exports_and_asks(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main.main(["demo", "--epochs", "1"]) == 0
    output = capfd.readouterr().out
    assert "CC BY-NC-SA 4.0" in output
    assert "SVM 82.44, VGG-19 88.42, ResNet-152 90.13 %" in output
    accuracy = float(re.search(r"Test accuracy ([\d.]+) %", output)[1])
    evaluation = json.loads(
        (tmp_path / "saved_models/elpv/evaluation.json").read_text()
    )
    assert accuracy == round(100 * evaluation["metrics"]["accuracy"], 2)
    assert accuracy > 75  # 68.8 % of the test cells are functional
    assert (
        len(re.findall(r"cell\d+\.png +(?:functional|defective) +[01]\.", output)) == 6
    )
    for name in ("history.png", "confusion.png", "examples.png", "1/saved_model.pb"):
        assert (tmp_path / "saved_models/elpv" / name).is_file()


def test_the_cells_asked_about_are_six_different_test_cells():
    cells = demo._choose_cells(seed=0)
    assert len(set(cells)) == 6
