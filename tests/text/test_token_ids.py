import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.text.token_ids import MULTIPLE, TokenIds
from tftransfer.text.word_piece import WordPieceTokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(90))]


def words(*numbers):
    return " ".join(f"w{number}" for number in numbers)


def ids_of(*numbers):
    return [4 + number for number in numbers]


def build(**options):
    tokenizer = WordPieceTokenizer(PIECES)
    return TokenIds(tokenizer, start=(2,), end=(3,), **options)


def read(texts, **options):
    return build(**options)(np.array(texts, object)).numpy().tolist()


def test_a_batch_is_as_long_as_its_longest_text_rounded_up():
    short, long = read([words(1, 2), words(*range(20))], sequence_length=64)
    assert len(short) == len(long) == 2 * MULTIPLE
    assert short == [2, *ids_of(1, 2), 3] + [0] * 28
    assert long == [2, *ids_of(*range(20)), 3] + [0] * 10


def test_an_empty_text_is_begun_and_ended():
    assert read([""]) == [[2, 3] + [0] * (MULTIPLE - 2)]


def test_no_texts_give_no_rows():
    assert build()(tf.constant([], tf.string)).shape == (0, MULTIPLE)


@pytest.mark.parametrize(
    ("truncate", "kept"),
    [
        ("head", range(8)),
        ("tail", range(12, 20)),
        ("head+tail", [0, 1, *range(14, 20)]),
    ],
)
def test_what_remains_of_long_texts(truncate, kept):
    (ids,) = read([words(*range(20))], sequence_length=10, truncate=truncate)
    assert ids == [2, *ids_of(*kept), 3]


@pytest.mark.parametrize("truncate", ["head", "tail", "head+tail"])
def test_a_text_that_just_fits_is_whole(truncate):
    (ids,) = read([words(*range(8))], sequence_length=10, truncate=truncate)
    assert ids == [2, *ids_of(*range(8)), 3]


def test_long_texts_are_read_in_windows():
    texts = [words(*range(7)), words(1), ""]
    ids = np.array(read(texts, sequence_length=6, windows=3))
    assert ids.shape == (3, 2, 6)  # the longest needs two
    assert ids[0].tolist() == [[2, *ids_of(0, 1, 2, 3), 3], [2, *ids_of(4, 5, 6), 3, 0]]
    assert ids[1].tolist() == [[2, *ids_of(1), 3, 0, 0, 0], [0] * 6]
    assert ids[2].tolist() == [[2, 3, 0, 0, 0, 0], [0] * 6]


def test_beyond_all_windows_texts_are_cut():
    ids = read([words(*range(30))], sequence_length=6, windows=2, truncate="tail")
    assert ids == [[[2, *ids_of(*range(22, 26)), 3], [2, *ids_of(*range(26, 30)), 3]]]


def test_texts_in_a_column_are_read_as_well():
    ids = build()
    texts = tf.constant([words(1), words(2)])
    assert ids(texts[:, None]).numpy().tolist() == ids(texts).numpy().tolist()


def test_a_model_on_it_is_saved_with_the_vocabulary(tmp_path):
    texts = keras.Input((), dtype="string")
    model = keras.Model(texts, build(sequence_length=8, truncate="tail")(texts))
    model.save(tmp_path / "ids.keras")
    loaded = keras.models.load_model(tmp_path / "ids.keras")
    rows = np.array([words(*range(20)), ""], object)
    expected = model.predict(rows, verbose=0).tolist()
    assert loaded.predict(rows, verbose=0).tolist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"truncate": "middle"},
            "`truncate` must be .* Received: truncate='mid",
        ),
        ({"sequence_length": 2}, "`sequence_length` must be .* Received: .*2"),
        ({"windows": 0}, "`windows` must be .* Received: windows=0"),
    ],
)
def test_unfit_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
