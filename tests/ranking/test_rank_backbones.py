"""Backbones side by side, against the scores of features computed by `predict`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tftransfer.ranking.rank_backbones import rank_backbones


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "store"))


@pytest.fixture
def data(rng):
    """60 images, the brighter ones of class 1."""
    labels = np.arange(60) % 2
    images = rng.integers(0, 200, (60, 6, 6, 3)) + 40 * labels[:, None, None, None]
    return images.astype("uint8"), labels


def build(width, name, pool=layers.GlobalAveragePooling2D):
    inputs = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(width, 3, activation="relu")(x)
    return keras.Model(inputs, pool(name="features")(x), name=name)


@pytest.fixture
def backbones():
    keras.utils.set_random_seed(1)
    return [build(3, "narrow"), build(8, "wide")]


def test_scores_are_those_of_the_features(data, backbones):
    ranking = rank_backbones(data, backbones, verbose=0)
    assert {row["name"] for row in ranking.rows} == {"narrow", "wide"}
    for row in ranking.rows:
        (model,) = [model for model in backbones if model.name == row["name"]]
        features = model.predict(data[0].astype("float32"), verbose=0)
        for name in ("logme", "h_score", "linear_probe", "knn"):
            wanted = getattr(tft.ranking, name)(features, data[1])
            assert row[name] == pytest.approx(wanted, abs=1e-3), name
        assert row["nce"] is None and row["leep"] is None
        assert row["features"] == features.shape[1]
        assert row["parameters"] == model.count_params()
        assert row["megabytes"] == pytest.approx(4e-6 * model.count_params(), abs=1e-3)
        assert row["rows_per_second"] > 0 and row["seconds"] >= 0
    assert ranking.num_rows == 60 and ranking.notes == []


def test_rows_are_sorted_by_the_score_asked_for(data, backbones):
    first = rank_backbones(data, backbones, scores=["logme", "knn"], verbose=0)
    assert first.sort_by == "logme"
    assert first.rows[0]["logme"] > first.rows[1]["logme"]
    assert first.best == first.rows[0]["name"]
    other = rank_backbones(
        data, backbones, scores=["logme", "knn"], sort_by="knn", verbose=0
    )
    assert other.rows[0]["knn"] >= other.rows[1]["knn"]


def test_a_dataset_gives_what_arrays_give(data, backbones):
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(7)
    scores = ["logme"]
    found = rank_backbones(dataset, backbones, scores=scores, verbose=0)
    wanted = rank_backbones(data, backbones, scores=scores, verbose=0)
    for one, other in zip(found.rows, wanted.rows, strict=True):
        assert one["name"] == other["name"]
        assert one["logme"] == pytest.approx(other["logme"], abs=1e-4)


def test_values_are_scored_by_what_knows_values(data, backbones):
    images, _ = data
    values = images.mean(axis=(1, 2, 3)) / 100
    ranking = rank_backbones((images, values), backbones, task="regression", verbose=0)
    for row in ranking.rows:
        assert row["h_score"] is row["nce"] is row["leep"] is None
        assert row["linear_probe"] > 0.1 and np.isfinite(row["logme"])
    assert "H-score" not in str(ranking)


def test_few_rows_are_drawn_for_the_scores(data, backbones):
    ranking = rank_backbones(
        data, backbones, scores=["knn"], max_rows=20, verbose=0, seed=2
    )
    assert ranking.num_rows == 20


def test_a_target_adds_how_far_it_is(data, backbones):
    dark, bright = data[0] // 8, 255 - data[0] // 8
    near = rank_backbones(
        (dark, data[1]), backbones[:1], scores=["knn"], target=dark, verbose=0
    )
    far = rank_backbones(
        (dark, data[1]), backbones[:1], scores=["knn"], target=bright, verbose=0
    )
    assert far.rows[0]["a_distance"] > 1.5
    assert near.rows[0]["a_distance"] < 0.5
    assert "A-distance" in str(far)


@pytest.mark.slow
def test_the_head_of_a_packaged_network_gives_nce_and_leep(rng):
    images = rng.integers(0, 256, (24, 32, 32, 3)).astype("uint8")
    labels = np.arange(24) % 2
    backbone = tft.load_backbone("pip:efficientnet_lite0", image_size=32)
    ranking = rank_backbones(
        (images, labels), [backbone], scores=["nce", "leep"], verbose=0
    )
    (row,) = ranking.rows
    assert row["name"] == "pip:efficientnet_lite0 32x32"
    whole = tft.load_classifier("pip:efficientnet_lite0", image_size=32)
    given = keras.ops.softmax(whole.predict(images, verbose=0)).numpy()
    wanted = tft.ranking.leep(given.astype("float64"), labels)
    assert row["leep"] == pytest.approx(wanted, abs=1e-3)
    assert row["nce"] == pytest.approx(
        tft.ranking.nce(given.argmax(axis=1), labels), abs=1e-6
    )


def test_texts_are_ranked_too(tmp_path, rng):
    texts = np.array(
        [f"{word} film {n}" for n in range(15) for word in ("good", "bad")]
    )
    labels = np.arange(30) % 2
    entrants = {}
    for name, words in (("knows", ["good", "bad", "film"]), ("not", ["film", "actor"])):
        rows = [f"{word} {' '.join(map(str, rng.normal(size=4)))}\n" for word in words]
        (tmp_path / f"{name}.txt").write_text("".join(rows))
        handle = f"words:{tmp_path / name}.txt"
        entrants[name] = tft.load_backbone(handle, corpus=list(texts), verbose=False)
    ranking = rank_backbones((texts, labels), entrants, scores=["knn"], verbose=0)
    assert ranking.best == "knows" and ranking.rows[0]["knn"] == 1.0
    assert ranking.rows[0]["rows_per_second"] > 0
    assert ranking.rows[1]["knn"] is None  # all that it knows is in every text
    assert ranking.notes[0].startswith("not has no score")


def test_a_budget_leaves_out_what_comes_late(data, backbones):
    ranking = rank_backbones(data, backbones, scores=["logme"], budget=1e-6, verbose=0)
    assert [row["name"] for row in ranking.rows] == ["narrow"]
    assert ranking.notes == ["wide was left out: the budget of 1e-06 s is used up."]
    assert ranking.notes[0] in str(ranking)


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"scores": "logme"}, TypeError, "Received: scores='logme'. Pass one"),
        ({"scores": ["logma"]}, ValueError, "Received: scores='logma'.*'logme'"),
        ({"scores": []}, TypeError, r"Received: scores=\[\]"),
        ({"sort_by": "leep", "scores": ["knn"]}, ValueError, "sort_by='leep'"),
        ({"task": "ranking"}, ValueError, "Received: task='ranking'"),
        ({"budget": 0}, ValueError, "Received: budget=0"),
        ({"max_rows": 5}, ValueError, "Received: max_rows=5"),
    ],
)
def test_bad_arguments_are_refused(data, backbones, given, kind, text):
    with pytest.raises(kind, match=text):
        rank_backbones(data, backbones, verbose=0, **given)


def test_data_without_labels_are_refused(data, backbones):
    with pytest.raises(ValueError, match="Received: rows without labels"):
        rank_backbones(data[0], backbones, verbose=0)
    empty = tf.data.Dataset.from_tensor_slices(data).batch(4).take(0)
    with pytest.raises(ValueError, match="Received: no rows. Pass a dataset"):
        rank_backbones(empty, backbones, verbose=0)


def test_labels_of_another_task_are_refused(data, backbones):
    images, labels = data
    with pytest.raises(ValueError, match="Received: labels of shape .* float32"):
        rank_backbones((images, labels / 2), backbones, verbose=0)
    with pytest.raises(ValueError, match=r"Received: labels of shape \(\d+, 2, 1\)"):
        rank_backbones(
            (images, np.ones((60, 2, 1))), backbones, task="regression", verbose=0
        )
