"""Backbones side by side: networks and tf-idf on one input."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tftransfer.backbones.catalog import Backbone
from tftransfer.backbones.combined import combine_backbones
from tftransfer.export import parity
from tftransfer.text.tfidf import TfIdf
from tftransfer.text.tfidf_fitting import fit_tfidf

TEXTS = ["a good film", "very good indeed", "a bad film", "bad, not good"] * 4
LABELS = np.array([1, 1, 0, 0] * 4)
DATA = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(4)
STRANGE = ["", "\U0001f600", "good " * 1000, b"\xff bad".decode("latin-1")]


def build_words(name="words", width=6, vocabulary=("good", "bad", "film")):
    words = layers.TextVectorization(
        vocabulary=list(vocabulary), output_sequence_length=8
    )
    inputs = keras.Input((), dtype="string")
    x = layers.Embedding(len(vocabulary) + 2, 8, name=f"{name}_embedding")(
        words(inputs)
    )
    x = layers.GlobalAveragePooling1D(name=f"{name}_pool")(x)
    x = layers.Dense(width, activation="tanh", name=f"{name}_block2")(x)
    return keras.Model(inputs, x, name=name)


def build_image(name, size=(8, 8)):
    inputs = keras.Input((*size, 3))
    x = layers.Conv2D(4, 3, name=f"{name}_conv")(inputs)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name=name)


def to_array(sparse):
    return tf.sparse.to_dense(sparse).numpy()


@pytest.fixture(scope="module")
def combined():
    keras.utils.set_random_seed(0)
    return combine_backbones([build_words(), "tfidf"], corpus=TEXTS)


def test_features_are_those_of_the_parts(combined):
    assert isinstance(combined, Backbone) and combined.image_size is None
    assert combined.model.layers[-1].name == "features"
    words, tfidf = (combined.model.get_layer(name) for name in ("words", "tfidf"))
    texts = tf.constant([*TEXTS[:4], *STRANGE])
    found = to_array(combined.model(texts))
    dense = np.array(words(texts))
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    expected = np.concatenate([dense, to_array(tfidf(texts))], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert tfidf.fingerprint == fit_tfidf(TEXTS).fingerprint
    alone = tft.load_backbone("tfidf", corpus=TEXTS)
    again = combine_backbones([build_words(), alone])
    assert again.features.sparse
    found = to_array(again.model(texts))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_networks_are_shared_not_copied():
    network = build_words()
    combined = combine_backbones([network, fit_tfidf(TEXTS)])
    kernel = network.get_layer("words_block2").kernel
    assert any(weight is kernel for weight in combined.model.weights)


def test_a_model_trains_evaluates_saves_and_loads(combined, tmp_path):
    model = tft.build_transfer_model(combined, num_classes=2, trainable_depth=0)
    assert [w.path for w in model.trainable_weights] == ["logits/kernel", "logits/bias"]
    model.compile(keras.optimizers.Adam(0.1), model.loss, metrics=["accuracy"])
    model.fit(DATA, shuffle=False, epochs=10, verbose=0)
    assert model.evaluate(DATA, verbose=0)[1] == 1.0
    model.save(tmp_path / "model.keras")
    loaded = tft.load_model(tmp_path / "model.keras")
    texts = tf.constant([*TEXTS[:4], *STRANGE])
    np.testing.assert_array_equal(loaded(texts), model(texts))


def test_depth_opens_the_network(combined):
    model = tft.build_transfer_model(combined, num_classes=2, trainable_depth=1)
    paths = {weight.path for weight in model.trainable_weights}
    assert paths == {
        "words_block2/kernel",
        "words_block2/bias",
        "logits/kernel",
        "logits/bias",
    }
    before = [np.array(weight) for weight in model.weights]
    model.fit(tf.constant(TEXTS), LABELS, verbose=0)
    moved = [
        weight.path
        for weight, old in zip(model.weights, before, strict=True)
        if not np.array_equal(old, weight)
    ]
    assert set(moved) == paths


def test_fine_tuning_runs_through_the_stages(combined, capsys):
    model = tft.build_transfer_model(combined, num_classes=2)
    settings = {"epochs": 1, "trainable_depth": "all", "verbose": 2}
    history = tft.fine_tune(model, DATA, validation_data=DATA, **settings)
    assert history.epoch == [0, 1]
    told = "Fast path not taken: features at 'features' are sparse."
    assert told in capsys.readouterr().out


def test_an_export_serves_the_same(combined, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "serve_in_fresh_process", serve_here)
    model = tft.build_transfer_model(combined, num_classes=2)
    about = tft.export_model(model, tmp_path / "export", verbose=False)
    assert about["input"] == "texts" and about["parity"]["max_abs_difference"] < 1e-6


def serve_here(saved_model, calls):
    signatures = tf.saved_model.load(str(saved_model)).signatures
    return [
        {key: value.numpy() for key, value in signatures[name](**inputs).items()}
        for name, inputs in calls
    ]


@pytest.mark.slow
def test_an_export_serves_the_same_where_only_tensorflow_is(combined, tmp_path):
    model = tft.build_transfer_model(combined, num_classes=2)
    about = tft.export_model(model, tmp_path / "export", verbose=False)
    assert about["parity"]["max_abs_difference"] < 1e-6


def test_models_of_one_name_and_weights_of_parts():
    one, two = build_words(width=2), build_words(width=3)
    found = combine_backbones([one, two], weights=[1.0, 2.0])
    assert [x.name for x in found.model.layers[1:3]] == ["words", "words_2"]
    features = np.array(found.model(tf.constant(TEXTS)))
    for part, length in ((features[:, :2], 1.0), (features[:, 2:], 2.0)):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), length, rtol=1e-5)
    assert not found.features.sparse


def test_backbones_of_images_are_combined(rng):
    found = combine_backbones([build_image("a"), build_image("b")], normalize=False)
    images = rng.uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    parts = [found.model.get_layer(name)(images) for name in "ab"]
    np.testing.assert_allclose(
        found.model(images), np.concatenate(parts, axis=1), rtol=1e-6
    )
    model = tft.build_transfer_model(found, num_classes=3)
    rows = tft.extract_features(model, images, verbose=0)
    np.testing.assert_allclose(rows.features[:], found.model(images), rtol=1e-5)
    with pytest.raises(ValueError, match=r"Received: image_size=\(4, 4\)"):
        tft.build_transfer_model(found, num_classes=3, image_size=(4, 4))


def test_word_counts_alone_make_a_model():
    inputs = keras.Input((), dtype="string")
    model = keras.Model(inputs, fit_tfidf(TEXTS)(inputs))
    layer = model.layers[-1]
    assert isinstance(layer, TfIdf) and model.output.sparse


@pytest.mark.parametrize(
    ("backbones", "settings", "message"),
    [
        ("tfidf", {}, "Received: backbones='tfidf'"),
        (["tfidf"], {"corpus": TEXTS}, r"Received: backbones=\['tfidf'\]"),
        (["tfidf", "tfidf"], {"corpus": TEXTS}, "it stands there 2 times"),
        (["alexnet", "tfidf"], {}, "Received: corpus=None. Pass the training split"),
        (["keras:NoNet", "tfidf"], {"corpus": TEXTS}, "Received: backbone='keras:NoNe"),
        (["alexnet", "tf-idf"], {}, "Received: backbone='tf-idf'"),
        ([build_image("a"), build_image("b")], {"corpus": TEXTS}, "Received: a corpus"),
        (
            [build_image("a"), build_words()],
            {},
            r"\['float32 \(None, None, None, 3\) at",
        ),
        (
            [build_image("a"), build_image("b", (9, 8))],
            {},
            r"at \(8, 8\)', .* at \(9, 8\)'\]",
        ),
        ([build_image("a"), "tfidf"], {"corpus": TEXTS}, "'texts'"),
        (
            [build_words(), "tfidf"],
            {"corpus": TEXTS, "weights": [1]},
            r"`weights` must be 2 numbers above 0.* Received: weights=\[1.0\]",
        ),
    ],
)
def test_bad_input_is_refused(backbones, settings, message):
    with pytest.raises(ValueError, match=message):
        combine_backbones(backbones, **settings)


def test_a_backbone_that_learns_above_its_features_is_refused():
    inputs = keras.Input((4,))
    x = layers.Activation("linear", name="features")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="learns")(x))
    backbone = Backbone("mine", model, {"in_channels": 3})
    with pytest.raises(ValueError, match="Received: 'mine', which ends in 'learns'"):
        combine_backbones([backbone, backbone])
