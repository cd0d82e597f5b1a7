"""`cross_validate` against independent computations, and its refusals."""

import functools
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

import tftransfer as tft
from tftransfer.selection.cross_validate import cross_validate
from tftransfer.selection.intervals import corrected_interval


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def descend(inputs, labels, steps, rate=0.5):
    """Softmax regression from zero by full gradients, in NumPy."""
    kernel, bias = np.zeros((4, 3)), np.zeros(3)
    for _ in range(steps):
        error = softmax(inputs @ kernel + bias) - np.eye(3)[labels]
        kernel -= rate * inputs.T @ error / len(inputs)
        bias -= rate * error.mean(axis=0)
    return kernel, bias


def test_out_of_fold_predictions_equal_those_computed_by_hand(rows, build):
    inputs, labels = rows  # 20 rows train: one batch, so that the order is no matter
    result = cross_validate(build(), rows, epochs=3, folds=3, seeds=(0, 5), verbose=0)
    assert result.probabilities.shape == (2, 30, 3)
    for place in range(2):
        folds = result.folds[place]
        for fold in range(3):
            held_out = folds == fold
            kernel, bias = descend(inputs[~held_out], labels[~held_out], steps=3)
            expected = softmax(inputs[held_out] @ kernel + bias)
            found = result.probabilities[place][held_out]
            np.testing.assert_allclose(found, expected, atol=1e-5)
            (score,) = [
                score
                for score in result.scores
                if (score["seed"], score["fold"]) == ((0, 5)[place], fold)
            ]
            assert score["num_rows"] == held_out.sum()
            assert score["metrics"]["accuracy"] == pytest.approx(
                accuracy_score(labels[held_out], expected.argmax(axis=1))
            )
    assert (result.folds[0] != result.folds[1]).any()
    np.testing.assert_array_equal(result.labels, labels)


def test_folds_are_stratified_as_in_scikit_learn_and_figures_are_their_means(
    rows, build
):
    result = cross_validate(build(), rows, epochs=1, folds=5, verbose=0)
    splits = StratifiedKFold(5).split(*rows)
    expected = sorted(np.bincount(rows[1][test]).tolist() for _, test in splits)
    found = [np.bincount(rows[1][result.folds[0] == k]).tolist() for k in range(5)]
    assert sorted(found) == expected
    accuracies = [score["metrics"]["accuracy"] for score in result.scores]
    assert result.metrics["accuracy"] == pytest.approx(np.mean(accuracies))
    low, high = corrected_interval(accuracies, 6 / 24)
    assert result.intervals["accuracy"] == pytest.approx((max(low, 0), min(high, 1)))
    assert str(result).startswith("classification, 30 rows, 5 folds, seed 0\n")


@pytest.mark.slow
def test_a_dataset_gives_what_its_arrays_give(rows, build):
    options = dict(epochs=2, folds=2, verbose=0)
    data = tf.data.Dataset.from_tensor_slices(rows).batch(32)
    data.class_names = ["cat", "dog", "owl"]
    found = cross_validate(build(), data, **options)
    expected = cross_validate(build(), rows, **options)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert found.class_names == ("cat", "dog", "owl")
    assert expected.class_names == ("0", "1", "2")


def test_two_classes_and_one_logit(rows, build):
    labels = (rows[1] > 0).astype("float32")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    result = cross_validate(
        build(1, loss), (rows[0], labels), epochs=3, folds=2, verbose=0
    )
    held_out = result.folds[0] == 1
    assert result.scores[1]["metrics"]["roc_auc"] == pytest.approx(
        roc_auc_score(labels[held_out], result.probabilities[0][held_out, 1])
    )


def test_multi_label_and_regression(rows, build):
    labels = np.stack([rows[1] > 0, rows[1] > 1], axis=1).astype("float32")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    options = dict(epochs=1, folds=3, verbose=0)
    result = cross_validate(build(2, loss), (rows[0], labels), **options)
    assert result.task == "multi_label"
    assert [labels[result.folds[0] == k, 1].sum() for k in range(3)] == [2, 2, 2]
    values = rows[0].sum(axis=1)
    result = cross_validate(build(1, "mse", rate=0.01), (rows[0], values), **options)
    assert result.task == "regression" and "r2" in result.metrics
    assert np.bincount(result.folds[0]).tolist() == [10, 10, 10]


