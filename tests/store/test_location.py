import sys

import platformdirs
import pytest

from tftransfer.store.location import (
    check_key,
    empty_trash,
    folder_bytes,
    lock_path,
    store_folder,
    throw_away,
)


def test_the_environment_names_the_folder(store):
    assert store_folder() == store and store.is_dir()


def test_an_argument_goes_before_the_environment(store, tmp_path):
    assert store_folder(tmp_path / "other") == tmp_path / "other"
    assert not store.exists()


def test_without_a_word_it_is_the_cache_folder_of_the_platform(tmp_path, monkeypatch):
    monkeypatch.delenv("TFTRANSFER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = platformdirs.user_cache_path("tftransfer", appauthor=False)
    if sys.platform == "linux":
        assert expected == tmp_path / "tftransfer"
        assert store_folder() == expected


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TFTRANSFER_CACHE", "~/rows")
    assert store_folder() == tmp_path / "rows"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "file" / "rows"))
    with pytest.raises(ValueError, match=r"Received: TFTRANSFER_CACHE='.*Not a dir"):
        store_folder()
    with pytest.raises(ValueError, match=r"Received: folder='.*but Not a directory"):
        store_folder(tmp_path / "file" / "rows")


def test_a_folder_that_cannot_be_written_is_refused(store, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ValueError, match="but it is not writable"):
        store_folder()


@pytest.mark.parametrize("key", ["", "a/b", "..", "a.b", "x" * 129, 3, None, "ü"])
def test_keys_that_are_no_file_name_are_refused(key):
    with pytest.raises(ValueError, match="Received: key="):
        check_key(key)


def test_digests_and_plain_words_are_keys():
    check_key("0123456789abcdef" * 4)
    check_key("ELPV-train_1")


def test_an_entry_and_the_attempt_at_it_share_a_lock_that_temporary_ones_do_not():
    from pathlib import Path

    store = Path("store")
    assert lock_path(store / "entries" / "a") == lock_path(store / "attempts" / "a")
    assert lock_path(store / "entries" / "a") != lock_path(store / "temporary" / "a")


def test_thrown_away_is_gone_and_twice_does_no_harm(store):
    place = store_folder() / "entries" / "a"
    place.mkdir()
    (place / "file").write_bytes(b"1234")
    assert folder_bytes(place) == 4
    throw_away(place)
    throw_away(place)
    assert not place.exists() and folder_bytes(place) == 0
    assert not list((store / "trash").iterdir())


def test_the_trash_of_a_dead_process_is_emptied(store):
    left = store_folder() / "trash" / "0123"
    left.mkdir()
    (left / "file").touch()
    empty_trash(store)
    assert not left.exists()
