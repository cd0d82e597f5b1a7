"""README and docs stay true: their commands have the right shape, their code runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.S | re.M)


def test_the_first_two_commands_do_all_their_own_setup():
    demo, tests = blocks(README, "bash")[:2]
    for line in (demo, tests):
        assert line.count("\n") == 1
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert demo.endswith(".venv/bin/tftransfer demo\n")
    assert tests.endswith(".venv/bin/python -m pytest\n")


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


def test_every_room_is_on_the_map():
    rooms_page = (ROOT / "docs" / "rooms.md").read_text()
    package = ROOT / "tftransfer"
    rooms = [path.parent.name for path in package.glob("*/__init__.py")]
    for room in rooms:
        assert f"`tftransfer/{room}/`" in rooms_page


PROGRAMS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "python"), 1)
]


def make_photographs(folder):
    """Write what pages call `photos/` and `new_photos`: a folder, a file, a table."""
    from PIL import Image

    from tftransfer.data.synthetic import load_synthetic

    (data,) = load_synthetic(2, num_splits=1, num_examples=40)
    rows = [row for batch in data for row in zip(*map(list, batch), strict=True)]
    for number, (image, label) in enumerate(rows):
        name = f"{data.class_names[int(label)]}/{number}.png"
        for part in ("photos", "new_photos"):
            path = folder / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.numpy()).save(path)
    Image.fromarray(rows[0][0].numpy()).save(folder / "new_photos.jpg")
    (folder / "new_photos.csv").write_text("image\nnew_photos.jpg\nlost.jpg\n")


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_code_blocks_run(program, tmp_path):
    if '"photos/' in program:
        make_photographs(tmp_path)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)


SHELL = [
    line
    for page in PAGES
    for block in blocks(page, "bash")
    for line in block.splitlines()
    if line.startswith("tftransfer ")
]


@pytest.mark.slow
def test_the_shell_lines_of_the_readme_run_on_a_folder_of_photographs(tmp_path):
    make_photographs(tmp_path)
    for line in SHELL:
        words = line.replace("new_photos/one.jpg", "new_photos.jpg").split()[1:]
        subprocess.run(
            [sys.executable, "-m", "tftransfer", *words], cwd=tmp_path, check=True
        )
    answers = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert len(answers) == 2 and '"error": "is not there"' in answers[1]
