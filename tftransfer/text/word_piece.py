"""WordPiece, the tokenizer of BERT and its relatives, as TensorFlow operations."""

import keras
import tensorflow as tf

from tftransfer.text.tensorflow_text import import_tensorflow_text

UNKNOWN = "[UNK]"
LONGEST_WORD = 100  # characters; a longer word is unknown
_WHITE = r"[\t\n\r\p{Z}]"
# Control characters, formats such as the zero-width joiner, and private characters.
_DROPPED = r"[^\P{Cc}\t\n\r]|[\p{Cf}\p{Co}\x{FFFD}]"
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"
_CHINESE = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)


@keras.saving.register_keras_serializable(package="tftransfer")
class WordPieceTokenizer(keras.layers.Layer):
    """Strings to word pieces, as BERT's original code splits them.

    Bytes that are no UTF-8, and U+FFFD, are left out, as are control and format
    characters. White space separates words; punctuation and Chinese characters are
    words of their own. Names of special tokens in a text, such as `"[SEP]"`, are text
    like any other.

    Args:
        vocabulary: List of pieces; those inside a word begin with `"##"`. The place in
            the list is the id.
        lowercase: Whether to write everything small and to drop accents.
        **options: Further arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If the vocabulary has no `"[UNK]"` or a piece twice.
        ImportError: If tensorflow-text is not installed.

    Example:

    >>> tokenizer = WordPieceTokenizer(["[UNK]", "cafe", "un", "##til", "!"])
    >>> tokenizer(["Café", "until!"]).to_list()
    [[1], [2, 3, 4]]

    Reference:
        [Song et al., 2021](https://arxiv.org/abs/2012.15524), the algorithm.
    """

    def __init__(self, vocabulary, *, lowercase=True, **options):
        super().__init__(trainable=False, **options)
        _check_vocabulary(vocabulary)
        self.vocabulary, self.lowercase = list(vocabulary), lowercase
        self.supports_jit = False
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self._text = import_tensorflow_text()
        self._pieces = self._text.FastWordpieceTokenizer(
            self.vocabulary,
            token_out_type=tf.int32,
            unknown_token=UNKNOWN,
            max_bytes_per_word=4 * LONGEST_WORD,
            no_pretokenization=True,
        )

    def build(self, texts_shape):
        """Do nothing: there are no weights."""

    def call(self, texts):
        """Return int32 ids, ragged `(batch, pieces)`, for strings `(batch,)`."""
        words = self._split(tf.convert_to_tensor(texts))
        lengths = tf.strings.length(words.flat_values, unit="UTF8_CHAR")
        # What the vocabulary cannot hold stands for a word that is too long.
        known = tf.where(lengths > LONGEST_WORD, "\uffff", words.flat_values)
        ids = self._pieces.tokenize(words.with_flat_values(known))
        return ids.merge_dims(1, 2)

    def compute_output_spec(self, texts):
        """Return the shape and dtype of the ids, each text as long as it is."""
        return keras.KerasTensor((*texts.shape, None), dtype="int32", ragged=True)

    def get_config(self):
        """Return the arguments of the layer."""
        config = super().get_config()
        config.pop("trainable", None)
        return {**config, "vocabulary": self.vocabulary, "lowercase": self.lowercase}

    def _split(self, texts):
        texts = tf.strings.unicode_transcode(
            texts, "UTF-8", "UTF-8", errors="replace", replace_control_characters=False
        )
        texts = tf.strings.regex_replace(texts, _DROPPED, "")
        texts = tf.strings.regex_replace(texts, _CHINESE, r" \0 ")
        if self.lowercase:
            texts = self._text.normalize_utf8(texts, "NFD")
            texts = tf.strings.regex_replace(texts, r"\p{Mn}", "")
            # Character by character: a sigma at the end of a word is like any other.
            texts = tf.strings.regex_replace(texts, "Σ", "σ")
            # ASCII first: of its capitals a Turkish machine would make other letters.
            texts = tf.strings.lower(tf.strings.lower(texts), encoding="utf-8")
        texts = tf.strings.regex_replace(texts, _PUNCTUATION, r" \0 ")
        texts = tf.strings.regex_replace(texts, _WHITE, " ")
        return tf.strings.split(texts)


def _check_vocabulary(vocabulary):
    if UNKNOWN not in vocabulary:
        raise ValueError(
            f"`vocabulary` must hold {UNKNOWN!r}. Received: {len(vocabulary)} pieces "
            f"without it, the first ones {list(vocabulary[:3])}. Pass the lines of "
            "the encoder's vocab.txt."
        )
    if len(set(vocabulary)) != len(vocabulary):
        twice = next(x for i, x in enumerate(vocabulary) if x in vocabulary[:i])
        raise ValueError(
            f"`vocabulary` must hold each piece once. Received: {twice!r} twice. Pass "
            "the lines of the encoder's vocab.txt."
        )
