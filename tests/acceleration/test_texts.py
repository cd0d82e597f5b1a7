"""Texts on the fast path: the same training as without, ids and mask included."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.text.pooling import PoolTokens
from tftransfer.text.token_ids import TokenIds
from tftransfer.text.word_piece import WordPieceTokenizer

hub_layers = pytest.importorskip("keras_hub").layers

PIECES = ["[PAD]", "[UNK]", *(f"w{number}" for number in range(30))]
rng = np.random.default_rng(0)
TEXTS = np.array(
    [
        " ".join(f"w{n}" for n in rng.integers(0, 30, length))
        for length in rng.integers(0, 60, 52)
    ],
    object,
)
LABELS = np.array([text.count("w1") % 2 for text in TEXTS])


def build_model(open_layers=0, seed=0):
    keras.utils.set_random_seed(seed)
    texts = keras.Input((), dtype="string")
    ids = TokenIds(WordPieceTokenizer(PIECES), sequence_length=40)(texts)
    mask = keras.ops.cast(keras.ops.not_equal(ids, 0), "int32")
    x = keras.layers.Embedding(32, 8, name="embedding")(ids)
    for number in range(2):
        layer = hub_layers.TransformerEncoder(16, 2, name=f"transformer_layer_{number}")
        x = layer(x, padding_mask=mask)
    features = PoolTokens(name="features")(x, mask)
    model = keras.Model(texts, keras.layers.Dense(2, name="logits")(features))
    tft.set_trainable_depth(model, open_layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


def train_both(depth, tmp_path, capsys):
    """Train with and without the store in one order; return both models."""
    data = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    models = []
    for cache in (tmp_path, False):
        model = build_model(depth)
        tft.fine_tune(
            model, data, epochs=3, frozen_epochs=0, cache=cache, engine="tensorflow"
        )
        models.append(model)
    return models, capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_training_is_the_same_with_stored_activations(depth, tmp_path, capsys):
    (stored, plain), out = train_both(depth, tmp_path, capsys)
    place = ["features", "transformer_layer_0"][depth]
    assert f"52 rows of features at '{place}'" in out
    for ours, theirs in zip(stored.weights, plain.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5, err_msg=ours.path)


def test_what_is_printed_tells_tokens_and_padding(tmp_path, capsys):
    model = build_model()
    tft.extract_features(model, (TEXTS, LABELS), directory=tmp_path)
    out = capsys.readouterr().out
    assert "tokens a second" in out and "% of the places padding" in out


@pytest.mark.slow
def test_rows_are_found_again_and_another_text_is_another_key(tmp_path, capsys):
    model = build_model()
    first = tft.extract_features(model, TEXTS, directory=tmp_path, verbose=0)
    again = tft.extract_features(model, TEXTS, directory=tmp_path, verbose=1)
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(first.features, again.features)
    other = TEXTS.copy()
    other[3] = "w1"
    changed = tft.extract_features(model, other, directory=tmp_path, verbose=0)
    rows = np.abs(np.asarray(changed.features) - np.asarray(first.features)).max(1)
    assert np.flatnonzero(rows > 1e-5).tolist() == [3]


@pytest.mark.parametrize("kind", ["object", "str"])
def test_texts_in_arrays_and_lists_train(kind, tmp_path):
    texts = {"object": TEXTS, "str": list(map(str, TEXTS))}[kind]
    model = build_model()
    history = tft.fine_tune(
        model, (texts, LABELS), epochs=1, frozen_epochs=0, cache=tmp_path, verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_other_engines_give_the_same_features(engine, tmp_path):
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime"}[engine])
    model = build_model()
    settings = {"directory": tmp_path, "verbose": 0}
    own = tft.extract_features(model, TEXTS, engine="tensorflow", **settings)
    other = tft.extract_features(model, TEXTS, engine=engine, **settings)
    np.testing.assert_allclose(other.features, np.asarray(own.features), atol=1e-5)


@pytest.mark.slow
def test_texts_of_two_domains_are_aligned(tmp_path):
    model = build_model()
    aligned = tft.AlignedModel(model, tft.CORAL(weight=1.0))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    aligned.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    source = tf.data.Dataset.from_tensor_slices((TEXTS[:32], LABELS[:32])).batch(8)
    target = tf.data.Dataset.from_tensor_slices(TEXTS[32:]).batch(8)
    pairs = tft.pair_domains(source, target)
    history = aligned.fit(pairs, epochs=2, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()
    assert aligned.predict(TEXTS[:4], verbose=0).shape == (4, 2)


@pytest.mark.slow
def test_another_cut_is_read_after_training_above_this_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path))
    model = build_model(1)
    tft.accelerate(model)
    data = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    model.fit(data, epochs=1, verbose=0, shuffle=False)
    tft.set_trainable_depth(model, 0)
    stored = model.evaluate(data, verbose=0)
    tft.accelerate(model, False)
    np.testing.assert_allclose(stored, model.evaluate(data, verbose=0), rtol=1e-5)
