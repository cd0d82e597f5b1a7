"""Word vectors as a backbone: texts to features."""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

from tftransfer.backbones.word_encoders import (
    check_encoder,
    encode_words,
    weights_of,
)
from tftransfer.backbones.word_vectors import (
    read_dimensions,
    read_word_vectors,
    reduce_dimensions,
)
from tftransfer.checks import check_choice, check_whole_number
from tftransfer.freezing.blocks import FEATURES, TEXT_FEATURES
from tftransfer.text.token_ids import TokenIds, check_token_options
from tftransfer.text.words import (
    FIRST_WORD,
    PAD,
    UNKNOWN,
    WordTokenizer,
    check_corpus,
    count_words,
)

SHARING = ("fixed", "full", "hybrid", "partial")


def build_word_backbone(
    path,
    *,
    corpus=None,
    max_words=50_000,
    dimensions=None,
    sharing="fixed",
    learned_words=None,
    encoder="mean",
    width=None,
    sequence_length=256,
    truncate="head",
    verbose=True,
):
    r"""Build a text backbone on word vectors of GloVe or word2vec.

    The file is read as a stream, and only the vectors of the corpus' vocabulary are
    kept. A word without a vector that learns begins with random numbers of the same
    mean and variance; one that does not learn counts as unknown, which has the mean of
    all vectors. A text without words has features of zeros.

    What `sharing` leaves learning belongs to the head, as does the encoder: the layer
    named `features`, where the backbone ends, stands on the vectors that stay. So at
    `trainable_depth=0` all else learns; `trainable_depth="all"` opens those too.

    Args:
        path: File of word vectors, see `read_word_vectors`.
        corpus: Texts of the training split only, as list or array of `str` or as a
            batched `tf.data.Dataset` of texts or `(texts, labels)`; `None` takes the
            first words of the file.
        max_words: The most words of the vocabulary, the most frequent ones.
        dimensions: Number of principal components that the vectors are reduced to;
            `None` leaves them as they are.
        sharing: `"fixed"` (all vectors stay), `"full"` (all learn), `"partial"` (only
            the words learn that the file lacks, or `learned_words`), or `"hybrid"` (a
            copy that stays beside one that learns, concatenated).
        learned_words: With `"partial"`: this many most frequent words learn, no others.
        encoder: `"mean"` of the words; `"cnn"` (windows of 3, 4 and 5 words, each
            filter's largest value in the text); `"lstm"` or `"gru"` in both directions;
            `"transformer"`, one block and the mean.
        width: Filters per window, units per direction, or width of the transformer;
            `None` takes the encoder's usual one. The mean has none.
        sequence_length: The most words of a text.
        truncate: What remains of a longer text: `"head"`, `"tail"` or `"head+tail"`,
            see `TokenIds`.
        verbose: Whether to print how many words have a vector and what is kept.

    Returns:
        Functional `keras.Model` from strings `(batch,)` to features `(batch, width)`,
        float32.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an argument is not acceptable, or the file is damaged or has no
            word of the corpus.
        TypeError: If an argument has the wrong type.

    Example:

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("good 1 0\nfilm 0 1\n")
    ...     file.flush()
    ...     model = build_word_backbone(file.name, corpus=["good film"], verbose=False)
    >>> model(tf.constant(["Good film", ""])).numpy().tolist()
    [[0.5, 0.5], [0.0, 0.0]]

    Reference:
        [Kim, 2014](https://aclanthology.org/D14-1181), section 3.1: vectors that stay,
        that learn, and both.
    """
    _check_vocabulary(path, corpus, max_words, dimensions)
    _check_sharing(sharing, learned_words, corpus)
    check_encoder(encoder, width)
    check_token_options(sequence_length, truncate, 1)
    words, vectors, told = _read(path, corpus, max_words, dimensions)
    if verbose:
        print(told)
    tables = _fill_tables(words, vectors, sharing, learned_words)
    tokenizer = WordTokenizer(tables.vocabulary)
    tokens = TokenIds(
        tokenizer,
        pad=PAD,
        sequence_length=sequence_length,
        truncate=truncate,
        name="tokens",
    )
    texts = keras.Input((), dtype="string", name="texts")
    ids = tokens(texts)
    is_word = ops.not_equal(ids, PAD)
    is_fixed_whole = tables.learned is None and encoder == "mean"
    x = _look_up(ids, is_word, tables, sharing, marked=not is_fixed_whole)
    x = encode_words(x, is_word, encoder, width, sequence_length)
    name = FEATURES if is_fixed_whole else TEXT_FEATURES
    features = layers.Activation("linear", dtype="float32", name=name)(x)
    return keras.Model(texts, features, name="words")


def measure_unknown(counts, known):
    """Return the share of running words and of distinct words that are not known.

    Args:
        counts: Dictionary from word to number of times in a corpus.
        known: Collection of words.

    Returns:
        Two `float` in 0..1.

    Example:

    >>> measure_unknown({"the": 3, "film": 1}, {"the"})
    (0.25, 0.5)
    """
    missing = [count for word, count in counts.items() if word not in known]
    return sum(missing) / sum(counts.values()), len(missing) / len(counts)


