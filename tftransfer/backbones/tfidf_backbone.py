"""Counts of words and pairs alone as a backbone: the control of every text model."""

import keras

from tftransfer.text.tfidf_fitting import fit_tfidf


def build_tfidf_backbone(corpus=None, max_terms=300_000, min_documents=2, pairs=True):
    """Build tf-idf of words and pairs of words as a backbone of texts.

    With a linear head that `fine_tune(..., head_solver="lbfgs")` solves this is
    logistic regression on tf-idf, which any network for texts should be measured by.

    Args:
        corpus: As of `fit_tfidf`: the training split only.
        max_terms: As of `fit_tfidf`.
        min_documents: As of `fit_tfidf`.
        pairs: As of `fit_tfidf`.

    Returns:
        Functional `keras.Model` from strings `(batch,)` to sparse features
        `(batch, terms)`, float32, rows of length 1; its last layer is named `features`.

    Raises:
        ValueError: If there is no corpus, or as `fit_tfidf`.
        TypeError: As `fit_tfidf`.

    Example:

    >>> build_tfidf_backbone(["a good film", "good film, bad end", "bad"]).output.shape
    (None, 4)

    Reference:
        [Wang & Manning, 2012](https://aclanthology.org/P12-2018/).
    """
    if corpus is None:
        raise ValueError(
            '`corpus` must be given for "tfidf", which is fitted on it. Received: '
            "corpus=None. Pass the training split, and nothing of validation or test: "
            'load_backbone("tfidf", corpus=train).'
        )
    layer = fit_tfidf(
        corpus,
        max_terms=max_terms,
        min_documents=min_documents,
        pairs=pairs,
    )
    inputs = keras.Input((), dtype="string", name="texts")
    features = keras.layers.Identity(name="features")(layer(inputs))
    return keras.Model(inputs, features, name="terms")
