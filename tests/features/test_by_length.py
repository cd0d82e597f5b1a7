import keras
import numpy as np
import pytest

from tftransfer.engines.building import build_engine
from tftransfer.features.by_length import (
    ByLength,
    find_tokens,
    full_row_shape,
    round_length,
)
from tftransfer.freezing.parts import single_tensor_cuts
from tftransfer.text.pooling import FoldWindows, PoolTokens
from tftransfer.text.token_ids import TokenIds
from tftransfer.text.word_piece import WordPieceTokenizer

PIECES = ["[PAD]", "[UNK]", *(f"w{number}" for number in range(20))]
rng = np.random.default_rng(0)
TEXTS = [
    " ".join(f"w{n}" for n in rng.integers(0, 20, length))
    for length in [3, 70, 0, 40, 5, 33, 64, 1, 100, 17] * 9
]


def build_model(windows=1, sequence_length=80):
    keras.utils.set_random_seed(0)
    tokens = TokenIds(
        WordPieceTokenizer(PIECES), sequence_length=sequence_length, windows=windows
    )
    texts = keras.Input((), dtype="string")
    ids = tokens(texts)
    mask = keras.ops.cast(keras.ops.not_equal(ids, 0), "int32")
    fold = FoldWindows() if windows > 1 else lambda x: x
    x = keras.layers.Embedding(22, 6, name="embedding")(fold(ids))
    x = keras.layers.Dense(5, activation="tanh", name="dense")(x)
    x = PoolTokens(name="features")(x, mask)
    return keras.Model(texts, keras.layers.Dense(2, name="logits")(x))


def cut_at(model, name):
    return next(cut for cut in single_tensor_cuts(model) if cut.name == name)


def run_by_length(cut, texts, batch_size=7):
    tokens = find_tokens(cut)
    runner = ByLength(tokens, full_row_shape(cut))
    ids = runner.example(np.array(texts[:8], object))
    runner.set_engine(
        build_engine("tensorflow", lambda x: cut.run_from(tokens.cut, x), ids)
    )
    batches = [
        np.array(texts[start : start + batch_size], object)
        for start in range(0, len(texts), batch_size)
    ]
    results = list(runner.run(batches))
    assert [len(rows) for rows in results] == [len(batch) for batch in batches]
    return np.concatenate(results), runner


@pytest.mark.parametrize("windows", [1, 3])
def test_features_come_in_the_order_of_the_texts(windows):
    cut = cut_at(build_model(windows, 80 // windows), "features")
    rows, runner = run_by_length(cut, TEXTS)
    expected = cut.run_below(np.array(TEXTS, object), training=False)
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    longest = 80 // windows * windows
    counts = [min(len(text.split()), longest) for text in TEXTS]
    assert runner.num_tokens == sum(counts)
    assert runner.num_tokens <= runner.num_places < len(TEXTS) * longest


def test_vectors_of_tokens_are_filled_up_as_padding_is():
    cut = cut_at(build_model(), "dense")
    assert full_row_shape(cut) == (80, 6)  # the ids, that tell the mask, go along
    rows, _ = run_by_length(cut, TEXTS)
    for row, text in zip(rows, TEXTS, strict=True):
        ids = [2 + int(word[1:]) for word in text.split()][:80]
        assert row[:, 5].tolist() == ids + [0.0] * (80 - len(ids))
    expected = np.asarray(cut.run_below(np.array(TEXTS, object), training=False))
    assert expected.shape[1] == 80
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_what_lies_above_computes_the_same_from_them():
    model = build_model()
    cut = cut_at(model, "dense")
    rows, _ = run_by_length(cut, TEXTS)
    expected = model.predict(np.array(TEXTS, object), verbose=0)
    np.testing.assert_allclose(cut.run_above(rows), expected, atol=1e-6)


def test_padding_that_counts_is_kept():
    # As long as this layer says, and the mean below is that of all places.
    vectorize = keras.layers.TextVectorization(output_sequence_length=40)
    vectorize.set_vocabulary(PIECES[2:])
    texts = keras.Input((), dtype="string")
    x = keras.layers.Embedding(30, 6)(vectorize(texts))
    x = keras.layers.GlobalAveragePooling1D(name="features")(x)
    cut = cut_at(keras.Model(texts, keras.layers.Dense(2)(x)), "features")
    rows, _ = run_by_length(cut, TEXTS)
    expected = cut.run_below(np.array(TEXTS, object), training=False)
    np.testing.assert_allclose(rows, expected, atol=1e-6)


def test_models_without_texts_have_no_tokens():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(3)(inputs)))
    assert find_tokens(single_tensor_cuts(model)[0]) is None


def test_lengths_are_few_and_none_is_too_short():
    lengths = [round_length(length, 512) for length in range(1, 513)]
    assert all(rounded >= length for length, rounded in enumerate(lengths, 1))
    assert len(set(lengths)) <= 14
    assert round_length(130, limit=140) == 140
