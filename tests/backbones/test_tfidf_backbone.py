import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import tftransfer as tft

TEXTS = ["a good film", "a bad film", "good good end", "no end, bad film"] * 4
LABELS = np.array([1, 0, 1, 0] * 4)


def test_features_are_those_of_scikit_learn():
    backbone = tft.load_backbone("tfidf", corpus=TEXTS)
    reference = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), min_df=2, token_pattern=r"(?u)\b\w+\b"
    )
    expected = reference.fit_transform(TEXTS).toarray()
    found = tf.sparse.to_dense(backbone.model(tf.constant(TEXTS))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert backbone.features.sparse and backbone.features.shape == (
        None,
        expected.shape[1],
    )


def test_the_solved_head_is_logistic_regression(tmp_path):
    train = np.array(TEXTS, object), LABELS
    backbone = tft.load_backbone("tfidf", corpus=TEXTS, pairs=False)
    model = tft.build_transfer_model(backbone, num_classes=2)
    tft.fine_tune(model, train, epochs=1, frozen_epochs=0, head_solver="lbfgs")
    rows = tf.sparse.to_dense(backbone.model(tf.constant(TEXTS))).numpy()
    reference = LogisticRegression(tol=1e-8).fit(rows, LABELS).decision_function(rows)
    logits = model.predict(tf.constant(TEXTS), verbose=0)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], reference, atol=2e-2)
    model.save(tmp_path / "counts.keras")
    again = keras.models.load_model(tmp_path / "counts.keras")
    np.testing.assert_array_equal(again.predict(tf.constant(TEXTS), verbose=0), logits)


@pytest.mark.parametrize(
    ("handle", "options", "message"),
    [
        ("tfidf", {}, "`corpus` must be given .* Received: corpus=None. Pass the"),
        ("tfidf:words", {"corpus": TEXTS}, "Received: backbone='tfidf:words'"),
        ("tfidf", {"corpus": TEXTS, "max_word": 3}, "must be among .*max_terms.*max_w"),
        ("tfidf", {"corpus": TEXTS, "image_size": 32}, "`image_size` must be left out"),
        ("tfidf", {"corpus": []}, "`corpus` must hold at least one text"),
    ],
)
def test_refusals(handle, options, message):
    with pytest.raises(ValueError, match=message):
        tft.load_backbone(handle, **options)


@pytest.mark.slow
def test_trained_models_are_stacked_by_a_head_on_their_logits(tmp_path):
    train = np.array(TEXTS, object), LABELS
    counts = tft.build_transfer_model(
        tft.load_backbone("tfidf", corpus=TEXTS), num_classes=2
    )
    words = keras.layers.TextVectorization(
        vocabulary=["good", "bad", "end"], output_sequence_length=4
    )
    inputs = keras.Input((), dtype="string")
    x = keras.layers.Embedding(5, 8)(words(inputs))
    x = keras.layers.GlobalAveragePooling1D()(x)
    network = keras.Model(inputs, keras.layers.Dense(2)(x), name="network")
    for model in (counts, network):
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
        tft.fine_tune(model, train, epochs=1, frozen_epochs=0, verbose=0)
    both = tft.combine_backbones([network, counts], normalize=False)
    logits = [
        model.predict(tf.constant(TEXTS), verbose=0) for model in (network, counts)
    ]
    stack = tft.build_transfer_model(both, num_classes=2)
    tft.fine_tune(stack, train, epochs=1, frozen_epochs=0, head_solver="lbfgs")
    rows = np.concatenate(logits, axis=1)
    reference = LogisticRegression(tol=1e-8).fit(rows, LABELS).decision_function(rows)
    found = stack.predict(tf.constant(TEXTS), verbose=0)
    np.testing.assert_allclose(found[:, 1] - found[:, 0], reference, atol=2e-2)
    tft.export_model(stack, tmp_path / "stack", class_names=["bad", "good"])
    served = tft.load_exported(tmp_path / "stack").predict(TEXTS)
    good = [row.probabilities["good"] for row in served]
    expected = 1 / (1 + np.exp(found[:, 0] - found[:, 1]))
    np.testing.assert_allclose(good, expected, atol=1e-5)
