"""How much of what a text model computes is padding."""

import dataclasses

import numpy as np
import tensorflow as tf

from tftransfer.checks import check_whole_number

TOKENS_PER_WORD = 1.3  # of WordPiece in English, punctuation apart
ADDED_TOKENS = 2  # one at the start and one at the end


@dataclasses.dataclass(frozen=True)
class Padding:
    """What one pass over a dataset computes.

    Attributes:
        num_texts: Number of texts.
        num_batches: Number of batches they come in.
        num_tokens: Tokens of the texts, at most `sequence_length` of each.
        num_padded: The same with padding: what the network computes.
    """

    num_texts: int
    num_batches: int
    num_tokens: int
    num_padded: int

    @property
    def share(self):
        """Share of padding in all that is computed, in 0..1."""
        return 1 - self.num_tokens / self.num_padded if self.num_padded else 0.0

    def __str__(self):
        return (
            f"{self.share:.1%} padding: {self.num_padded:,} tokens computed for "
            f"{self.num_tokens:,} in {self.num_texts:,} texts, "
            f"{self.num_batches:,} batches"
        )


def measure_padding(dataset, *, sequence_length=256, tokenize=None, multiple=16):
    """Measure the padding of batches of texts, each padded to its longest text.

    Reads the dataset once and runs no network. Compare a dataset with what
    `batch_by_length` makes of it, and divide `num_padded` by the seconds of an epoch
    for the tokens a second.

    Args:
        dataset: Batched `tf.data.Dataset` of texts, or of tuples that begin with them.
        sequence_length: Number of tokens at which a text is cut.
        tokenize: Function or layer from texts `(batch,)` to ids: a ragged tensor, or
            `(batch, length)` padded with 0. None estimates 1.3 tokens for a word, and
            two more for start and end.
        multiple: Lengths are rounded up to a multiple of this; not where `tokenize`
            pads by itself.

    Returns:
        A `Padding`.

    Raises:
        ValueError: If the dataset gives no batches of texts, or a number is out of
            range.

    Example:

    >>> texts = ["one", "two words", "now three words", "and there are four"]
    >>> data = tf.data.Dataset.from_tensor_slices(texts).batch(2)
    >>> print(measure_padding(data, tokenize=tf.strings.split, multiple=1))
    16.7% padding: 12 tokens computed for 10 in 4 texts, 2 batches
    """
    check_whole_number("sequence_length", sequence_length)
    check_whole_number("multiple", multiple)
    num_texts = num_batches = num_tokens = num_padded = 0
    for batch in dataset:
        texts = batch[0] if isinstance(batch, tuple) else batch
        _check_batch(texts)
        lengths, width = _count_tokens(texts, tokenize)
        if width is None:
            longest = -(-int(lengths.max(initial=0)) // multiple) * multiple
            width = min(longest, sequence_length)
        num_texts, num_batches = num_texts + len(lengths), num_batches + 1
        num_tokens += int(np.minimum(lengths, sequence_length).sum())
        num_padded += width * len(lengths)
    return Padding(num_texts, num_batches, num_tokens, num_padded)


def _check_batch(texts):
    dtype = getattr(texts, "dtype", None)
    if dtype != tf.string or len(texts.shape) != 1:
        raise ValueError(
            "`dataset` must give batches of texts (batch,). Received: "
            f"{getattr(dtype, 'name', type(texts).__name__)} of shape "
            f"{tuple(getattr(texts, 'shape', ()))}. Call dataset.batch(32) on texts."
        )


def _count_tokens(texts, tokenize):
    """Return tokens of each text, and how many of them are computed where it is set."""
    if tokenize is None:
        words = tf.strings.split(texts).row_lengths().numpy()
        return np.ceil(words * TOKENS_PER_WORD).astype("int64") + ADDED_TOKENS, None
    ids = tokenize(texts)
    if isinstance(ids, tf.RaggedTensor):
        return ids.row_lengths().numpy(), None
    ids = np.asarray(ids)
    return (ids != 0).sum(axis=1), ids.shape[1]
