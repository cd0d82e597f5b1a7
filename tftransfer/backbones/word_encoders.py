"""Small networks from the vectors of words to the features of a text."""

from keras import layers, ops

from tftransfer.checks import check_choice, check_whole_number

WIDTHS = {"mean": None, "cnn": 100, "gru": 64, "lstm": 64, "transformer": 128}
_WINDOWS = (3, 4, 5)
_HEADS = 4


def check_encoder(encoder, width):
    """Raise unless `encode_words` could build this encoder with this width.

    Raises:
        ValueError: If the encoder is unknown or the width does not suit it.
        TypeError: If the width is no whole number.
    """
    check_choice("encoder", encoder, WIDTHS)
    if width is None:
        return
    if encoder == "mean":
        raise ValueError(
            '`width` must be None with encoder="mean", which is as wide as the '
            f"vectors. Received: width={width!r}. Pass dimensions=... for less."
        )
    check_whole_number("width", width)
    if encoder == "transformer" and width % _HEADS:
        raise ValueError(
            f'`width` must be a multiple of {_HEADS} with encoder="transformer". '
            f"Received: width={width}. Pass for example width="
            f"{_HEADS * (width // _HEADS + 1)}."
        )


def encode_words(vectors, is_word, encoder, width=None, sequence_length=256):
    """Turn the vectors of a text's words into one vector of features.

    How many places of padding follow the words makes no difference. A text without
    words has features of zeros.

    Args:
        vectors: Keras tensor `(batch, length, dimensions)`, float, zeros where there is
            no word.
        is_word: Keras tensor `(batch, length)`, bool: where the words are, from the
            left.
        encoder: One of `WIDTHS`, see `build_word_backbone`.
        width: See `build_word_backbone`.
        sequence_length: The most words of a text.

    Returns:
        Keras tensor `(batch, features)`.

    Reference:
        [Kim, 2014](https://aclanthology.org/D14-1181) (cnn);
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762) (transformer, here
        normalized first).
    """
    width = width or WIDTHS[encoder]
    if encoder == "mean":
        return _mean(vectors, is_word)
    if encoder == "cnn":
        return _convolve(vectors, is_word, width)
    if encoder == "transformer":
        return _attend(vectors, is_word, width, sequence_length)
    kind = layers.LSTM if encoder == "lstm" else layers.GRU
    return layers.Bidirectional(kind(width), name=encoder)(vectors, mask=is_word)


def weights_of(is_word, dtype):
    """Return 1 for words and 0 for padding, `(batch, length, 1)`."""
    return ops.expand_dims(ops.cast(is_word, dtype), -1)


def _mean(x, is_word):
    x = ops.cast(x, "float32")
    weights = weights_of(is_word, "float32")
    number = ops.maximum(ops.sum(weights, axis=1), 1.0)
    return ops.divide(ops.sum(ops.multiply(x, weights), axis=1), number)


def _convolve(x, is_word, width):
    largest = []
    for size in _WINDOWS:
        convolve = layers.Conv1D(
            width, size, padding="same", activation="relu", name=f"window_{size}"
        )
        y = convolve(x)
        # After a ReLU nothing is less than the zeros that stand for padding.
        y = ops.multiply(y, weights_of(is_word, y.dtype))
        largest.append(layers.GlobalMaxPooling1D(name=f"window_{size}_max")(y))
    return layers.Concatenate(name="windows")(largest)


def _attend(x, is_word, width, sequence_length):
    places = ops.cumsum(ops.cast(is_word, "int32"), axis=1)
    x = layers.Dense(width, name="projection")(x)
    place = layers.Embedding(sequence_length + 1, width, name="places")(places)
    x = layers.Add(name="placed")([x, place])
    y = layers.LayerNormalization(name="attention_norm")(x)
    attend = layers.MultiHeadAttention(_HEADS, width // _HEADS, name="attention")
    y = attend(y, y, attention_mask=ops.expand_dims(is_word, 1))
    x = layers.Add(name="attended")([x, y])
    y = layers.LayerNormalization(name="dense_norm")(x)
    y = layers.Dense(2 * width, activation="relu", name="dense_wide")(y)
    y = layers.Dense(width, name="dense_narrow")(y)
    x = layers.Add(name="transformed")([x, y])
    return _mean(layers.LayerNormalization(name="norm")(x), is_word)
