"""Terms and weights of tf-idf, counted in one pass over a corpus."""

import numpy as np
import tensorflow as tf

from tftransfer.checks import check_whole_number
from tftransfer.text.terms import split_words
from tftransfer.text.tfidf import BASE, TfIdf

BATCH = 1024  # texts of a list that are split at a time
MERGED = 1_000_000  # counts that wait until they are added up, at least


def fit_tfidf(
    corpus,
    *,
    max_terms=300_000,
    min_documents=2,
    pairs=True,
    shortest_word=1,
    name="tfidf",
):
    """Learn the terms and weights of a `TfIdf` layer from texts.

    Give it the training split only: weights from the test texts would tell the model
    about them. The texts are read once, batch by batch; what stays in memory are the
    distinct words and, for each word and pair, three numbers.

    The weight of a term is `log((1 + n) / (1 + documents)) + 1` for `n` texts, of
    which `documents` hold it: the smoothed idf of scikit-learn, whose columns come in
    the same order, too.

    Args:
        corpus: List or array of `str` or UTF-8 `bytes`, or a batched
            `tf.data.Dataset` of strings; of `(texts, labels)` the labels are ignored.
        max_terms: The most columns; the terms with most occurrences are kept. `None`
            keeps all.
        min_documents: Terms in fewer texts than this are left out.
        pairs: Whether pairs of neighboring words are terms as well.
        shortest_word: As of `TfIdf`. 1 keeps "t go" of "don't go": on IMDB worth 0.2 to
            0.4 points against 2, on three splits of the training half.
        name: Name of the layer.

    Returns:
        `TfIdf`.

    Raises:
        ValueError: If the corpus is empty, endless, not batched, or no term is in
            `min_documents` texts.
        TypeError: If it holds something else than texts.

    Example:

    >>> layer = fit_tfidf(["a good film", "good film, bad end", "bad"])
    >>> layer.vocabulary
    ['bad', 'film', 'good', 'good film']
    """
    if max_terms is not None:
        check_whole_number("max_terms", max_terms)
    check_whole_number("min_documents", min_documents)
    check_whole_number("shortest_word", shortest_word)
    counts, num_texts = _Counts(pairs, shortest_word), 0
    for texts in read_texts(corpus):
        counts.add(texts)
        num_texts += int(tf.size(texts))
    if not num_texts:
        raise ValueError(
            "`corpus` must hold at least one text. Received: none. Check the path or "
            "split it was read from."
        )
    terms, documents = counts.choose(max_terms, min_documents)
    if not terms:
        raise ValueError(
            f"`corpus` must have terms that are in {min_documents} texts. Received: "
            f"{num_texts} texts without any. Pass more texts, or min_documents=1."
        )
    idf = np.log((1 + num_texts) / (1 + documents)) + 1
    return TfIdf(terms, idf, shortest_word=shortest_word, name=name)


def read_texts(corpus):
    """Yield string tensors `(batch,)` of a corpus, as `fit_tfidf` takes it.

    Raises:
        ValueError: If a dataset is endless or not batched.
        TypeError: If there is something else than texts.
    """
    if isinstance(corpus, tf.data.Dataset):
        yield from _read_dataset(corpus)
        return
    if isinstance(corpus, tuple) and corpus and not isinstance(corpus[0], (str, bytes)):
        corpus = corpus[0]  # arrays (texts, labels)
    if isinstance(corpus, (str, bytes)) or not hasattr(corpus, "__len__"):
        raise _no_texts(f"corpus of type {type(corpus).__name__}")
    for start in range(0, len(corpus), BATCH):
        rows = np.ravel(np.asarray(corpus[start : start + BATCH], object))
        yield tf.constant([_encode(row, start + i) for i, row in enumerate(rows)])


