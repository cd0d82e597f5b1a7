import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.features.side_by_side import find_networks
from tftransfer.freezing.parts import single_tensor_cuts
from tftransfer.text.pooling import PoolTokens
from tftransfer.text.token_ids import TokenIds
from tftransfer.text.word_piece import WordPieceTokenizer

PIECES = ["[PAD]", "[UNK]", *(f"w{number}" for number in range(20))]
rng = np.random.default_rng(0)
TEXTS = [
    " ".join(f"w{n}" for n in rng.integers(0, 20, length))
    for length in [3, 70, 0, 40, 5, 33, 64, 1, 100, 17] * 9
]
LABELS = np.arange(90) % 2


def build_network(name, width):
    keras.utils.set_random_seed(width)
    texts = keras.Input((), dtype="string")
    ids = TokenIds(WordPieceTokenizer(PIECES), sequence_length=80)(texts)
    mask = keras.ops.cast(keras.ops.not_equal(ids, 0), "int32")
    x = keras.layers.Embedding(22, 6)(ids)
    x = keras.layers.Dense(width, activation="tanh")(x)
    x = PoolTokens(name="features")(x, mask)
    return keras.Model(texts, x, name=name)


def build_model(parts, **settings):
    corpus = TEXTS if "tfidf" in parts else None
    both = tft.combine_backbones(parts, corpus=corpus, **settings)
    return tft.build_transfer_model(both, num_classes=2, seed=0)


def read(model, dtype="float32"):
    data = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(7)
    return tft.extract_features(model, data, "logits", dtype=dtype, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("others", "names"), [(["tfidf"], 1), (["small"], 2), (["small", "tfidf"], 2)]
)
def test_values_are_those_of_the_model(others, names):
    built = {"small": build_network("small", 3)}
    model = build_model(
        [build_network("wide", 5), *(built.get(name, name) for name in others)]
    )
    cut = single_tensor_cuts(model, with_output=True)[-1]
    assert len(find_networks(cut)) == names
    rows = read(model)
    expected = model.predict(np.array(TEXTS, object), verbose=0)
    np.testing.assert_allclose(rows.features[:], expected, atol=1e-6)
    np.testing.assert_array_equal(rows.labels, LABELS)


def test_rows_have_the_dtype_asked_for():
    model = build_model([build_network("wide", 5), "tfidf"])
    rows = read(model, "bfloat16")
    expected = model.predict(np.array(TEXTS, object), verbose=0)
    np.testing.assert_allclose(rows.features[:], expected, atol=0.02)
    assert not np.array_equal(rows.features[:], expected)


def test_models_with_heads_of_their_own_are_networks():
    model = tft.build_transfer_model(build_network("wide", 5), num_classes=2, seed=1)
    counts = tft.load_backbone("tfidf", corpus=TEXTS)
    counts = tft.build_transfer_model(counts, num_classes=2, seed=2)
    stack = build_model([model, counts], normalize=False)
    cut = single_tensor_cuts(stack, with_output=True)[-1]
    assert len(find_networks(cut)) == 1
    expected = stack.predict(np.array(TEXTS, object), verbose=0)
    np.testing.assert_allclose(read(stack).features[:], expected, atol=1e-6)


def test_what_joins_no_texts_has_no_networks():
    inputs = keras.Input((4,))
    x = keras.layers.Add()([keras.layers.Dense(3)(inputs), inputs[:, :3]])
    (*_, cut) = single_tensor_cuts(keras.Model(inputs, x), with_output=True)
    assert find_networks(cut) == {}
