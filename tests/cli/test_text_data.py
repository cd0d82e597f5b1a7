"""Texts on the command line: which data hold them, and how they are told."""

import argparse
import json

import keras
import numpy as np
import pytest

from tftransfer.cli import main
from tftransfer.cli.datasets import add_data_arguments, load_datasets


@pytest.fixture
def reviews(tmp_path):
    """A CSV file of eight reviews; the titles alone tell two of them."""
    lines = ["title,text,label"]
    for i in range(4):
        lines += [f"good {i},it is{' so' * i},pos", f"bad {i},,neg"]
    (tmp_path / "reviews.csv").write_text("\n".join(lines))
    return str(tmp_path / "reviews.csv")


@pytest.fixture
def run_folder(tmp_path):
    """A trained run whose model calls a text positive that says `good`."""
    words = keras.layers.TextVectorization(vocabulary=["good"])
    inputs = keras.Input((), dtype="string")
    embedding = keras.layers.Embedding(3, 2, trainable=False)
    outputs = keras.layers.GlobalMaxPooling1D(name="features")(embedding(words(inputs)))
    model = keras.Model(inputs, outputs)
    embedding.set_weights([np.array([[0.5, 0], [0.5, 0], [0, 1]])])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss)
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run" / "model.keras")
    about = {"class_names": ["neg", "pos"], "task": "classification"}
    (tmp_path / "run" / "metadata.json").write_text(json.dumps(about))
    return str(tmp_path / "run")


def run(capsys, *words):
    code = main.main(list(words))
    return code, *capsys.readouterr()


def load(*words):
    parser = argparse.ArgumentParser()
    add_data_arguments(parser)
    return load_datasets(parser.parse_args(words), None, default_splits=["train"])


def test_a_model_of_texts_is_evaluated_on_a_table(reviews, run_folder, capsys):
    words = ["evaluate", run_folder, reviews, "--json", "--text-column"]
    code, text, _ = run(capsys, *words, "title,text")
    assert code == 0 and json.loads(text)["metrics"]["accuracy"] == 1
    code, _, errors = run(capsys, *words, "text")
    assert code == 2 and "Received: 4 that are not: row 3 (empty); row 5" in errors
    assert "pass --skip-corrupt to go on without them" in errors
    with pytest.warns(UserWarning, match="Skipped 4 without a text"):
        code, text, _ = run(capsys, *words, "text", "--skip-corrupt")
    assert code == 0 and json.loads(text)["num_rows"] == 4


def test_a_model_of_texts_is_evaluated_on_a_folder(run_folder, tmp_path, capsys):
    for name, text in {"neg": "so bad", "pos": "good!"}.items():
        (tmp_path / "texts" / name).mkdir(parents=True)
        (tmp_path / "texts" / name / "1.txt").write_text(text)
    words = ["evaluate", run_folder, str(tmp_path / "texts"), "--json"]
    code, text, _ = run(capsys, *words)
    assert code == 0 and json.loads(text)["metrics"]["accuracy"] == 1


def test_tables_of_every_kind_are_told_by_their_ending(tmp_path):
    table = tmp_path / "Reviews.JSONL"
    table.write_text('{"t": "x", "label": "a"}\n{"t": "y", "label": "b"}\n')
    (train,) = load(str(table), "--text-column", "t")
    assert train.class_names == ["a", "b"] and train.split_name == "train"


def test_a_missing_column_is_a_mistake_that_lists_the_columns(
    reviews, run_folder, capsys
):
    code, _, errors = run(
        capsys, "evaluate", run_folder, reviews, "--text-column", "review"
    )
    assert code == 2 and errors.count("\n") == 1
    assert "one of ['label', 'text', 'title']. Received: column='review'" in errors
