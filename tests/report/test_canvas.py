"""The page, its file, and what happens without matplotlib."""

import sys

import pytest
from PIL import Image

from tftransfer.report.canvas import check_figure_path, make_figure, save_figure


def test_twelve_inches_are_twelve_hundred_pixels(tmp_path):
    save_figure(make_figure(12, 5), tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as image:
        assert image.format == "PNG"
        assert image.size == (1200, 500)


@pytest.mark.parametrize("name", ["page.svg", "page.PDF"])
def test_other_formats_follow_the_name(tmp_path, name):
    save_figure(make_figure(2, 2), tmp_path / name)
    start = (tmp_path / name).read_bytes()[:5]
    assert start == {"page.svg": b"<?xml", "page.PDF": b"%PDF-"}[name]


def test_an_old_figure_is_replaced_whole_and_stays_when_drawing_fails(tmp_path):
    path = tmp_path / "page.png"
    path.write_bytes(b"old")
    figure = make_figure(2, 2)
    figure.savefig = fail
    with pytest.raises(OSError, match="No space left"):
        save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.png"]
    save_figure(make_figure(2, 2), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def fail(file, **options):
    file.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_the_users_own_plots_are_left_alone(tmp_path):
    save_figure(make_figure(2, 2), tmp_path / "page.png")
    assert "matplotlib.pyplot" not in sys.modules or not list(
        sys.modules["matplotlib.pyplot"].get_fignums()
    )


@pytest.mark.parametrize("name", ["page.txt", "page"])
def test_other_endings_are_refused(name):
    with pytest.raises(ValueError, match=rf"'.svg'\]. Received: path='{name}'"):
        check_figure_path(name)


def test_a_missing_matplotlib_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "tftransfer\[demo\]"'):
        make_figure(2, 2)
