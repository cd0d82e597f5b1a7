"""Words of texts, split in the graph, and terms made of them."""

import collections

import numpy as np
import tensorflow as tf

_BETWEEN_WORDS = r"[^\p{L}\p{N}_]+"


def split_words(texts, shortest_word=1):
    r"""Split texts into words in lower case.

    Args:
        texts: String tensor `(batch,)`.
        shortest_word: Characters of the shortest words, others are left out.

    Returns:
        `tf.RaggedTensor` of strings `(batch, words)`.

    Example:

    >>> split_words(tf.constant(["It's a 2nd ÉTUDE"])).to_list()
    [[b'it', b's', b'a', b'2nd', b'\xc3\xa9tude']]
    >>> split_words(tf.constant(["It's a 2nd ÉTUDE"]), 2).to_list()
    [[b'it', b'2nd', b'\xc3\xa9tude']]
    """
    texts = tf.strings.regex_replace(tf.strings.lower(texts), r"\x00", " ")
    texts = tf.strings.regex_replace(texts, "İ", "i\u0307")
    # On its own it would stop at a zero byte, and on a Turkish machine take the dot
    # from a small I (TensorFlow 2.21).
    texts = tf.strings.lower(texts, encoding="utf-8")
    words = tf.strings.split(tf.strings.regex_replace(texts, _BETWEEN_WORDS, " "))
    if shortest_word == 1:
        return words
    lengths = tf.strings.length(words.flat_values, unit="UTF8_CHAR")
    is_long = lengths >= shortest_word
    return tf.ragged.boolean_mask(words, words.with_flat_values(is_long))


def check_terms(vocabulary, idf, shortest_word):
    """Return `vocabulary` as a list and `idf` as a float32 array, or raise.

    Raises:
        ValueError: If a term is there twice or is not what splits off a text, or if
            `idf` does not fit.
    """
    terms = list(vocabulary or ())
    if not terms or not all(isinstance(term, str) for term in terms):
        raise ValueError(
            "`vocabulary` must be a list of at least one str. Received: "
            f"vocabulary={vocabulary!r}. Take fit_tfidf(corpus)."
        )
    _check_words(terms, shortest_word)
    if len(set(terms)) < len(terms):
        twice = [x for x, n in collections.Counter(terms).items() if n > 1][:3]
        raise ValueError(
            "`vocabulary` must hold each term once. Received: more than one of "
            f"{twice}. Leave them out."
        )
    idf = np.asarray(idf, "float32")
    is_fit = idf.shape == (len(terms),) and np.isfinite(idf).all() and idf.min() > 0
    if not is_fit:
        raise ValueError(
            f"`idf` must hold {len(terms)} finite numbers above 0, one for each term. "
            f"Received: idf of shape {idf.shape}, {idf.ravel()[:3]}.... Take "
            "fit_tfidf(corpus)."
        )
    return terms, idf


def _check_words(terms, shortest_word):
    words = split_words(tf.constant(terms), shortest_word)
    found = tf.strings.reduce_join(words, axis=1, separator=" ").numpy()
    counts = words.row_lengths().numpy()
    for term, joined, count in zip(terms, found, counts, strict=True):
        if term.encode() != joined or not 1 <= count <= 2:
            raise ValueError(
                f"`vocabulary` must hold words of at least {shortest_word} letters, "
                "digits or underscores in lower case, and pairs of them with one "
                f"space. Received: the term {term!r}. Take fit_tfidf(corpus)."
            )
