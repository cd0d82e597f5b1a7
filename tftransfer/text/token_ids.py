"""Token ids as a network takes them: cut to a length, begun, ended and padded."""

import keras
import tensorflow as tf

from tftransfer.checks import check_choice, check_whole_number

TRUNCATE = ("head", "tail", "head+tail")
_HEAD_SHARE = 0.25
MULTIPLE = 16  # of which the length is one: engines compile for each length they see


@keras.saving.register_keras_serializable(package="tftransfer")
class TokenIds(keras.layers.Layer):
    """Strings to padded token ids, the same in training as in serving.

    A batch is as long as its longest text, rounded up to a multiple of 16: short texts
    do not pay for a length that none of them has.

    Args:
        tokenizer: Keras layer from strings `(batch,)` to ragged int32 ids.
        start: Ids that every text begins with, such as that of `"[CLS]"`.
        end: Ids that every text ends with, such as that of `"[SEP]"`.
        pad: Id that fills up, which no token has.
        sequence_length: The most ids of a text, or of one of its windows.
        truncate: What remains of a longer text: `"head"`, `"tail"`, or `"head+tail"`,
            a quarter from its beginning and the rest from its end.
        windows: Number of pieces that a long text is read in, each of
            `sequence_length`; what is beyond all of them is cut as `truncate` says.
        **options: Further arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `truncate` is none of these, or no id fits between `start` and
            `end`.
        TypeError: If a number is not whole.

    Example:

    >>> from tftransfer.text.word_piece import WordPieceTokenizer
    >>> tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"])
    >>> ids = TokenIds(tokenizer, start=(2,), end=(3,), sequence_length=4)
    >>> ids(["a b a b", "b"]).numpy().tolist()
    [[2, 4, 5, 3], [2, 5, 3, 0]]

    Reference:
        [Sun et al., 2019](https://arxiv.org/abs/1905.05583), section 5.3.1, on what to
        keep of long texts.
    """

    def __init__(
        self,
        tokenizer,
        *,
        start=(),
        end=(),
        pad=0,
        sequence_length=256,
        truncate="head",
        windows=1,
        **options,
    ):
        super().__init__(trainable=False, **options)
        check_token_options(sequence_length, truncate, windows, len(start) + len(end))
        self.tokenizer = tokenizer
        self.start, self.end, self.pad = tuple(start), tuple(end), pad
        self.sequence_length, self.truncate = sequence_length, truncate
        self.windows = windows
        self.pads_to_longest = True  # so less padding is as good
        self.supports_jit = False
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True

    def build(self, texts_shape):
        """Do nothing: there are no weights."""

    def call(self, texts):
        """Return int32 ids `(batch, length)` for strings `(batch,)` or `(batch, 1)`.

        With several windows `(batch, windows, length)`, of which there are as many as
        the longest text needs; the others hold nothing but padding.
        """
        texts = tf.convert_to_tensor(texts)
        if texts.shape.rank == 2:
            texts = tf.squeeze(texts, 1)
        ids = self.tokenizer(texts)
        room = self.sequence_length - len(self.start) - len(self.end)
        ids = _shorten(ids, self.windows * room, self.truncate)
        if self.windows == 1:
            return self._pad(self._frame(ids))
        pieces, number = _split(ids, room)
        framed = self._frame(pieces)
        is_used = (pieces.row_lengths() > 0) | _is_first(pieces, number)
        framed = tf.ragged.boolean_mask(
            framed, framed.with_values(tf.gather(is_used, framed.value_rowids()))
        )
        padded = self._pad(framed)
        return tf.reshape(padded, [-1, tf.cast(number, tf.int32), tf.shape(padded)[1]])

    def compute_output_spec(self, texts):
        """Return the shape and dtype of the ids."""
        inner = (None,) if self.windows == 1 else (None, None)
        return keras.KerasTensor((texts.shape[0], *inner), dtype="int32")

    def get_config(self):
        """Return the arguments of the layer."""
        config = super().get_config()
        config.pop("trainable", None)
        names = ("start", "end", "pad", "sequence_length", "truncate", "windows")
        tokenizer = keras.saving.serialize_keras_object(self.tokenizer)
        own = {name: getattr(self, name) for name in names}
        return {**config, **own, "tokenizer": tokenizer}

    @classmethod
    def from_config(cls, config):
        """Build the layer from its arguments."""
        config = dict(config)
        tokenizer = keras.saving.deserialize_keras_object(config.pop("tokenizer"))
        return cls(tokenizer, **config)

    def _frame(self, ids):
        parts = [ids]
        if self.start:
            parts.insert(0, _repeat(self.start, ids))
        if self.end:
            parts.append(_repeat(self.end, ids))
        return tf.concat(parts, axis=1) if len(parts) > 1 else ids

    def _pad(self, ids):
        longest = tf.reduce_max(tf.concat([ids.row_lengths(), [1]], 0))
        length = tf.minimum(-(-longest // MULTIPLE) * MULTIPLE, self.sequence_length)
        return _fill(ids, length, self.pad)


def check_token_options(sequence_length, truncate, windows, num_framing=0):
    """Raise unless these are arguments that `TokenIds` takes.

    Args:
        sequence_length: As of `TokenIds`.
        truncate: As of `TokenIds`.
        windows: As of `TokenIds`.
        num_framing: How many ids every text begins and ends with.

    Raises:
        ValueError: If a value is not acceptable.
        TypeError: If a number is not whole.
    """
    check_choice("truncate", truncate, TRUNCATE)
    check_whole_number("windows", windows)
    advice = f"{num_framing} ids begin and end every text."
    check_whole_number(
        "sequence_length", sequence_length, num_framing + 1, advice=advice
    )


def _shorten(ids, most, truncate):
    """Keep at most `most` ids of each text."""
    head = {"head": most, "tail": 0}.get(truncate, max(1, int(_HEAD_SHARE * most)))
    lengths = ids.row_lengths()
    places = tf.ragged.range(lengths).flat_values
    length = tf.gather(lengths, ids.value_rowids())
    is_kept = (length <= most) | (places < head) | (places >= length - (most - head))
    return tf.ragged.boolean_mask(ids, ids.with_flat_values(is_kept))


def _split(ids, room):
    """Cut texts into windows: ragged ids of all windows, and windows of a text."""
    lengths = ids.row_lengths()
    longest = tf.reduce_max(tf.concat([lengths, [1]], 0))
    number = -(-longest // room)
    dense = tf.reshape(_fill(ids, number * room, 0), [-1, room])
    left = lengths[:, None] - room * tf.range(number)[None]
    inside = tf.reshape(tf.clip_by_value(left, 0, room), [-1])
    return tf.RaggedTensor.from_tensor(dense, lengths=inside), number


def _fill(ids, length, value):
    dense = ids.to_tensor(value)
    missing = tf.cast(length, tf.int32) - tf.shape(dense)[1]
    return tf.pad(dense, [[0, 0], [0, missing]], constant_values=value)


def _is_first(pieces, number):
    return tf.math.floormod(tf.range(pieces.nrows()), number) == 0


def _repeat(values, ids):
    row = tf.constant([values], dtype=ids.dtype)
    return tf.RaggedTensor.from_tensor(tf.repeat(row, ids.nrows(), axis=0))