def test_texts_go_in_as_they_are():
    texts = np.array(["good film", "bad film"], object)[np.arange(12) % 2]

    def build():
        words = keras.layers.TextVectorization(
            vocabulary=["good", "bad", "film"], output_mode="multi_hot"
        )
        model = keras.Sequential(
            [keras.Input((), dtype="string"), words, keras.layers.Dense(2)]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
        return model

    labels = np.arange(12) % 2
    result = cross_validate(build, (texts, labels), epochs=5, folds=2, verbose=0)
    assert result.metrics["accuracy"] == 1.0


class Recorder:
    """A `train` that notes the rows that it is shown."""

    def __init__(self):
        self.calls = []

    def __call__(self, model, dataset, validation_data):
        shown = [
            None if part is None else [batch[0].numpy() for batch in part]
            for part in (dataset, validation_data)
        ]
        self.calls.append([x and {tuple(r) for b in x for r in b} for x in shown])
        self.batch = next(iter(dataset))


def test_training_is_never_shown_what_is_held_out(rows, build):
    train = Recorder()
    result = cross_validate(
        build(), rows, train=train, folds=3, validation_fraction=0.25, verbose=0
    )
    for fold, (training, validation) in enumerate(train.calls):
        held_out = {tuple(row) for row in rows[0][result.folds[0] == fold]}
        assert not held_out & (training | validation)
        assert not training & validation
        assert len(training | validation) == 20 and len(validation) == 5


def test_groups_are_never_on_both_sides(rows, build):
    groups = np.arange(30) // 3
    train = Recorder()
    cross_validate(
        build(),
        rows,
        train=train,
        folds=3,
        groups=groups,
        validation_fraction=0.5,
        verbose=0,
    )
    of_row = {tuple(row): group for row, group in zip(rows[0], groups, strict=True)}
    for training, validation in train.calls:
        sides = [{of_row[row] for row in part} for part in (training, validation)]
        assert not sides[0] & sides[1]
        assert len(sides[0] | sides[1]) * 3 == len(training | validation)


def test_weights_reach_training_and_not_the_figures(rows, build):
    train = Recorder()
    weights = np.arange(30.0)
    result = cross_validate(build(), (*rows, weights), train=train, folds=2, verbose=0)
    assert len(train.batch) == 3
    assert result.scores[0]["num_rows"] == 15


def test_fine_tune_can_train(rows, build):
    train = functools.partial(
        tft.fine_tune, epochs=9, frozen_epochs=0, cache=False, verbose=0
    )
    result = cross_validate(
        build(), rows, train=train, folds=2, validation_fraction=0.2, verbose=0
    )
    assert result.metrics["accuracy"] > 0.4


def test_an_interrupted_run_goes_on_where_it_was(rows, build, tmp_path, capsys):
    new = build(initializer="glorot_uniform")
    whole = cross_validate(new, rows, epochs=1, folds=2, seeds=(0, 1), verbose=0)
    calls = []

    def interrupted(seed):
        calls.append(seed)
        if len(calls) == 3:  # the first model is only looked at
            raise KeyboardInterrupt
        return new()

    options = dict(epochs=1, folds=2, directory=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        cross_validate(interrupted, rows, **options)
    assert len(list((tmp_path / "run").glob("*.npy"))) == 1
    result = cross_validate(interrupted, rows, seeds=(0, 1), **options)
    assert calls[3:] == [0, 0, 1, 1]
    np.testing.assert_array_equal(result.probabilities, whole.probabilities)
    assert result.metrics == whole.metrics
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("seed 0, fold 0: accuracy ")
    kept = [line.endswith(", kept from an earlier run") for line in lines]
    assert kept == [False, True, False, False, False]


def test_a_folder_of_other_data_or_settings_is_refused(rows, build, tmp_path):
    run = functools.partial(
        cross_validate, build(), folds=2, directory=tmp_path / "run", verbose=0
    )
    run(rows, epochs=1)
    kept = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert kept["folds"] == 2 and len(kept["data"]) == 64
    with pytest.raises(ValueError, match="Received: directory=.*training was 1, is 2"):
        run(rows, epochs=2)
    with pytest.raises(ValueError, match="Received: directory=.*data was '"):
        run((rows[0] + 1, rows[1]), epochs=1)
    with pytest.raises(
        ValueError, match="Received: directory=.*training was 1, is .*fine_tune"
    ):
        run(rows, train=functools.partial(tft.fine_tune, epochs=1))
    with pytest.raises(ValueError, match="Received: directory=.*groups was None"):
        run(rows, epochs=1, groups=np.arange(30))


def test_epochs_or_train_must_be_given(rows, build):
    with pytest.raises(ValueError, match="Received: epochs=None, train=None"):
        cross_validate(build(), rows)
    with pytest.raises(ValueError, match="Received: epochs=3, train=<function"):
        cross_validate(build(), rows, epochs=3, train=tft.fine_tune)
    with pytest.raises(TypeError, match="Received: train of type dict"):
        cross_validate(build(), rows, train={})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "Received: folds=1"),
        ({"folds": 7}, "Received: folds=7, but class '2' has 6 rows"),
        ({"epochs": 0}, "Received: epochs=0"),
        ({"seeds": ()}, r"Received: seeds=\(\)"),
        ({"seeds": 3}, "Received: seeds=3"),
        ({"seeds": (0, 0)}, r"Received: seeds=\(0, 0\)"),
        ({"seeds": (-1,)}, "Received: seeds=-1"),
        ({"seeds": (2**32,)}, "Received: seeds=4294967296"),
        ({"validation_fraction": 0.6}, "Received: validation_fraction=0.6"),
        ({"groups": [0, 1]}, r"Received: groups of shape \(2,\) for 30 rows"),
        ({"class_names": ["a", "b"]}, r"Received: class_names=\['a', 'b'\]"),
        ({"task": "ranking"}, "Received: task='ranking'"),
    ],
)
def test_options_out_of_range_are_refused(rows, build, options, message):
    with pytest.raises(ValueError, match=message):
        cross_validate(build(), rows, **{"epochs": 1, "verbose": 0, **options})


