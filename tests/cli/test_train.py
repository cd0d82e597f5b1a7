import json
import signal
import subprocess
import sys
import time

import keras
import pytest

from tftransfer.cli import main

OPTIONS = ["--image-size", "32", "--batch-size", "8"]


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "photos"
    words = ["train", str(photos), "--output", str(output), *OPTIONS]
    assert main.main([*words, "--frozen-epochs", "9", "--head-rate", "0.05"]) == 0
    return output


@pytest.mark.slow
def test_one_folder_holds_all_that_a_run_made(trained):
    assert {path.name for path in trained.iterdir()} == {
        "1", "metadata.json", "model.keras", "evaluation.json", "history.json",
        "history.png", "confusion.png", "examples.png", "heat_maps.png",
        "reliability.png",
    }  # fmt: skip
    about = json.loads((trained / "metadata.json").read_text())
    assert about["class_names"] == ["class 0", "class 1"]
    assert about["parity"]["max_abs_difference"] < 1e-4
    assert len(about["training_data"]["fingerprint"]) == 64
    assert len(json.loads((trained / "history.json").read_text())["loss"]) == 9


@pytest.mark.slow
def test_the_model_tells_the_colors_apart_in_evaluate_and_predict(
    trained, photos, capsys
):
    assert main.main(["evaluate", str(trained), str(photos), "--json"]) == 0
    evaluation = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert evaluation["num_rows"] == 40
    assert evaluation["metrics"]["accuracy"] > 0.9
    files = [str(path) for path in sorted((photos / "class 1").glob("*.png"))[:3]]
    assert main.main(["predict", str(trained), *files, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["source"] for row in rows] == files
    assert [row["label"] for row in rows].count("class 1") >= 2
    assert main.main(["predict", str(trained), *files]) == 0
    assert capsys.readouterr().out.split()[:3] == ["source", "label", "probability"]


@pytest.mark.slow
def test_the_keras_file_can_be_exported_again(trained, tmp_path, capsys):
    output = tmp_path / "again"
    words = ["export", str(trained / "model.keras"), str(output)]
    assert main.main([*words, "--class-names", "red,blue"]) == 0
    assert json.loads((output / "metadata.json").read_text())["class_names"] == [
        "red",
        "blue",
    ]
    assert main.main(words) == 2
    assert "Received: path=" in capsys.readouterr().err


@pytest.mark.slow
def test_an_existing_output_is_refused_before_anything_is_read(trained, capsys):
    assert main.main(["train", "nowhere", "--output", str(trained)]) == 2
    assert "which exists" in capsys.readouterr().err


@pytest.mark.slow
def test_a_user_folder_is_never_replaced(tmp_path, photos, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    words = ["train", str(photos), "--output", str(tmp_path / "mine"), "--overwrite"]
    assert main.main([*words, *OPTIONS]) == 2
    assert "must be new or an earlier export" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


@pytest.mark.slow
def test_ctrl_c_leaves_the_old_output_and_nothing_half_written(tmp_path, photos):
    output = tmp_path / "out"
    words = ["train", str(photos), "--output", str(output), *OPTIONS]
    with subprocess.Popen(
        [sys.executable, "-m", "tftransfer", *words, "--frozen-epochs", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while "Epoch 2/" not in process.stdout.readline():
            assert process.poll() is None, process.stderr.read()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.poll() == 1
        assert told.endswith("nothing half-written is left\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_can_be_repeated_to_the_bit(trained, photos, tmp_path):
    words = ["train", str(photos), "--output", str(tmp_path / "b"), *OPTIONS]
    assert main.main([*words, "--frozen-epochs", "9", "--head-rate", "0.05"]) == 0
    one, other = (
        keras.models.load_model(folder / "model.keras")
        .get_layer("logits")
        .get_weights()
        for folder in (trained, tmp_path / "b")
    )
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.slow
def test_a_strategy_trains_as_it_does_in_a_program(photos, tmp_path):
    words = ["train", str(photos), "--output", str(tmp_path / "out"), *OPTIONS]
    words += ["--strategy", "gradual_unfreezing", "--epochs", "2"]
    assert main.main(words) == 0
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert len(history["loss"]) == 2


@pytest.mark.parametrize(
    "others, told",
    [
        (["--epochs", "2", "--head-rate", "0.1"], "--strategy full and --head-rate."),
        ([], "--strategy full and --epochs 0."),
    ],
)
def test_a_strategy_and_stages_by_hand_are_refused(others, told, tmp_path, capsys):
    words = ["train", "nowhere", "--output", str(tmp_path / "out"), *others]
    assert main.main([*words, "--strategy", "full"]) == 2
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_what_to_train_is_found_out_within_a_time(
    photos, tiny_backbone, tmp_path, capsys
):
    output = tmp_path / "run"
    words = ["train", str(photos), "--output", str(output), *OPTIONS]
    words += ["--backbone", str(tiny_backbone), "--time-budget", "20s"]
    assert main.main([*words, "--augment", "flip"]) == 0
    told = capsys.readouterr().out
    assert "7 validation rows" in told  # of 32: the other 8 are held out
    assert "On the validation data:" in told
    trials = json.loads((output / "trials.json").read_text())
    assert trials["trials"][0]["name"].endswith("frozen")
    assert trials["budget"] == 20
    about = json.loads((output / "metadata.json").read_text())
    assert about["metadata"]["backbone"] == str(tiny_backbone)
    assert not (output / "history.json").exists()
    assert main.main(["predict", str(output), str(photos / "class 1"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "3"], "Received: --time-budget and --epochs."),
        (["--strategy", "full"], "--strategy"),
        (["--task", "multi_label"], "--task multi_label"),
        (["--head", "mlp"], "--head"),
    ],
)
def test_a_time_goes_without_what_it_finds_out(tmp_path, words, message, capsys):
    given = ["train", "x", "--output", str(tmp_path / "out"), "--time-budget", "1m"]
    assert main.main([*given, *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["0", "ten", "10d", "-3m"])
def test_times_are_written_as_people_do(tmp_path, wrong, capsys):
    given = ["train", "x", "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main.main([*given, f"--time-budget={wrong}"])
    assert "must be a time above 0 in seconds" in capsys.readouterr().err
