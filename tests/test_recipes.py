import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.py"))
each_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@each_recipe
def test_the_smoke_run_goes_through(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(path).main(smoke=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"backbone": "keras:VGG16", "image_size": 32},
        {"backbone": "keras:MobileNetV2", "image_size": 32, "head": "conv_transpose"},
        {"backbone": "keras:MobileNetV2", "alpha": 0.35, "image_size": 96},
    ],
)
def test_the_other_networks_of_the_cifar10_header_go_through(
    options, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (path,) = (path for path in RECIPES if path.stem == "cifar10")
    assert load(path).main(smoke=True, **options) is not None


@pytest.mark.slow
@each_recipe
def test_help_tells_how_to_run_it_and_what_came_out(path):
    output = subprocess.run(
        [sys.executable, str(path), "--help"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for word in ("Run: ", "Try it: ", "Result: ", "Writes: ", "--smoke"):
        assert word in output


@each_recipe
def test_the_header_holds_a_measured_result(path):
    header = path.read_text().split('"""')[1]
    assert "not yet measured" not in header
    assert "%" in header and "2026" in header