def _read_dataset(dataset):
    spec = dataset.element_spec
    while isinstance(spec, (tuple, list)):
        spec = spec[0]
    if not isinstance(spec, tf.TensorSpec) or spec.dtype != tf.string:
        raise _no_texts(f"a dataset of {spec}")
    if spec.shape.rank == 0 or dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`corpus` given as a dataset must be batched and come to an end. Received: "
            f"elements of shape {spec.shape}, {int(dataset.cardinality())} of them (-1 "
            "is no end). Call batch(32), and leave repeat() out."
        )
    for batch in vars(dataset).get("unshuffled", dataset):
        while isinstance(batch, (tuple, list)):
            batch = batch[0]
        yield tf.reshape(batch, [-1])


def _encode(row, number):
    if isinstance(row, str):
        return row.encode("utf-8", "replace")  # half of a surrogate pair has no bytes
    if isinstance(row, bytes):
        return row
    raise _no_texts(f"row {number}: {row!r} of type {type(row).__name__}")


def _no_texts(received):
    return TypeError(
        "`corpus` must be a list of str, or a batched tf.data.Dataset of strings or of "
        f"(texts, labels). Received: {received}. Pass the training split."
    )


class _Counts:
    """How often each term occurs, and in how many texts.

    A word is known by its number, from 1; a pair by `first * BASE + second`.
    """

    def __init__(self, pairs, shortest_word):
        self._pairs, self._shortest_word, self._numbers = pairs, shortest_word, {}
        self._waiting, self._num_waiting, self._num_merged = [], 0, 0

    def add(self, texts):
        words = split_words(texts, self._shortest_word)
        rows = words.value_rowids().numpy()
        numbers = self._numbers
        tokens = words.flat_values.numpy().tolist()
        ids = [numbers.setdefault(token, len(numbers) + 1) for token in tokens]
        keys = np.array(ids, "int64")
        if self._pairs:
            inside = rows[:-1] == rows[1:]
            pairs = (keys[:-1] * BASE + keys[1:])[inside]
            keys, rows = np.append(keys, pairs), np.append(rows, rows[:-1][inside])
        self._wait(_count(keys, rows))
        if self._num_waiting > max(2 * self._num_merged, MERGED):
            self._merge()

    def _wait(self, counted):
        self._waiting.append(counted)
        self._num_waiting += len(counted[0])

    def _merge(self):
        parts = [np.concatenate(part) for part in zip(*self._waiting, strict=True)]
        keys, places = np.unique(parts[0], return_inverse=True)
        sums = [np.zeros(len(keys), "int64") for _ in parts[1:]]
        for total, part in zip(sums, parts[1:], strict=True):
            np.add.at(total, places, part)
        self._waiting, self._num_waiting = [], 0
        self._wait((keys, *sums))
        self._num_merged = len(keys)
        return self._waiting[0]

    def choose(self, max_terms, min_documents):
        """Return the terms, sorted, and the number of texts that hold each."""
        keys, documents, totals = self._merge()
        kept = documents >= min_documents
        keys, documents, totals = keys[kept], documents[kept], totals[kept]
        if max_terms is not None and len(keys) > max_terms:
            # Words come before pairs: no pair stays without its words.
            best = np.lexsort((keys, -totals))[:max_terms]
            keys, documents = keys[best], documents[best]
        words = [None, *(token.decode() for token in self._numbers)]
        terms = [
            f"{words[key // BASE]} {words[key % BASE]}" if key >= BASE else words[key]
            for key in keys.tolist()
        ]
        order = sorted(range(len(terms)), key=terms.__getitem__)
        return [terms[i] for i in order], documents[order]


def _count(keys, rows):
    """Return distinct keys, in how many rows each is, and how often."""
    keys, places, totals = np.unique(keys, return_inverse=True, return_counts=True)
    num_rows = int(rows.max(initial=0)) + 1
    held = np.sort(places * num_rows + rows)
    is_first = np.diff(held, prepend=-1) > 0
    documents = np.bincount(held[is_first] // num_rows, minlength=len(keys))
    return keys, documents, totals
