"""Tf-idf vectors in the graph, against scikit-learn's."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.feature_extraction.text import TfidfVectorizer

import tftransfer as tft
from tftransfer.text.terms import split_words
from tftransfer.text.tfidf import TfIdf
from tftransfer.text.tfidf_fitting import fit_tfidf

CORPUS = [
    "A good film. A very good film!",
    "not a good film; <br /><br />not GOOD at all",
    "l'été fut très bon, très très bon",
    "été 2nd-rate 太陽の塔 太陽の塔 snake_case",
    "Straße ΟΔΥΣΣΕΥΣ \U0001f600 straße οδυσσευς x y z 2nd rate",
    "",
]
STRANGE = [
    b"",
    b"\xff\xfe broken \xc3 bytes \xf0\x9f",
    "\U0001f600\U0001f468\u200d\U0001f469 good\u0301 film".encode(),
    b"\x00good\x00film",
    b"good film " * 100_000,
    b"x" * 1_000_000,
]


def to_array(sparse):
    return tf.sparse.to_dense(sparse).numpy()


@pytest.fixture
def layer():
    return fit_tfidf(CORPUS, min_documents=1, shortest_word=2)


@pytest.fixture
def model(layer):
    inputs = keras.Input((), dtype="string")
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(layer(inputs)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss)
    return model


@pytest.mark.parametrize(
    ("shortest_word", "pattern"), [(1, r"(?u)\b\w+\b"), (2, r"(?u)\b\w\w+\b")]
)
@pytest.mark.parametrize(("min_documents", "pairs"), [(1, True), (2, True), (2, False)])
def test_terms_and_values_are_those_of_scikit_learn(
    min_documents, pairs, shortest_word, pattern
):
    theirs = TfidfVectorizer(
        sublinear_tf=True,
        ngram_range=(1, 1 + pairs),
        min_df=min_documents,
        token_pattern=pattern,
    ).fit(CORPUS)
    settings = {"min_documents": min_documents, "shortest_word": shortest_word}
    ours = fit_tfidf(CORPUS, pairs=pairs, **settings)
    assert ours.vocabulary == theirs.get_feature_names_out().tolist()
    np.testing.assert_allclose(ours.idf, theirs.idf_, rtol=1e-6)
    texts = [*CORPUS, "good GOOD good unknown été"]
    expected = theirs.transform(texts).toarray()
    np.testing.assert_allclose(to_array(ours(texts)), expected, atol=1e-6)


def test_rows_are_unit_vectors_or_zero(layer):
    lengths = np.linalg.norm(to_array(layer(CORPUS)), axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 1, 1, 1, 0], atol=1e-6)


def test_strange_texts_have_a_stated_result(layer):
    """Whatever is no letter, digit or underscore stands between words."""
    rows = to_array(layer(tf.constant(STRANGE)))
    assert np.isfinite(rows).all()
    assert not rows[[0, 1, 5]].any()
    good_film = to_array(layer(["good film"]))[0]
    np.testing.assert_array_equal(rows[2:4], [good_film, good_film])
    assert np.flatnonzero(rows[4]).tolist() == np.flatnonzero(good_film).tolist()


def test_no_texts_give_no_rows(layer):
    assert layer(tf.zeros([0], tf.string)).shape == (0, layer.num_terms)


def test_batches_of_one_column_are_taken(layer):
    column = to_array(layer(np.array(CORPUS, object)[:, None]))
    np.testing.assert_array_equal(column, to_array(layer(CORPUS)))


def test_words_of_a_pair_need_not_be_terms():
    layer = TfIdf(["good", "not bad"], [1.0, 1.0])
    found = to_array(layer(["not bad", "bad", "not good", "good not bad"]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[0, 1], [0, 0], [1, 0], [half, half]], rtol=1e-6)


def test_pairs_do_not_reach_into_the_next_text():
    layer = TfIdf(["not bad"], [1.0])
    assert not to_array(layer(["not", "bad", "so not", "", "bad"])).any()


def test_most_frequent_terms_are_kept():
    texts = ["up up up down", "up down", "left right", "left right", "rare"]
    layer = fit_tfidf(texts, max_terms=3, min_documents=1)
    assert layer.vocabulary == ["down", "left", "up"]  # four times up, twice each other
    assert fit_tfidf(texts, max_terms=None).num_terms == 6


@pytest.mark.parametrize(
    "corpus",
    [
        tf.data.Dataset.from_tensor_slices(CORPUS).batch(4),
        tf.data.Dataset.from_tensor_slices((CORPUS, range(6))).batch(2),
        tf.data.Dataset.from_tensor_slices(CORPUS).batch(1).batch(3),
        (np.array(CORPUS), np.arange(6)),
        [text.encode() for text in CORPUS],
    ],
    ids=["dataset", "with labels", "column", "arrays", "bytes"],
)
def test_a_corpus_comes_in_many_forms(corpus, layer):
    assert (
        fit_tfidf(corpus, min_documents=1, shortest_word=2).fingerprint
        == layer.fingerprint
    )


def test_counts_of_many_batches_add_up(monkeypatch, layer):
    monkeypatch.setattr("tftransfer.text.tfidf_fitting.BATCH", 1)
    monkeypatch.setattr("tftransfer.text.tfidf_fitting.MERGED", 1)
    assert (
        fit_tfidf(CORPUS, min_documents=1, shortest_word=2).fingerprint
        == layer.fingerprint
    )


def test_lone_surrogates_are_question_marks():
    layer = fit_tfidf(["good\ud800film"], min_documents=1)
    assert layer.vocabulary == ["film", "good", "good film"]


@pytest.mark.slow
def test_a_model_learns_on_it_and_survives_a_file(model, tmp_path):
    texts, labels = tf.constant(CORPUS[:4]), np.array([1, 0, 1, 0])
    model.fit(texts, labels, epochs=30, verbose=0)
    logits = model.predict(texts, verbose=0)
    assert logits.argmax(1).tolist() == [1, 0, 1, 0]
    model.save(tmp_path / "model.keras")
    loaded = tft.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(texts, verbose=0), logits)
    layer = next(x for x in loaded.layers if isinstance(x, TfIdf))
    assert "straße" in layer.vocabulary and not layer.weights
    assert len(str(layer.get_config())) < 1000


def test_a_saved_model_holds_its_tables(model, tmp_path):
    model.export(tmp_path / "export", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "export"))
    texts = tf.constant([*CORPUS, "good"])
    np.testing.assert_array_equal(served.serve(texts), model.predict(texts, verbose=0))


def test_tables_leave_nothing_behind_for_other_graphs(layer):
    name = tf.compat.v1.GraphKeys.TABLE_INITIALIZERS
    assert layer.num_terms and None not in tf.compat.v1.get_collection(name)


def test_a_damaged_file_is_refused(layer, tmp_path):
    layer.save_assets(tmp_path)
    np.save(tmp_path / "idf.npy", layer.idf + 1)
    empty = TfIdf.from_config(layer.get_config())
    with pytest.raises(ValueError, match="Received: terms or weights of layer 'tfidf'"):
        empty.load_assets(tmp_path)


def test_a_layer_without_its_terms_says_so(layer):
    empty = TfIdf.from_config(layer.get_config())
    with pytest.raises(
        ValueError, match="Received: a layer 'tfidf' made from its conf"
    ):
        empty(CORPUS)


@pytest.mark.parametrize(
    "vocabulary, idf, message",
    [
        (None, None, "Received: vocabulary=None"),
        ([], [], r"Received: vocabulary=\[\]"),
        ([1], [1.0], r"Received: vocabulary=\[1\]"),
        (["good", "good"], [1.0, 1.0], r"more than one of \['good'\]"),
        (["Good"], [1.0], "Received: the term 'Good'"),
        (["a!"], [1.0], "Received: the term 'a!'"),
        (["one two three"], [1.0], "Received: the term 'one two three'"),
        (["good  film"], [1.0], "Received: the term 'good  film'"),
        (["good"], [1.0, 2.0], r"Received: idf of shape \(2,\)"),
        (["good"], [0.0], r"Received: idf of shape \(1,\), \[0.\]"),
        (["good"], [np.nan], r"Received: idf of shape \(1,\), \[nan\]"),
    ],
)
def test_vocabularies_are_checked(vocabulary, idf, message):
    with pytest.raises(ValueError, match=message):
        TfIdf(vocabulary, idf)


@pytest.mark.parametrize(
    "inputs", [keras.Input((4,)), keras.Input((4,), dtype="string")]
)
def test_other_inputs_are_refused(layer, inputs):
    with pytest.raises(ValueError, match="`texts` must be strings .* Received: dtype"):
        layer(inputs)


@pytest.mark.parametrize(
    "corpus, error, message",
    [
        ([], ValueError, "Received: none"),
        (["", "a b", "c"], ValueError, "Received: 3 texts without any"),
        ("a text", TypeError, "Received: corpus of type str"),
        (None, TypeError, "Received: corpus of type NoneType"),
        (["good", None], TypeError, "Received: row 1: None of type NoneType"),
        (np.arange(3), TypeError, "Received: row 0: 0 of type int"),
        (tf.data.Dataset.range(3).batch(2), TypeError, "Received: a dataset of Tensor"),
        (
            tf.data.Dataset.from_tensor_slices(CORPUS),
            ValueError,
            r"Received: elements of shape \(\)",
        ),
        (
            tf.data.Dataset.from_tensors(CORPUS).repeat(),
            ValueError,
            r"Received: elements of shape \(6,\), -1 of them",
        ),
    ],
)
def test_corpora_are_checked(corpus, error, message):
    with pytest.raises(error, match=message):
        fit_tfidf(corpus)


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="Received: max_terms=0"):
        fit_tfidf(CORPUS, max_terms=0)
    with pytest.raises(ValueError, match="Received: shortest_word=0"):
        TfIdf(["good"], [1.0], shortest_word=0)
    with pytest.raises(ValueError, match="at least 2 .* Received: the term 'a'"):
        TfIdf(["a"], [1.0], shortest_word=2)
    with pytest.raises(TypeError, match="Received: min_documents=0.5"):
        fit_tfidf(CORPUS, min_documents=0.5)


@pytest.mark.slow
def test_the_language_of_the_machine_changes_nothing():
    code = "from tftransfer.text.terms import split_words; import tensorflow as tf\n"
    code += "print(split_words(tf.constant(['THIS İS İT'])).to_list())"
    env = {"LC_ALL": "tr_TR.UTF-8", "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": ""}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(
        split_words(tf.constant(["THIS İS İT"])).to_list()
    )


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_values_on_real_reviews(shared_data):
    import json
    import lzma

    with lzma.open(shared_data / "imdb_reviews.jsonl.xz", "rt") as file:
        texts = [json.loads(next(file))[4] for _ in range(2000)]
    theirs = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    expected = theirs.fit_transform(texts)
    layer = fit_tfidf(texts, max_terms=None, shortest_word=2)
    assert layer.vocabulary == theirs.get_feature_names_out().tolist()
    for start in range(0, 2000, 500):
        rows = slice(start, start + 500)
        found = to_array(layer(texts[rows]))
        np.testing.assert_allclose(found, expected[rows].toarray(), atol=1e-6)
