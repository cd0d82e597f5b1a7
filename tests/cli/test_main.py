import argparse
import re

import pytest

from tftransfer import checks
from tftransfer.cli import backbones, main


def run(capsys, *words):
    code = main.main(list(words))
    return code, *capsys.readouterr()


@pytest.mark.parametrize("command", [None, *main._COMMANDS])
def test_help_has_examples(capsys, command):
    words = [command, "--help"] if command else ["--help"]
    with pytest.raises(SystemExit) as leaving:
        main.main(words)
    output = capsys.readouterr().out
    assert leaving.value.code == 0
    assert re.search(rf"example.*\n  tftransfer {command or 'demo'}", output)


def test_an_unknown_command_is_a_mistake(capsys):
    with pytest.raises(SystemExit) as leaving:
        main.main(["trian"])
    assert leaving.value.code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "nowhere", "a.png"], "`path` must be a folder written by export"),
        (["predict", "x", "y", "--workers", "2"], "--output None. Add what is missing"),
        (["predict", "x", "y", "--output", "a.csv", "--address", "auto"], "--workers"),
        (["train", "nowhere/photos", "--output", "out"], "Received: 'nowhere/photos'"),
        (
            ["train", "x", "--output", "out", "--backbone", "keras:VGG17"],
            "Did you mean",
        ),
        (["train", "x", "--output", "."], "Received: path='.', which exists"),
        (["export", "x.keras", "."], "or pass --overwrite to replace it"),
        (["evaluate", "nowhere.keras", "x"], "Received: path='nowhere.keras'"),
        (["export", "nowhere.keras", "out"], "Received: path='nowhere.keras'"),
    ],
)
def test_a_mistake_is_one_clear_line_and_code_2(
    capsys, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    code, output, errors = run(capsys, *words)
    assert code == 2
    assert errors.startswith("tftransfer: error: ") and errors.count("\n") == 1
    assert message in errors
    assert list(tmp_path.iterdir()) == []


def raising(error):
    def run(arguments):
        raise error

    return run


def test_a_fault_of_ours_is_code_1_with_the_traceback(capsys, monkeypatch):
    monkeypatch.setattr(backbones, "run", raising(ValueError("not a check of ours")))
    code, _, errors = run(capsys, "backbones")
    assert code == 1
    assert "Traceback" in errors and "not a check of ours" in errors


def test_an_operation_that_fails_in_our_code_is_a_fault_of_ours(capsys, monkeypatch):
    monkeypatch.setattr(backbones, "run", lambda _: checks.check_number("x", 1, "low"))
    code, _, errors = run(capsys, "backbones")
    assert code == 1
    assert "Traceback" in errors and "TypeError" in errors


def test_interrupting_is_code_1_and_one_line(capsys, monkeypatch):
    monkeypatch.setattr(backbones, "run", raising(KeyboardInterrupt()))
    assert run(capsys, "backbones") == (
        1, "", "tftransfer: interrupted, nothing half-written is left\n"
    )  # fmt: skip


def test_a_check_of_ours_is_told_apart_by_where_it_was_raised(capsys, monkeypatch):
    def check(arguments: argparse.Namespace):
        checks.check_choice("color", "rde", ["red"])

    monkeypatch.setattr(backbones, "run", check)
    code, _, errors = run(capsys, "backbones")
    assert code == 2
    assert "Received: color='rde'. Did you mean 'red'?" in errors
