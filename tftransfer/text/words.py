"""Words as word vectors know them: split, counted and numbered."""

import collections

import keras
import numpy as np
import tensorflow as tf

PAD, UNKNOWN, FIRST_WORD = 0, 1, 2  # ids; the vocabulary begins at the last
_BATCH = 1024  # texts split at once where a corpus is counted
# First of all, as `tf.strings.lower` ends a text at its first zero byte.
_WHITE = r"[\p{Cc}\p{Zl}\p{Zp}\x{A0}\x{1680}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}]"
_REWRITTEN = (  # pattern, replacement: in this order
    (r"\p{Cf}", ""),  # such as soft hyphens and zero-width joiners
    ("[\u2018\u2019]", "'"),
    ("[\u201c\u201d]", '"'),
    (r"n't\b", " n't "),
    (r"\.{2,}", " ... "),
)
_TOKEN = "|".join(
    (
        r"n't\b",
        r"'(?:s|re|ve|ll|m|d)\b",
        r"(?:\p{L}\.){2,}",  # u.s.
        r"\p{N}+(?:[.,]\p{N}+)*[\p{L}\p{M}\p{N}]*",  # 1,000  2.5  1980s
        r"[\p{L}\p{M}\p{N}]+",
        r"\.{2,}",
        r"-{2,}",
        r"\S\p{M}*",  # anything else, with its accents or its emoji style
    )
)


def split_words(texts):
    """Split texts into lower-case words, as the tokens of GloVe are.

    Punctuation marks and symbols are words of their own, as are `n't`, `'s`, `'re`,
    `'ve`, `'ll`, `'m` and `'d`; numbers such as `1,000` and abbreviations such as
    `u.s.` stay whole. Bytes that are no UTF-8 become U+FFFD, a word of its own. Control
    characters separate words, format characters (zero-width joiners) are left out.

    Args:
        texts: Strings `(batch,)`.

    Returns:
        Ragged strings `(batch, words)`; an empty text has none.

    Example:

    >>> split_words(["I don't like it..."]).to_list()
    [[b'i', b'do', b"n't", b'like', b'it', b'...']]

    Reference:
        [Pennington et al., 2014](https://aclanthology.org/D14-1162), section 4.2, with
        the Stanford tokenizer.
    """
    texts = tf.strings.unicode_transcode(
        tf.convert_to_tensor(texts, tf.string),
        "UTF-8",
        "UTF-8",
        errors="replace",
        replace_control_characters=False,
    )
    texts = tf.strings.regex_replace(texts, _WHITE, " ")
    texts = tf.strings.lower(texts, encoding="utf-8")
    for pattern, replacement in _REWRITTEN:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.split(tf.strings.regex_replace(texts, _TOKEN, r" \0 "))


def count_words(corpus):
    """Count the words of texts, split as `WordTokenizer` splits them.

    Args:
        corpus: List or array of `str`, or a batched `tf.data.Dataset` of texts or of
            `(texts, labels)`.

    Returns:
        `collections.Counter` from word (`str`) to number of times.

    Raises:
        TypeError: If `corpus` is something else, or a row is no string.
        ValueError: If it has no end, or holds no word.

    Example:

    >>> count_words(["A good, good film."])["good"]
    2
    """
    counts: collections.Counter = collections.Counter()
    for texts in _batches(corpus):
        counts.update(split_words(texts).flat_values.numpy().tolist())
    if not counts:
        raise ValueError(
            "`corpus` must hold words. Received: a corpus of empty texts. Pass the "
            "texts of the training split."
        )
    return collections.Counter({word.decode(): n for word, n in counts.items()})


def check_corpus(corpus):
    """Raise unless `corpus` is something `count_words` could count; nothing is read.

    Raises:
        TypeError: If it is neither texts nor a batched dataset of texts.
        ValueError: If it is a dataset without an end.
    """
    if isinstance(corpus, tf.data.Dataset):
        spec = _texts_of(corpus.element_spec)
        is_text = isinstance(spec, tf.TensorSpec) and spec.dtype == tf.string
        if not is_text or spec.shape.rank not in (None, 1, 2):
            raise _wrong_corpus(f"a dataset of {spec}")
        if int(corpus.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "`corpus` must come to an end. Received: a dataset that repeats for "
                "ever. Leave out .repeat()."
            )
    elif isinstance(corpus, (str, bytes)) or not hasattr(corpus, "__len__"):
        raise _wrong_corpus(f"corpus={corpus!r:.60} of type {type(corpus).__name__}")


def _batches(corpus):
    check_corpus(corpus)
    if isinstance(corpus, tf.data.Dataset):
        for element in corpus:
            yield tf.reshape(_texts_of(element), [-1])
        return
    texts = list(np.asarray(corpus, object).reshape(-1))
    for row, text in enumerate(texts):
        if not isinstance(text, (str, bytes)):
            raise _wrong_corpus(f"row {row} is {text!r} of type {type(text).__name__}")
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        yield [x.encode(errors="replace") if isinstance(x, str) else x for x in batch]


def _texts_of(element):
    return element[0] if isinstance(element, (tuple, list)) else element


def _wrong_corpus(received):
    return TypeError(
        "`corpus` must be a list or array of str, or a batched tf.data.Dataset of "
        f"texts or (texts, labels). Received: {received}. Pass the texts of the "
        "training split only."
    )


@keras.saving.register_keras_serializable(package="tftransfer")
class WordTokenizer(keras.layers.Layer):
    """Strings to ids of words, split by `split_words`.

    The same in training as in serving: id 0 is for padding, 1 for words that the
    vocabulary lacks, and the first word of the vocabulary has 2.

    Args:
        vocabulary: List of distinct words, lower case.
        **options: Further arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If a word is there twice.

    Example:

    >>> tokenizer = WordTokenizer(["good", "film", "."])
    >>> tokenizer(["A good film.", ""]).to_list()
    [[1, 2, 3, 4], []]
    """

    def __init__(self, vocabulary, **options):
        super().__init__(trainable=False, **options)
        self.vocabulary = list(vocabulary)
        _check_distinct(self.vocabulary)
        self.supports_jit = False
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        with tf.init_scope():
            places = range(FIRST_WORD, FIRST_WORD + len(self.vocabulary))
            self._table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    tf.constant(self.vocabulary, tf.string),
                    tf.constant(list(places), tf.int32),
                ),
                default_value=UNKNOWN,
            )

    def call(self, texts):
        """Return int32 ids, ragged `(batch, words)`, for strings `(batch,)`."""
        words = split_words(texts)
        return words.with_flat_values(self._table.lookup(words.flat_values))

    def compute_output_spec(self, texts):
        """Return the shape and dtype of the ids, each text as long as it is."""
        return keras.KerasTensor((*texts.shape, None), dtype="int32", ragged=True)

    def get_config(self):
        """Return the arguments of the layer."""
        config = super().get_config()
        config.pop("trainable", None)
        return {**config, "vocabulary": list(self.vocabulary)}


def _check_distinct(vocabulary):
    if len(set(vocabulary)) == len(vocabulary):
        return
    counts = collections.Counter(vocabulary)
    twice = next(word for word, count in counts.items() if count > 1)
    raise ValueError(
        f"`vocabulary` must hold each word once. Received: {twice!r} "
        f"{counts[twice]} times. Leave the later ones out."
    )
