"""A model for a time: what is tried, what is chosen, and that the time is kept."""

import json
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.automatic import search, tuned
from tftransfer.selection.folds import set_aside


@pytest.fixture
def many_steps(monkeypatch):
    """Small rows and networks: more epochs, at a higher rate."""
    monkeypatch.setattr(tuned, "RATE", 3e-2)
    monkeypatch.setattr(tuned, "MOST_EPOCHS", 60)


@pytest.mark.usefixtures("many_steps")
def test_fine_tuning_wins_where_a_head_cannot(rows, network, capsys):
    found = tft.auto_transfer(rows, 120, backbones={"small": network(4)})
    names = [trial.name for trial in found.trials]
    assert names[0] == "small, frozen"
    assert names[1].startswith("small, depth 0.9, 60 epochs")
    assert names[2].startswith("small, another seed, depth 0.9")
    assert names[3] == "mean of both tuned"
    assert found.trials[0].score < 0.9 < found.best.score
    assert found.best is not found.trials[0]
    assert found.best.score == max(trial.score for trial in found.trials)
    assert found.frontier[-1] is found.best
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 4 and "accuracy" in told[0]
    shown = str(found)
    assert "chosen" in shown and found.why in shown and "48 validation rows" in shown
    assert found.seconds <= 1.1 * found.budget


@pytest.mark.usefixtures("many_steps")
def test_scores_are_those_of_the_model_on_rows_it_never_saw(rows, network):
    found = tft.auto_transfer(
        rows, 120, backbones={"small": network()}, seed=3, verbose=0
    )
    images, labels = rows
    aside = set_aside(labels, 0.2, seed=3)
    data = tf.data.Dataset.from_tensor_slices((images[aside], labels[aside])).batch(8)
    accuracy = tft.evaluate(found.model, data).metrics["accuracy"]
    assert accuracy == pytest.approx(found.best.score)
    assert found.num_rows == aside.sum() == 48


def test_without_time_one_frozen_network_is_what_there_is(rows, network):
    networks = {"small": network(), "other": network(8, name="other")}
    found = tft.auto_transfer(rows, 1e-3, backbones=networks, verbose=0)
    assert [trial.name for trial in found.trials] == ["small, frozen"]
    assert found.why.endswith("all there was time for.")
    notes = "\n".join(found.notes)
    assert "other was left out: no time to look at it." in notes
    assert "of 192 rows were learned from" in notes
    assert "small was not fine-tuned: no time for it." in notes
    assert found.model.predict(rows[0][:2], verbose=0).shape == (2, 2)


@pytest.mark.slow
def test_training_ends_with_its_time(rows, network, monkeypatch):
    monkeypatch.setattr(tuned, "MOST_EPOCHS", 100_000)
    monkeypatch.setattr(tuned, "DEPTHS", ((0.9, 1),))
    started = time.perf_counter()
    found = tft.auto_transfer(rows, 20, backbones={"small": network()}, verbose=0)
    assert time.perf_counter() - started <= 1.1 * 20
    assert any("depth 0.9" in trial.name for trial in found.trials)


@pytest.mark.slow
def test_a_shorter_depth_is_tried_where_the_deep_one_is_too_long(
    rows, network, monkeypatch
):
    monkeypatch.setattr(tuned, "DEPTHS", ((0.9, 10**6), (0.5, 1)))
    monkeypatch.setattr(tuned, "MOST_EPOCHS", 10**6)
    found = tft.auto_transfer(rows, 15, backbones={"small": network()}, verbose=0)
    assert found.trials[1].name.startswith("small, depth 0.5")


@pytest.mark.slow
def test_the_runner_up_is_tuned_second(rows, network, monkeypatch):
    monkeypatch.setattr(tuned, "MOST_EPOCHS", 5)
    networks = {"one": network(), "two": network(1, name="two")}
    found = tft.auto_transfer(rows, 60, backbones=networks, verbose=0)
    names = [trial.name.split(",")[0] for trial in found.trials]
    assert names[:2] == ["one", "two"] and set(names[2:4]) == {"one", "two"}
    assert names[4] == "mean of both tuned"


def test_values_are_judged_by_the_variance_they_explain(network):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (80, 8, 8, 3)).astype("uint8")
    values = images.mean(axis=(1, 2)).astype("float32")[:, :2]
    found = tft.auto_transfer(
        (images, values),
        1e-3,
        backbones={"small": network(64)},
        task="regression",
        verbose=0,
    )
    assert found.metric == "R2"
    aside = set_aside(values, 0.2, task="regression", seed=0)
    given = found.model.predict(images[aside], verbose=0)
    wrong = np.square(values[aside] - given).sum(axis=0)
    spread = np.square(values[aside] - values[aside].mean(axis=0)).sum(axis=0)
    assert found.best.score == pytest.approx(np.mean(1 - wrong / spread), abs=1e-4)


@pytest.mark.slow
def test_larger_images_come_second_where_there_are_some(rows, network, tmp_path):
    inputs = keras.Input((None, None, 3))
    x = tft.build_resizing(4)(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same", name="block1")(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    keras.Model(inputs, x).save(tmp_path / "small.keras")
    path = str(tmp_path / "small.keras")
    found = tft.auto_transfer(rows, 60, backbones={"small": path}, verbose=0)
    assert any("small at 5x5, depth" in trial.name for trial in found.trials)
    assert search._LARGER == 1.4


@pytest.mark.slow
def test_augmented_images_are_learned_from(rows, network):
    found = tft.auto_transfer(
        rows, 20, backbones={"small": network()}, augment=("flip",), verbose=0
    )
    assert any("depth" in trial.name for trial in found.trials)


def test_it_is_written_as_json(rows, network, tmp_path):
    found = tft.auto_transfer(rows, 1e-3, backbones={"small": network()}, verbose=0)
    found.save(tmp_path / "found.json")
    stored = json.loads((tmp_path / "found.json").read_text())
    assert stored["best"] == "small, frozen"
    assert stored["trials"][0]["score"] == found.best.score


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_budget": 0}, "`time_budget` must be"),
        ({"task": "ranking"}, "`task` must be one of"),
        ({"validation_fraction": 0.9}, "`validation_fraction` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"augment": "turn"}, "`augment` must be one of"),
        ({"backbones": []}, "`backbones` must name one"),
    ],
)
def test_mistakes_are_told_first(rows, network, change, message):
    given = {"backbones": {"small": network()}, **change}
    with pytest.raises(ValueError, match=message):
        tft.auto_transfer(rows, **given)


def test_labels_must_fit_the_task(rows, network):
    images, labels = rows
    for wrong in (labels.astype("float32"), labels * 0, np.eye(2)[labels]):
        with pytest.raises(ValueError, match="Labels for task='classification' must"):
            tft.auto_transfer((images, wrong), backbones={"small": network()})


def test_numbers_are_not_augmented():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="features")(inputs))
    rows = np.eye(4).repeat(8, axis=0), np.arange(32) % 2
    with pytest.raises(ValueError, match="`augment` must be empty for rows that are"):
        tft.auto_transfer(rows, backbones={"small": model}, augment=("flip",))
