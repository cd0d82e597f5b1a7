import os
from pathlib import Path

import pytest

from tftransfer.writing import check_free_space, check_may_write, replace_when_whole


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def write_folder(path, text):
    path.mkdir()
    (path / "inside.txt").write_text(text)


def test_file_appears_only_when_whole(tmp_path):
    with replace_when_whole(tmp_path / "a.json") as partial:
        partial.write_text("new")
        assert not (tmp_path / "a.json").exists()
    assert (tmp_path / "a.json").read_text() == "new"
    assert listing(tmp_path) == ["a.json"]


def test_temporary_name_is_hidden_beside_the_target_and_keeps_the_suffix(tmp_path):
    with replace_when_whole(tmp_path / "history.png") as partial:
        partial.touch()
    assert partial.parent == tmp_path.resolve()
    assert partial.name.startswith(".") and partial.suffix == ".png"


def test_missing_parents_are_made(tmp_path):
    with replace_when_whole(tmp_path / "a" / "b" / "c.txt") as partial:
        partial.write_text("new")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "new"


def test_text_path_works(tmp_path):
    with replace_when_whole(str(tmp_path / "a.txt")) as partial:
        partial.write_text("new")
    assert listing(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("old_is_folder", [False, True])
@pytest.mark.parametrize("new_is_folder", [False, True])
def test_anything_is_replaced_by_anything(tmp_path, old_is_folder, new_is_folder):
    target = tmp_path / "x"
    write_folder(target, "old") if old_is_folder else target.write_text("old")
    with replace_when_whole(target, overwrite=True) as partial:
        write_folder(partial, "new") if new_is_folder else partial.write_text("new")
    written = target / "inside.txt" if new_is_folder else target
    assert written.read_text() == "new"
    assert listing(tmp_path) == ["x"]


def test_a_link_is_followed(tmp_path):
    write_folder(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    with replace_when_whole(tmp_path / "link", overwrite=True) as partial:
        write_folder(partial, "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "inside.txt").read_text() == "new"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_interruption_leaves_the_old_and_nothing_else(tmp_path, error):
    target = tmp_path / "x"
    write_folder(target, "old")
    with pytest.raises(error), replace_when_whole(target, overwrite=True) as partial:
        write_folder(partial, "half")
        raise error
    assert (target / "inside.txt").read_text() == "old"
    assert listing(tmp_path) == ["x"]


def test_interruption_removes_the_parents_it_made_but_no_others(tmp_path):
    (tmp_path / "mine").mkdir()
    target = tmp_path / "mine" / "new" / "newer" / "a.txt"
    with pytest.raises(OSError), replace_when_whole(target):
        raise OSError
    assert listing(tmp_path) == ["mine"]
    assert listing(tmp_path / "mine") == []


@pytest.mark.parametrize("failing_call", [1, 2])
def test_interruption_between_the_renames_brings_the_old_back(
    tmp_path, monkeypatch, failing_call
):
    target = tmp_path / "x"
    write_folder(target, "old")
    name = {1: "rename", 2: "replace"}[failing_call]
    rename = getattr(os, name)

    def interrupted(*paths):
        monkeypatch.setattr(os, name, rename)
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        replace_when_whole(target, overwrite=True) as partial,
    ):
        write_folder(partial, "new")
        monkeypatch.setattr(os, name, interrupted)
    assert (target / "inside.txt").read_text() == "old"
    assert listing(tmp_path) == ["x"]


def test_existing_path_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(ValueError, match=r"Received: path=.*x', which exists.*overwr"):
        with replace_when_whole(tmp_path / "x"):
            pytest.fail("the body must not run")
    assert (tmp_path / "x").read_text() == "old"


def test_path_that_appears_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(ValueError, match="Received: path=.* which exists"):
        with replace_when_whole(tmp_path / "x") as partial:
            partial.write_text("mine")
            (tmp_path / "x").write_text("theirs")
    assert (tmp_path / "x").read_text() == "theirs"
    assert listing(tmp_path) == ["x"]


def test_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ValueError, match="Received: path=.* which exists"):
        check_may_write(tmp_path / "link")


def test_path_inside_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Received: path=.*' is a file. Choose"):
        check_may_write(tmp_path / "file" / "x")


def test_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ValueError, match="Received: path=.* is not writable"):
        check_may_write(tmp_path / "x")


def test_disk_without_room_is_refused(tmp_path):
    check_free_space(tmp_path / "a" / "b", 1)
    with pytest.raises(ValueError, match="000,000 bytes free. Received: path=.*free"):
        check_free_space(Path(tmp_path, "a", "b"), 10**18)
