"""Word vectors of a vocabulary, from files larger than memory."""

import array
import dataclasses
import os

import numpy as np

from tftransfer.backbones.word_vector_files import open_vectors
from tftransfer.checks import check_whole_number


@dataclasses.dataclass(frozen=True)
class WordVectors:
    """Words with a vector each.

    Attributes:
        words: List of distinct `str`, in the order of the file.
        vectors: float32 `(len(words), dimensions)`.
    """

    words: list
    vectors: np.ndarray


def read_word_vectors(path, words=None, max_words=None):
    r"""Read the vectors of some words from a file of any size.

    The format is told from the content: GloVe text, word2vec text (a first line with
    number of words and dimensions, as fastText writes too) or word2vec binary, plain
    or packed with gzip, xz or bzip2. The file is read as a stream, and only the rows
    that are returned are held in memory, or checked to be numbers. Of a word that is
    there twice the first vector counts.

    Args:
        path: The file.
        words: Words wanted, as any collection of `str`, such as the vocabulary of a
            corpus; `None` takes all.
        max_words: The most rows to keep, from the beginning of the file.

    Returns:
        `WordVectors`, those of `words` that the file has.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, damaged or ends too early, a line has another
            width or no numbers (the line is named), or no word is found.

    Example:

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("the 0.5 1.5\nfilm 2.5 3\n")
    ...     file.flush()
    ...     read_word_vectors(file.name, words={"film", "good"}).vectors.tolist()
    [[2.5, 3.0]]

    Reference:
        [Pennington et al., 2014](https://nlp.stanford.edu/projects/glove/);
        [Mikolov et al., 2013](https://code.google.com/archive/p/word2vec/).
    """
    if max_words is not None:
        check_whole_number("max_words", max_words)
    wanted = (
        None if words is None else {word.encode(errors="replace") for word in words}
    )
    places: dict[bytes, int] = {}
    values = array.array("f")
    with open_vectors(path) as file:
        for word, numbers, where in file.rows():
            if word in places or wanted is not None and word not in wanted:
                continue
            values.frombytes(file.parse(numbers, where).tobytes())
            places[word] = len(places)
            if len(places) == max_words:
                break
    _check_found(places, path, words)
    vectors = np.frombuffer(values, "float32").reshape(len(places), -1)
    return WordVectors([word.decode(errors="replace") for word in places], vectors)


def read_dimensions(path):
    """Read how long the vectors of a file are, from its beginning.

    Args:
        path: The file, see `read_word_vectors`.

    Returns:
        Number of dimensions.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty or no file of word vectors.
    """
    with open_vectors(path) as file:
        return file.dimensions


def _check_found(places, path, words):
    if places:
        return
    words = sorted(words)
    raise ValueError(
        "`words` must share words with the file. "
        f"Received: {len(words)} words such as {words[:5]}, of which "
        f"{os.fspath(path)!r} has none. Take vectors of the same language and case."
    )


def reduce_dimensions(vectors, dimensions):
    """Shorten vectors to their first principal components.

    Args:
        vectors: Float array `(n, width)`.
        dimensions: Number of components, from 1 to `min(n, width)`.

    Returns:
        The centered vectors on the components, float32 `(n, dimensions)`, and the
        share of the variance that they keep, in 0..1.

    Raises:
        ValueError: If there are not that many components.

    Example:

    >>> reduced, kept = reduce_dimensions(np.array([[0, 0], [3, 4], [6, 8]]), 1)
    >>> reduced.shape, round(kept, 6)
    ((3, 1), 1.0)
    """
    check_whole_number("dimensions", dimensions)
    rows, width = vectors.shape
    if dimensions > min(rows, width):
        raise ValueError(
            f"`dimensions` must be at most {min(rows, width)} for {rows} vectors of "
            f"{width} numbers. Received: dimensions={dimensions}. Keep more words, or "
            "leave it out to take the vectors as they are."
        )
    mean = vectors.mean(axis=0, dtype="float64")
    covariance = np.zeros((width, width))
    for start in range(0, rows, 4096):  # so that no second table is made in float64
        part = vectors[start : start + 4096] - mean
        covariance += part.T @ part
    variances, components = np.linalg.eigh(covariance)
    largest = components[:, ::-1][:, :dimensions]
    # The sign of a component is free: its largest number is positive.
    tops = largest[np.abs(largest).argmax(axis=0), np.arange(dimensions)]
    largest = (largest * np.where(tops < 0, -1.0, 1.0)).astype("float32")
    kept = variances[::-1][:dimensions].sum() / max(variances.sum(), 1e-300)
    reduced = (vectors - mean.astype("float32")).astype("float32") @ largest
    return reduced, float(kept)
