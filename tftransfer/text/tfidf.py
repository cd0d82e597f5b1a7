"""Tf-idf of words and word pairs as a layer: strings to sparse unit vectors."""

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tftransfer.checks import check_whole_number
from tftransfer.text.terms import check_terms, split_words

TERMS_FILE, IDF_FILE = "terms.txt", "idf.npy"  # inside the assets of a .keras file
BASE = 2**32  # a pair is known by first * BASE + second; there are fewer words
_NO_PAIR, _UNKNOWN = -1, -1


@keras.saving.register_keras_serializable(package="tftransfer")
class TfIdf(keras.layers.Layer):
    """Tf-idf vectors of texts: words and pairs of neighbors, each row of length one.

    Where topics or sentiment lie in the words, these vectors under a linear head are
    hard to beat, and beside the features of a network they add what it has not seen.

    A value is `(1 + log(count)) * idf`, divided by the row's Euclidean length: what
    scikit-learn's `TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))` computes.
    A word is a run of letters, digits or underscores of any script, in lower case; a
    pair is two words that follow one another, whatever stands between.
    Bytes that are no UTF-8 separate words. A text without known terms, such as the
    empty one, is a row of zeros. The language of the machine changes nothing.

    `fit_tfidf` learns terms and weights from a corpus. They are kept beside the
    configuration in a `.keras` file, which loads with `tft.load_model`, and inside an
    exported model, which needs TensorFlow only. The layer learns nothing in `fit`.

    Args:
        vocabulary: List of terms, `"word"` or `"word word"`, the columns in order.
        idf: Weight of each term, above 0.
        shortest_word: Characters of the shortest words; what is shorter is passed over,
            also between two words. scikit-learn's own choice is 2.
        recorded: For `from_config` only; what `get_config` wrote.
        name: Name of the layer.
        dtype: Keras dtype; values are float32 whatever it is.

    Input shape:
        Strings `(batch,)` or `(batch, 1)`.

    Output shape:
        Sparse float32 `(batch, num_terms)`.

    Raises:
        ValueError: If a term is there twice or is not what splits off a text, or if
            `idf` does not fit.
        NotImplementedError: If Keras does not run on TensorFlow.

    Example:

    >>> layer = TfIdf(["bad", "good", "not good"], [1.0, 1.0, 2.0])
    >>> tf.sparse.to_dense(layer(["Good!", "not -- good?", ""])).numpy().round(3)
    array([[0.   , 1.   , 0.   ],
           [0.   , 0.447, 0.894],
           [0.   , 0.   , 0.   ]], dtype=float32)

    Reference:
        [Salton & Buckley, 1988](https://doi.org/10.1016/0306-4573(88)90021-0);
        [Wang & Manning, 2012](https://aclanthology.org/P12-2018/), on pairs.
    """

    def __init__(
        self,
        vocabulary=None,
        idf=None,
        *,
        shortest_word=1,
        recorded=None,
        name=None,
        dtype="float32",
    ):
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError(
                "TfIdf reads strings: set KERAS_BACKEND=tensorflow."
            )
        super().__init__(trainable=False, name=name, dtype=dtype)
        self.supports_jit = False
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self._tables: Any = None
        check_whole_number("shortest_word", shortest_word)
        self.shortest_word = shortest_word
        if recorded is None:
            self._take(*check_terms(vocabulary, idf, shortest_word))
        else:  # the terms come with `load_assets`
            self.num_terms = recorded["num_terms"]
            self.fingerprint = recorded["fingerprint"]

    def _take(self, terms, idf):
        self._text = "\n".join(terms)  # a list would be wrapped, item by item
        self.num_terms, self.fingerprint = len(terms), _fingerprint(self._text, idf)
        self._idf = tf.constant(idf)
        self._tables = _Tables(terms)

    @property
    def vocabulary(self):
        """List of the terms, in the order of the columns."""
        self._check_terms_are_there()
        return self._text.split("\n")

    @property
    def idf(self):
        """Float32 array `(num_terms,)`: the weight of each term."""
        self._check_terms_are_there()
        return self._idf.numpy()

    def call(self, texts):
        """Return the vectors as a `tf.SparseTensor`, its entries in order."""
        self._check_terms_are_there()
        texts = tf.convert_to_tensor(texts)
        if texts.shape.rank == 2:
            texts = tf.squeeze(texts, 1)
        rows, columns = self._tables.find(split_words(texts, self.shortest_word))
        num_texts = tf.size(texts, tf.int64)
        counted = tf.raw_ops.SparseCountSparseOutput(
            indices=tf.stack([rows, columns], axis=1),
            values=columns,
            # It refuses to count for no texts at all.
            dense_shape=tf.stack([tf.maximum(num_texts, 1), self.num_terms]),
            weights=tf.zeros([0]),
            minlength=self.num_terms,
            maxlength=self.num_terms,
            binary_output=False,
        )
        indices = counted.output_indices
        values = 1 + tf.math.log(tf.cast(counted.output_values, tf.float32))
        values *= tf.gather(self._idf, indices[:, 1])
        squares = tf.math.segment_sum(tf.square(values), indices[:, 0])
        values /= tf.gather(tf.sqrt(squares), indices[:, 0])
        shape = tf.stack([num_texts, self.num_terms])
        vectors = tf.SparseTensor(indices, values, shape)
        vectors.set_shape([texts.shape[0], self.num_terms])
        return vectors

    def compute_output_spec(self, texts):
        """Return the shape and dtype of the vectors, which are sparse."""
        shape = tuple(texts.shape)
        if keras.backend.standardize_dtype(texts.dtype) != "string" or (
            len(shape) != 1 and shape[1:] != (1,)
        ):
            raise ValueError(
                "`texts` must be strings of shape (batch,) or (batch, 1). Received: "
                f"dtype {texts.dtype}, shape {shape}. Begin the model with "
                'keras.Input((), dtype="string").'
            )
        return keras.KerasTensor((shape[0], self.num_terms), "float32", sparse=True)

    def save_assets(self, dir_path):
        """Put terms and weights into the `.keras` file that is being written."""
        self._check_terms_are_there()
        folder = Path(dir_path)
        (folder / TERMS_FILE).write_bytes(self._text.encode())
        np.save(folder / IDF_FILE, self.idf)

    def load_assets(self, dir_path):
        """Take terms and weights out of the `.keras` file that is being read."""
        folder = Path(dir_path)
        text = (folder / TERMS_FILE).read_bytes().decode()
        idf = np.load(folder / IDF_FILE, allow_pickle=False)
        if _fingerprint(text, idf) != self.fingerprint:
            raise ValueError(
                "`path` must be a whole .keras file. Received: terms or weights of "
                f"layer {self.name!r} that are not those it was saved with. Save the "
                "model again."
            )
        self._take(text.split("\n"), idf)

    def get_config(self):
        """Return the arguments of the layer, terms and weights left out."""
        config = super().get_config()
        config.pop("trainable", None)
        recorded = {"num_terms": self.num_terms, "fingerprint": self.fingerprint}
        return {**config, "shortest_word": self.shortest_word, "recorded": recorded}

    def _check_terms_are_there(self):
        if self._tables is None:
            raise ValueError(
                "`vocabulary` must be there before the layer is called. Received: a "
                f"layer {self.name!r} made from its configuration, which is without "
                "it. Load the whole model with tft.load_model, or fit_tfidf anew."
            )


