"""Checkpoint files are whole or passed over, and belong to one process."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tftransfer.checkpoints.files import FORMAT, CheckpointFolder


@pytest.fixture
def folder(tmp_path):
    folder = CheckpointFolder(tmp_path / "new" / "run")
    yield folder
    folder.release()


def test_content_and_arrays_come_back(folder):
    arrays = [np.arange(5), np.float32([[0.1]]), np.zeros(0)]
    folder.write({"step": 3}, arrays)
    content, back = folder.read()
    assert content["step"] == 3
    for one, other in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_texts_come_back(folder):
    folder.write({}, [np.array(["cat", "dog"])])
    assert folder.read()[1][0].tolist() == ["cat", "dog"]


def test_bfloat16_comes_back(folder):
    import ml_dtypes

    given = np.array([1.5, -2.25], ml_dtypes.bfloat16)
    folder.write({}, [given])
    (back,) = folder.read()[1]
    assert back.dtype == given.dtype
    np.testing.assert_array_equal(back, given)


def test_the_newest_two_stay(folder):
    for step in range(4):
        folder.write({"step": step}, [])
    assert [path.name for path in folder.paths()] == [
        "checkpoint-00000003.npz",
        "checkpoint-00000004.npz",
    ]
    assert folder.read()[0]["step"] == 3


@pytest.mark.parametrize("place", [0.3, 0.9], ids=["array", "end"])
def test_a_damaged_one_is_told_and_passed_over(folder, place):
    for step in range(2):
        folder.write({"step": step}, [np.arange(1000.0)])
    path = folder.paths()[-1]
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"checkpoint-00000002.npz is damaged"):
        assert folder.read()[0]["step"] == 0


def test_a_cut_one_is_passed_over(folder):
    for step in range(2):
        folder.write({"step": step}, [np.arange(1000.0)])
    os.truncate(folder.paths()[-1], 500)
    with pytest.warns(UserWarning, match="is damaged"):
        assert folder.read()[0]["step"] == 0


def test_none_that_is_whole_is_refused(folder):
    folder.write({}, [])
    folder.paths()[0].write_bytes(b"")
    with pytest.warns(UserWarning, match="is damaged"):
        with pytest.raises(ValueError, match="where all 1 are damaged"):
            folder.read()


def test_an_empty_folder_holds_nothing(folder):
    assert folder.read() is None


def test_a_later_format_is_refused(folder):
    told = {"format": FORMAT + 1, "version": "99.0", "dtypes": []}
    text = json.dumps(told).encode()
    np.savez(
        folder.directory / "checkpoint-00000001.npz",
        content=np.frombuffer(text, "uint8"),
    )
    with pytest.raises(ValueError, match=r"format 2, written by 99\.0"):
        folder.read()


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".partial-1234-checkpoint-00000001.npz").write_bytes(b"half")
    CheckpointFolder(tmp_path).release()
    assert not list(tmp_path.glob(".partial-*"))


def test_another_living_process_is_told(tmp_path):
    script = (
        "import sys\n"
        "from tftransfer.checkpoints.files import CheckpointFolder\n"
        "folder = CheckpointFolder(sys.argv[1])\n"
        "print('held', flush=True)\n"
        "input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"process {process.pid}"):
            CheckpointFolder(tmp_path)
        process.stdin.write("\n")
        process.stdin.close()
        process.wait()
    CheckpointFolder(tmp_path).release()  # free again


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="which is a file"):
        CheckpointFolder(tmp_path / "file")
    with pytest.raises(TypeError, match="checkpoint of type int"):
        CheckpointFolder(3)
