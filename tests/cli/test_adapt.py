"""`tftransfer adapt` on every kind of data: adapt, ask, fill the file, decide."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tftransfer.cli import main

NAMES = np.array(["ant", "bee", "cow"])


def run(capsys, *words):
    code = main.main(["adapt", *map(str, words)])
    return code, *capsys.readouterr()


def mistake(capsys, *words):
    code, _, errors = run(capsys, *words)
    assert code == 2
    assert errors.startswith("tftransfer: error: ") and errors.count("\n") == 1
    return errors


def read(folder):
    return json.loads((folder / "adaptation.json").read_text())


def read_calls(folder):
    with open(folder / "calls.csv", newline="") as file:
        return list(csv.DictReader(file))


def fill(path, truth, count=None):
    """Fill a file of labels as a person would; return the rows that were asked."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *lines = csv.reader(file)
    rows = [int(line[0].split("-")[0][1:]) for line in lines]
    for line, row in list(zip(lines, rows, strict=True))[:count]:
        line[1] = str(truth[row])
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    return rows


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Digits, and digits with less contrast and noise, as `.npz`; and the truth."""
    folder = tmp_path_factory.mktemp("features")
    rows, labels = load_digits(return_X_y=True)
    generator = np.random.default_rng(0)
    order = generator.permutation(len(rows))
    source, target = order[:600], order[600:1200]
    noise = generator.normal(0, 0.15, (600, 64))
    moved = (rows[target] / 16 * 0.6 + 0.2 + noise).clip(0, 1)
    names = np.array([f"digit {number}" for number in range(10)])
    np.savez(
        folder / "source.npz", features=rows[source] / 16, labels=names[labels[source]]
    )
    np.savez(folder / "target.npz", features=moved, labels=labels[target])
    return folder / "source.npz", folder / "target.npz", names[labels[target]]


@pytest.mark.slow
def test_adapt_ask_fill_and_decide(features, tmp_path, capsys):
    source, target, truth = features
    output = tmp_path / "out"
    words = [source, target, "--output", output]
    code, text, _ = run(capsys, *words, "--ask", 20)
    assert code == 0
    assert "note: labels of the target are left unread" in text
    assert f"{output}/to_label.html in a browser" in text
    before = read(output)
    assert before["asked"] == [] and before["labels_needed"] is None
    rows = fill(output / "to_label.csv", truth)
    assert before["questions"] == {"to_label.csv": rows} and len(rows) == 20

    code, text, _ = run(capsys, *words, "--labels", output / "to_label.csv")
    assert code == 0
    after = read(output)
    assert after["verdict"] == "adapted" and after["choice"] != "control"
    assert [row for row, _ in after["asked"]] == rows
    assert after["labels_needed"] == 0
    calls = read_calls(output)
    called, control = (
        np.array([line[name] for line in calls]) for name in ("label", "control")
    )
    assert np.mean(called == truth) > np.mean(control == truth) + 0.3
    assert (called[rows] == truth[rows]).all()
    layer, given = np.load(output / "model.npz"), np.load(target)["features"]
    logits = given @ layer["kernel"] + layer["bias"]
    assert np.mean(layer["classes"][logits.argmax(axis=1)] == truth) > 0.7
    names = {path.name for path in output.iterdir()}
    assert names == {
        *("adaptation.json", "calls.csv", "figure.png", "model.npz"),
        *("to_label.csv", "to_label.html"),
    }


@pytest.mark.slow
def test_a_second_question_goes_on_from_the_first(features, tmp_path, capsys):
    source, target, truth = features
    output = tmp_path / "out"
    words = [source, target, "--output", output]
    run(capsys, *words, "--ask", 5)
    first = fill(output / "to_label.csv", truth)
    labels = output / "to_label.csv"
    assert run(capsys, *words, "--labels", labels, "--ask", 5)[0] == 0
    filled = labels.read_text()
    second = fill(output / "to_label_2.csv", truth)
    assert not set(first) & set(second)
    assert run(capsys, *words, "--labels", output / "to_label_2.csv")[0] == 0
    assert [row for row, _ in read(output)["asked"]] == first + second
    assert labels.read_text() == filled  # what was filled in is never lost


@pytest.mark.slow
def test_other_words_than_those_of_the_question_are_refused(features, tmp_path, capsys):
    source, target, truth = features
    output = tmp_path / "out"
    words = [source, target, "--output", output]
    run(capsys, *words, "--ask", 5)
    labels = ["--labels", output / "to_label.csv"]
    errors = mistake(capsys, *words, *labels, "--seed", 1)
    assert "`--seed` must be that of the run that asked for the labels, 0" in errors
    errors = mistake(capsys, target, *words[1:], *labels)
    assert "`SOURCE` must be that of" in errors
    fill(output / "to_label.csv", np.full(600, "digit 11"))
    assert "label 'digit 11' in line 2" in mistake(capsys, *words, *labels)


def test_an_output_is_replaced_only_where_asked_and_ours(features, tmp_path, capsys):
    source, target, _ = features
    words = [source, target, "--output"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    for further in ([], ["--overwrite"]):
        errors = mistake(capsys, *words, tmp_path / "mine", *further)
        assert "must be new or an earlier output of adapt" in errors
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "adaptation.json").write_text("{}")
    errors = mistake(capsys, *words, tmp_path / "out")
    assert "unless --overwrite or --labels is given" in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ask", 0], "`--ask` must be a whole number >= 1. Received: --ask=0"),
        (["--seed", -1], "Received: --seed=-1"),
        (["--labels", "nowhere.csv"], "Received: 'nowhere.csv', which is no file"),
        (["--labels", __file__], "which holds no adaptation.json"),
    ],
)
def test_words_are_checked_before_anything_is_read(tmp_path, capsys, words, message):
    errors = mistake(capsys, "a.npz", "b.npz", "--output", tmp_path / "out", *words)
    assert message in errors
    assert not (tmp_path / "out").exists()


def test_features_and_images_do_not_mix(tmp_path, capsys):
    errors = mistake(capsys, "a.npz", "photos", "--output", tmp_path / "out")
    assert (
        "must both be .npz files, or neither. Received: 'a.npz' and 'photos'" in errors
    )


def paint(folder, count, brightness, generator, sorted_out=True):
    """Save red and green images, and return which is which."""
    truth = {}
    for number in range(count):
        name = ("green", "red")[number % 2]
        color = np.full((6, 6, 3), 60.0) + brightness
        color[..., 1 - number % 2] += 40
        color += generator.normal(0, 4, color.shape) + generator.normal(0, 14, 3)
        place = folder / name if sorted_out else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(color.clip(0, 255).astype("uint8")).save(
            place / f"{number}.png"
        )
        truth[f"{number}.png"] = name
    return truth


@pytest.mark.slow
def test_folders_of_images_give_an_export_and_a_page_with_pictures(
    tiny_backbone, tmp_path, capsys
):
    generator = np.random.default_rng(0)
    paint(tmp_path / "source", 120, 0, generator)
    truth = paint(tmp_path / "target", 120, np.array([50, 0, 0]), generator, False)
    output = tmp_path / "out"
    words = [tmp_path / "source", tmp_path / "target", "--output", output]
    words += ["--backbone", tiny_backbone]
    code, text, _ = run(capsys, *words, "--ask", 10)
    assert code == 0 and "labels of the target are dropped" not in text
    page = (output / "to_label.html").read_text()
    assert page.count("data:image/png;base64,") == 10
    names = [line["input"] for line in read_calls(output)]
    assert sorted(names) == sorted(truth)
    rows = fill(output / "to_label.csv", [truth[name] for name in names])
    code, text, _ = run(capsys, *words, "--labels", output / "to_label.csv")
    assert code == 0 and read(output)["asked"][0] == [rows[0], truth[names[rows[0]]]]
    calls = read_calls(output)
    right, before = (
        np.mean([line[kind] == truth[line["input"]] for line in calls])
        for kind in ("label", "control")
    )
    assert right > before + 0.1
    about = json.loads((output / "metadata.json").read_text())
    assert about["class_names"] == ["green", "red"]
    assert about["parity"]["max_abs_difference"] < 1e-4
    file = tmp_path / "target" / "1.png"
    assert main.main(["predict", str(output), str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] in ("green", "red")


@pytest.mark.slow
def test_tables_of_texts_are_told_by_their_column(tmp_path, capsys):
    generator = np.random.default_rng(0)
    words = {
        "good": "fine bright warm kind".split(),
        "bad": "poor dim cold harsh".split(),
    }
    for name, extra in (("source", []), ("target", ["the", "a"])):
        lines = ["review,label"] if name == "source" else ["review"]
        for number in range(80):
            label = ("bad", "good")[number % 2]
            text = " ".join(generator.choice([*words[label], *extra], 4))
            lines.append(f"{text},{label}" if name == "source" else text)
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    code, text, errors = run(
        capsys, tmp_path / "source.csv", tmp_path / "target.csv", "--text-column",
        "review", "--output", tmp_path / "out", "--ask", 5,
    )  # fmt: skip
    assert code == 0, errors
    calls = read_calls(tmp_path / "out")
    truth = [("bad", "good")[number % 2] for number in range(80)]
    assert np.mean([line["label"] for line in calls] == np.array(truth)) > 0.8
