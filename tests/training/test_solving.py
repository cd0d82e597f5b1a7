"""The optimum of a linear head, without training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.linear_model import LogisticRegression

import tftransfer as tft


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / "store"))


@pytest.fixture
def data(rng):
    points = rng.normal(size=(90, 4)).astype("float32")
    return points, (points[:, 0] + points[:, 1] ** 2 > 0.8).astype("int64")


def build(regularizer=None, hidden=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = layers.Dense(6, activation="tanh", name="block1", trainable=False)(inputs)
    x = layers.Activation("linear", name="features")(x)
    if hidden:
        x = layers.Dense(hidden, name="hidden")(x)
    x = layers.Dense(2, kernel_regularizer=regularizer, name="logits")(x)
    model = keras.Model(inputs, x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0, momentum=0.9), loss, metrics=["accuracy"])
    return model


def test_it_ends_where_training_ends(data):
    """A thousand steps on full batches with the same penalty come close."""
    solved, trained = (build(keras.regularizers.L2(0.01)) for _ in range(2))
    history = tft.fine_tune(solved, data, epochs=7, head_solver="lbfgs", verbose=0)
    steps = tf.data.Dataset.from_tensors(data).repeat(1000)
    trained.fit(steps, shuffle=False, verbose=0)
    for model in (solved, trained):
        model.get_layer("logits").bias.assign_sub(  # two softmax logits share a shift
            np.full(2, np.mean(model.get_layer("logits").bias))
        )
    for ours, theirs in zip(solved.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
    loss, accuracy = solved.evaluate(*data, verbose=0)
    np.testing.assert_allclose(history.history["loss"], [loss], rtol=1e-5)
    np.testing.assert_allclose(history.history["accuracy"], [accuracy], rtol=1e-6)
    assert history.epoch == [0] and history.stages == [0]


def test_later_stages_go_on_from_the_optimum(data, tmp_path):
    model = build()
    history = tft.fine_tune(
        model,
        data,
        validation_data=data,
        epochs=2,
        trainable_depth="all",
        learning_rate=1e-5,
        head_solver="lbfgs",
        callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")],
        verbose=0,
    )
    assert history.epoch == [0, 1, 2] and history.stages == [0, 1]
    losses = history.history["val_loss"]
    assert losses[2] <= losses[1] <= losses[0] + 1e-4 < 0.69
    solved = keras.models.load_model(tmp_path / "1.keras")
    np.testing.assert_allclose(
        solved.evaluate(*data, verbose=0)[0], losses[0], rtol=1e-4
    )


def test_it_solves_on_what_the_head_takes(data):
    """Dropout keeps the cut below the activation; the head takes what is above it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    x = layers.Dense(6, name="block1", trainable=False)(inputs)
    x = layers.Activation("relu", name="features")(layers.Dropout(0.5)(x))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    tft.fine_tune(model, data, head_solver="lbfgs", verbose=0)
    features = keras.Model(inputs, x).predict(data[0], verbose=0)
    expected = LogisticRegression(max_iter=1000).fit(features, data[1])
    found = keras.ops.convert_to_numpy(keras.ops.softmax(model(data[0])))
    np.testing.assert_allclose(found, expected.predict_proba(features), atol=0.02)


def test_class_weights_count(data):
    plain, weighted = build(), build()
    settings = {"head_solver": "lbfgs", "verbose": 0}
    tft.fine_tune(plain, data, **settings)
    tft.fine_tune(weighted, data, class_weight={0: 0.01}, **settings)
    shares = [
        np.mean(m.predict(data[0], verbose=0).argmax(1)) for m in (plain, weighted)
    ]
    assert shares[1] > shares[0] + 0.1


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"head_solver": "newton"}, "Received: head_solver='newton'"),
        ({"head_solver": "lbfgs", "cache": False}, "Received: cache=False"),
    ],
)
def test_settings_are_checked(data, settings, message):
    with pytest.raises(ValueError, match=message):
        tft.fine_tune(build(), data, **settings)


def test_other_heads_are_refused(data):
    with pytest.raises(ValueError, match=r"a head of hidden \(Dense\), logits"):
        tft.fine_tune(build(hidden=3), data, head_solver="lbfgs")


def test_features_that_cannot_be_stored_are_refused(data, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", "10")
    with pytest.raises(ValueError, match="Received: head_solver='lbfgs', but features"):
        tft.fine_tune(build(), data, head_solver="lbfgs", verbose=0)