class _Tables(tf.Module):
    """Where terms are looked up: words by their letters, pairs by their words."""

    def __init__(self, terms):
        super().__init__()
        self._num_terms = len(terms)
        parts = [term.split(" ") for term in terms]
        ids = {part[0]: i for i, part in enumerate(parts) if len(part) == 1}
        for word in (word for part in parts for word in part):
            if word not in ids:  # it counts in pairs only, and has no column
                ids[word] = len(terms) + len(ids)
        pairs = {
            ids[part[0]] * BASE + ids[part[1]]: i
            for i, part in enumerate(parts)
            if len(part) == 2
        }
        self._words = _table(list(ids), list(ids.values()), tf.string)
        pairs[_NO_PAIR] = _UNKNOWN  # a table must not be empty
        self._pairs = _table(list(pairs), list(pairs.values()), tf.int64)

    def find(self, words):
        """Return row and column of every known term, one entry for each place."""
        rows, ids = words.value_rowids(), self._words.lookup(words.flat_values)
        first, second = ids[:-1], ids[1:]
        is_pair = (rows[:-1] == rows[1:]) & (first >= 0) & (second >= 0)
        pairs = self._pairs.lookup(tf.where(is_pair, first * BASE + second, _NO_PAIR))
        rows = tf.concat([rows, rows[:-1]], axis=0)
        columns = tf.concat([ids, pairs], axis=0)
        is_known = (columns >= 0) & (columns < self._num_terms)
        return tf.boolean_mask(rows, is_known), tf.boolean_mask(columns, is_known)


def _table(keys, values, dtype):
    values = tf.constant(values, tf.int64)
    content = tf.lookup.KeyValueTensorInitializer(tf.constant(keys, dtype), values)
    table = tf.lookup.StaticHashTable(content, default_value=_UNKNOWN)
    # Made eagerly it leaves a None among what graphs inherit, and TensorFlow 2.21 warns
    # of that whenever it converts one.
    name = tf.compat.v1.GraphKeys.TABLE_INITIALIZERS
    left = tf.compat.v1.get_collection_ref(name)
    left[:] = [initializer for initializer in left if initializer is not None]
    return table


def _fingerprint(text, idf):
    return hashlib.sha256(text.encode() + idf.astype("<f4").tobytes()).hexdigest()
