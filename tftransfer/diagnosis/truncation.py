"""Texts of which a model reads only the beginning."""

import keras
import numpy as np

from tftransfer.diagnosis.finding import WARNING, Finding, NotChecked
from tftransfer.diagnosis.watching import is_eager, watching

MOST = 0.5
_TEXTS, _FEWEST_WORDS, _SAME = 48, 12, 1e-6
_TAIL = 0.25


def find_truncated_texts(case):
    """Find texts whose last quarter does not matter, in more than half of the rows.

    The tail of each text is cut off, replaced by its own first words, and by words of
    another row: where no output changes by any of this, the tail was not read. Of
    whole numbers with padding, rows that fill the whole length count.
    """
    inputs = case.inputs
    if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "OSUiu":
        raise NotChecked("the inputs are no texts")
    if inputs.dtype.kind in "iu":
        return _full_rows(case, inputs)
    return _unread_tails(case, inputs)


def _unread_tails(case, inputs):
    shape = inputs.shape[1:]
    words = [_decode(x).split() for x in inputs.reshape(len(inputs), -1)[:, 0]]
    words = [x for x in words if len(x) >= _FEWEST_WORDS][:_TEXTS]
    if len(words) < 8 or np.prod(shape) != 1:
        raise NotChecked("there are too few texts of a dozen words")
    given = _outputs(case, words, shape)
    scale = max(1.0, float(np.abs(given).max()))
    unread = np.ones(len(words), bool)
    for variant in _variants(words):
        apart = np.abs(_outputs(case, variant, shape) - given)
        unread &= apart.reshape(len(words), -1).max(axis=1) <= _SAME * scale
    share = float(unread.mean())
    if share <= MOST:
        return []
    lengths = [len(x) for x in words]
    return [
        _finding(
            f"The last quarter of {share:.0%} of the texts is not read.",
            {
                "share of texts": share,
                "median words": float(np.median(lengths)),
                "texts": len(words),
            },
        )
    ]


def _variants(words):
    """The texts with another tail, in three ways."""
    cut = [len(x) - max(3, int(_TAIL * len(x))) for x in words]
    pairs = list(zip(words, cut, strict=True))
    others = words[1:] + words[:1]
    yield [text[:n] for text, n in pairs]
    yield [text[:n] + text[: len(text) - n] for text, n in pairs]
    yield [
        text[:n] + other[-(len(text) - n) :]
        for (text, n), other in zip(pairs, others, strict=True)
    ]


def _outputs(case, words, shape):
    texts = np.array([" ".join(x) for x in words], object)
    outputs = case.predict(texts.reshape((len(texts), *shape)))
    return np.concatenate(
        [x.reshape(len(words), -1) for x in keras.tree.flatten(outputs)], axis=1
    )


def _full_rows(case, inputs):
    """Rows without padding among rows of ids that an Embedding reads."""
    embeddings = [
        x for x in case.plain._flatten_layers() if isinstance(x, keras.layers.Embedding)
    ]
    read: list = []

    def note(layer, ids):
        if is_eager(ids) and len(ids.shape) == 2:
            read.append(keras.ops.convert_to_numpy(ids))

    with watching(embeddings, note):
        case.predict(inputs)
    if inputs.ndim != 2 or not read:
        raise NotChecked("the inputs are no ids of words")
    is_full = (inputs[:, 0] != 0) & (inputs[:, -1] != 0)
    share = float(is_full.mean())
    if share <= MOST or share > 0.99:  # rows of one length were never cut
        return []
    return [
        _finding(
            f"{share:.0%} of the rows fill the whole length of {inputs.shape[1]}: "
            "longer texts were cut.",
            {"share of rows": share, "length": inputs.shape[1], "rows": len(inputs)},
        )
    ]


def _decode(text):
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _finding(message, evidence):
    return Finding(
        "truncated_texts",
        WARNING,
        message,
        evidence,
        "What the texts say at their end, often the verdict, is lost.",
        "tft.load_backbone(handle, sequence_length=...)  # or a larger "
        "output_sequence_length, maxlen",
    )
