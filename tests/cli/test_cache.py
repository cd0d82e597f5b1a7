import json
import subprocess
import sys

import numpy as np
import pytest

from tftransfer.cli import main
from tftransfer.store.entries import open_entry
from tftransfer.store.writer import write_entry


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """A store with the entries 3f2a9c and 77b1d0 of 5 rows each."""
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "store"))
    for key in ("3f2a9c", "77b1d0"):
        with write_entry(key, description={"layer": "features"}) as writer:
            writer.append({"activations": np.zeros((5, 2))})
            writer.finish().close()


def test_list_prints_a_table(capsys):
    assert main.main(["cache", "list"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["key", "rows", "size"]
    assert sorted(row.split()[0] for row in rows[:2]) == ["3f2a9c", "77b1d0"]
    assert rows[0].endswith("layer=features")


def test_json_can_be_read_again(capsys):
    assert main.main(["cache", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["key"] for row in rows} == {"3f2a9c", "77b1d0"}
    assert rows[0]["num_rows"] == 5 and rows[0]["state"] == "whole"


def test_clear_removes_the_ones_named(capsys):
    assert main.main(["cache", "clear", "3f"]) == 0
    assert capsys.readouterr().out.startswith("removed 1 of 1 entries, ")
    assert open_entry("3f2a9c") is None and open_entry("77b1d0") is not None


def test_clear_leaves_what_is_in_use(capsys):
    with open_entry("3f2a9c"):
        assert main.main(["cache", "clear"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("removed 1 of 2 entries, ")
    assert output.endswith("left 3f2a9c: a process is using it\n")


def test_an_unknown_key_is_a_mistake(capsys):
    assert main.main(["cache", "clear", "000000"]) == 2
    assert "Received: '000000', which 0 have." in capsys.readouterr().err


def test_an_action_is_needed():
    with pytest.raises(SystemExit) as leaving:
        main.main(["cache"])
    assert leaving.value.code == 2


def test_listing_needs_neither_tensorflow_nor_keras():
    code = (
        "import sys\nfrom tftransfer.cli import main\nmain.main(['cache', 'list'])\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.endswith("[]\n")