def _check_vocabulary(path, corpus, max_words, dimensions):
    check_whole_number("max_words", max_words)
    if dimensions is not None:
        check_whole_number("dimensions", dimensions)
    if corpus is not None:
        check_corpus(corpus)
    of_file = read_dimensions(path)
    if dimensions is not None and dimensions > of_file:
        raise ValueError(
            f"`dimensions` must be at most {of_file}, which the vectors of this file "
            f"have. Received: dimensions={dimensions}. Leave it out to keep them all."
        )


def _check_sharing(sharing, learned_words, corpus):
    check_choice("sharing", sharing, SHARING)
    if learned_words is not None:
        check_whole_number("learned_words", learned_words)
        if sharing != "partial":
            raise ValueError(
                '`learned_words` must be None unless sharing="partial". Received: '
                f"learned_words={learned_words}, sharing={sharing!r}. Leave one out."
            )
    elif sharing == "partial" and corpus is None:
        raise ValueError(
            '`corpus` must be given with sharing="partial": it tells which words the '
            "file lacks. Received: corpus=None. Pass the training texts, or "
            "learned_words=... to learn the most frequent words."
        )


def _read(path, corpus, max_words, dimensions):
    """Words of the vocabulary by frequency, the vectors there are, and what to tell."""
    if corpus is None:
        found = read_word_vectors(path, max_words=max_words)
        words = found.words
        told = f"Word vectors: the first {len(words):,} words of the file"
    else:
        counts = count_words(corpus)
        words = sorted(counts, key=lambda word: (-counts[word], word))[:max_words]
        found = read_word_vectors(path, words=words)
        running, distinct = measure_unknown(counts, set(found.words))
        told = (
            f"Word vectors: {len(found.words):,} of {len(counts):,} words have one; "
            f"{running:.1%} of the running words and {distinct:.1%} of the distinct "
            "words do not"
        )
    vectors, width = found.vectors, found.vectors.shape[1]
    told = f"{told}; {width} dimensions"
    if dimensions is not None:
        vectors, kept = reduce_dimensions(vectors, dimensions)
        told = f"{told} reduced to {dimensions}, {kept:.1%} of the variance kept"
    return words, dict(zip(found.words, vectors, strict=True)), f"{told}."


@dataclasses.dataclass(frozen=True)
class _Tables:
    """Vectors by id: what stays, and what learns from the id `first` on."""

    vocabulary: list
    fixed: np.ndarray | None
    learned: np.ndarray | None
    first: int = 0


def _fill_tables(words, vectors, sharing, learned_words):
    known = [word for word in words if word in vectors]
    if sharing == "fixed":
        return _Tables(known, _fill(known, vectors), None)
    if sharing == "partial":
        # Words that learn come first, so that their ids are a range.
        first = UNKNOWN if learned_words is None else FIRST_WORD
        learning = [word for word in words if word not in vectors]
        if learned_words is not None:
            learning = words[:learned_words]
        chosen = set(learning)
        vocabulary = learning + [word for word in known if word not in chosen]
        table = _fill(vocabulary, vectors, is_random=True)
        learned = table[first : FIRST_WORD + len(learning)]
        return _Tables(vocabulary, table, learned, first)
    learned = _fill(words, vectors, is_random=True)
    fixed = _fill(words, vectors) if sharing == "hybrid" else None
    return _Tables(words, fixed, learned)


def _fill(vocabulary, vectors, is_random=False):
    """One row per id: zeros for padding, the mean for what has no vector."""
    rows = np.stack(list(vectors.values()))
    mean, spread = rows.mean(axis=0), np.sqrt(3) * rows.std(axis=0)
    table = np.tile(mean, (FIRST_WORD + len(vocabulary), 1))
    table[PAD] = 0
    for place, word in enumerate(vocabulary, FIRST_WORD):
        if word in vectors:
            table[place] = vectors[word]
        elif is_random:
            table[place] += spread * np.random.uniform(-1, 1, len(mean))
    return table


def _look_up(ids, is_word, tables, sharing, marked):
    """Vectors of the words, with the layer that ends the backbone, zeros elsewhere."""
    weights = weights_of(is_word, "float32")
    if tables.fixed is not None:
        x = _embed(ids, tables.fixed, "fixed_vectors", trainable=False)
        x = layers.Identity(name="features")(x) if marked else x
    else:  # the backbone has nothing that stays, and so ends below the first weights
        weights = layers.Identity(name="features")(weights)
    if sharing == "full":
        x = _embed(ids, tables.learned, "learned_vectors")
    elif sharing == "hybrid":
        learned = _embed(ids, tables.learned, "learned_vectors")
        x = layers.Concatenate(name="both_vectors")([x, learned])
    elif sharing == "partial":
        rows = ops.subtract(ids, tables.first)
        learns = ops.logical_and(
            ops.greater_equal(rows, 0), ops.less(rows, len(tables.learned))
        )
        rows = ops.where(learns, rows, 0)
        learned = _embed(rows, tables.learned, "learned_vectors")
        x = ops.where(ops.expand_dims(learns, -1), learned, x)
    return ops.multiply(x, ops.cast(weights, x.dtype))


def _embed(ids, table, name, trainable=True):
    layer = layers.Embedding(
        *table.shape, embeddings_initializer="zeros", trainable=trainable, name=name
    )
    x = layer(ids)
    layer.set_weights([table])
    return x
