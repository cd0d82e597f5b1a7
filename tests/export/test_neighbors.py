"""A new export keeps what tells of the model, and refuses to where it would not."""

import json

import pytest

from tftransfer.export.neighbors import check_neighbors, keep_neighbors


@pytest.fixture
def run(tmp_path):
    """A folder as `tftransfer train` leaves it."""
    folder = tmp_path / "run"
    (folder / "1").mkdir(parents=True)
    (folder / "onnx").mkdir()
    (folder / "plots" / "more").mkdir(parents=True)
    (folder / "metadata.json").write_text(json.dumps({"weights_sha256": "a"}))
    for name in ("parity.json", "model.keras", "plots/more/history.png"):
        (folder / name).write_text(name)
    return folder


def test_what_no_export_writes_is_kept(run, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    check_neighbors(run, "a")
    keep_neighbors(run, new)
    files = sorted(str(x.relative_to(new)) for x in new.rglob("*") if x.is_file())
    assert files == ["model.keras", "plots/more/history.png"]
    assert (new / "model.keras").read_text() == "model.keras"


def test_other_weights_are_refused_beside_them(run):
    match = "holds model.keras, plots beside an export of other weights, or one whose"
    with pytest.raises(ValueError, match=match):
        check_neighbors(run, "b")
    for name in ("model.keras", "plots"):
        (run / name).rename(run.parent / name)
    check_neighbors(run, "b")


@pytest.mark.parametrize("text", ["{damaged", "[1]"])
def test_a_description_that_cannot_be_read_is_told(run, text):
    (run / "metadata.json").write_text(text)
    with pytest.raises(ValueError, match="whose metadata.json is damaged. Choose"):
        check_neighbors(run, "a")


def test_a_new_folder_has_none(tmp_path):
    check_neighbors(tmp_path / "new", "a")
    keep_neighbors(tmp_path / "new", tmp_path)
    assert list(tmp_path.iterdir()) == []
