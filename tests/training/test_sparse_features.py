"""Heads on sparse features, solved in place through `fine_tune`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.linear_model import LogisticRegression

import tftransfer as tft
from tftransfer.backbones.combined import combine_backbones
from tftransfer.text.tfidf_fitting import fit_tfidf

WORDS = ["good", "great", "bad", "poor", "film", "plot", "very", "not", "the", "end"]
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "store"))


@pytest.fixture
def texts(rng):
    """Texts of 0 to 8 words; what is good or great tells the class, mostly."""
    return [" ".join(rng.choice(WORDS, size=i % 9)) for i in range(120)]


@pytest.fixture
def labels(texts, rng):
    good = [sum(text.count(x) for x in ("good", "great")) for text in texts]
    return (np.array(good) + rng.uniform(size=120) > 1).astype("int64")


@pytest.fixture
def data(texts, labels):
    return tf.data.Dataset.from_tensor_slices((texts, labels)).batch(16)


def build_network():
    words = layers.TextVectorization(vocabulary=WORDS, output_mode="multi_hot")
    inputs = keras.Input((), dtype="string")
    x = layers.Dense(5, activation="tanh", name="words_block")(words(inputs))
    return keras.Model(inputs, x, name="words")


@pytest.fixture
def model(texts):
    keras.utils.set_random_seed(1)
    combined = combine_backbones([build_network(), "tfidf"], corpus=texts)
    return tft.build_transfer_model(combined, num_classes=2, trainable_depth=0)


def features_of(model, texts):
    """What the head takes, computed by the model itself."""
    features = keras.Model(model.input, model.get_layer("logits").input)
    return tf.sparse.to_dense(features(tf.constant(texts))).numpy()


def probabilities(model, texts):
    return np.array(keras.ops.softmax(model(tf.constant(texts))))


def test_it_ends_at_scikit_learns_optimum(model, data, texts, labels):
    history = tft.fine_tune(model, data, head_solver="lbfgs", verbose=0)
    features = features_of(model, texts)
    theirs = LogisticRegression(max_iter=1000, tol=1e-7).fit(features, labels)
    expected = theirs.predict_proba(features)
    np.testing.assert_allclose(probabilities(model, texts), expected, atol=1e-3)
    found = {name: values[0] for name, values in history.history.items()}
    loss, accuracy = model.evaluate(data, verbose=0)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], accuracy, rtol=1e-6)


def test_shuffled_data_keep_their_labels(model, data, texts, labels):
    """Every pass has another order, yet networks and counts meet row by row."""
    shuffled = data.unbatch().shuffle(120, seed=0).batch(7)
    tft.fine_tune(model, shuffled, head_solver="lbfgs", verbose=0)
    features = features_of(model, texts)
    theirs = LogisticRegression(max_iter=1000, tol=1e-7).fit(features, labels)
    expected = theirs.predict_proba(features)
    np.testing.assert_allclose(probabilities(model, texts), expected, atol=1e-3)


def test_weights_of_classes_or_rows_and_validation_count(model, texts, labels, data):
    weights = np.where(labels, 3.0, 1.0)
    rows = tf.data.Dataset.from_tensor_slices((texts, labels, weights)).batch(16)
    settings = {"validation_data": data, "head_solver": "lbfgs", "verbose": 0}
    theirs = LogisticRegression(max_iter=1000, tol=1e-7)
    theirs.fit(features_of(model, texts), labels, sample_weight=weights)
    expected = theirs.predict_proba(features_of(model, texts))
    for given, class_weight in ((data, {1: 3.0}), (rows, None)):
        model.get_layer("logits").kernel.assign(
            tf.zeros_like(model.get_layer("logits").kernel)
        )
        history = tft.fine_tune(model, given, class_weight=class_weight, **settings)
        np.testing.assert_allclose(probabilities(model, texts), expected, atol=1e-3)
        loss = model.evaluate(data, verbose=0)[0]
        np.testing.assert_allclose(history.history["val_loss"], [loss], rtol=1e-5)


def test_counts_alone_are_solved(data, texts, labels):
    inputs = keras.Input((), dtype="string")
    x = fit_tfidf(texts, name="features")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    model.compile("adam", LOSS, metrics=["accuracy"])
    tft.fine_tune(model, data, head_solver="lbfgs", frozen_epochs=0, verbose=0)
    features = features_of(model, texts)
    theirs = LogisticRegression(max_iter=1000, tol=1e-7).fit(features, labels)
    expected = theirs.predict_proba(features)
    np.testing.assert_allclose(probabilities(model, texts), expected, atol=1e-3)


def test_the_network_opens_after_the_head_is_solved(model, data):
    history = tft.fine_tune(
        model,
        data,
        validation_data=data,
        epochs=1,
        trainable_depth="all",
        learning_rate=1e-4,
        head_solver="lbfgs",
        verbose=0,
    )
    losses = history.history["val_loss"]
    assert history.stages == [0, 1] and losses[1] < losses[0] + 1e-3


def test_networks_run_once(model, data, capsys):
    """The second time their features are found again, in whatever order."""
    tft.fine_tune(model, data, head_solver="lbfgs", verbose=2)
    assert "120 rows of features" in capsys.readouterr().out
    shuffled = data.unbatch().shuffle(120, seed=0).batch(7)
    tft.fine_tune(model, shuffled, head_solver="lbfgs", verbose=2)
    assert "rows of features" not in capsys.readouterr().out


def test_a_store_that_is_full_is_told(model, data, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", "10")
    with pytest.raises(ValueError, match="Received: head_solver='lbfgs', but"):
        tft.fine_tune(model, data, head_solver="lbfgs", verbose=0)