def test_a_class_held_by_one_group_is_refused(rows, build):
    groups = np.where(rows[1] == 2, 0, 1 + np.arange(30))
    with pytest.raises(ValueError, match=r"Received: class '2', all rows of which \(6"):
        cross_validate(build(), rows, epochs=1, groups=groups, verbose=0)


def test_labels_outside_the_classes_are_refused(rows, build):
    with pytest.raises(ValueError, match=r"0\.\.1. Received: labels=\[2\]"):
        cross_validate(build(2), rows, epochs=1)


def test_wrong_models_are_refused_before_anything_is_trained(rows, build):
    model = build()()
    train = Recorder()
    with pytest.raises(ValueError, match="Received: build that gave .* twice"):
        cross_validate(lambda: model, rows, train=train, verbose=0)
    with pytest.raises(TypeError, match="Received: build of type Sequential"):
        cross_validate(model, rows, train=train)
    assert train.calls == []


def test_data_of_the_wrong_kind_is_refused(rows, build):
    with pytest.raises(TypeError, match="Received: data of type ndarray"):
        cross_validate(build(), rows[0], epochs=1)


GROWTH = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, numpy as np, tftransfer as tft
from pathlib import Path

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024

held = []

def build():
    held.append(resident())
    layers = [keras.layers.Conv2D(32, 3, activation="silu") for _ in range(3)]
    wide = [keras.layers.Dense(2048, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers,
        keras.layers.GlobalAveragePooling2D(), *wide, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model

data = np.zeros((40, 32, 32, 3), "float32"), np.arange(40) % 2
tft.cross_validate(build, data, epochs=1, folds=20, verbose=0)
print(resident() - held[2])  # the first model is only looked at
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_given_back_over_20_folds():
    # Kept, the weights and moments of each fold would be 50 MiB: 1,000 in all.
    run = subprocess.run(
        [sys.executable, "-c", GROWTH], check=True, capture_output=True, text=True
    )
    assert float(run.stdout) < 300
