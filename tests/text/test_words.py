"""Words: split, counted and numbered, the same everywhere."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.text.words import (
    WordTokenizer,
    check_corpus,
    count_words,
    split_words,
)

TEXTS = {
    "I don't think it's 'so'; they'll see we've won't.": (
        "i do n't think it 's ' so ' ; they 'll see we 've wo n't ."
    ),
    "I'm sure you'd say they're the U.S.'s 1,000 best (1980s)!!": (
        "i 'm sure you 'd say they 're the u.s. 's 1,000 best ( 1980s ) ! !"
    ),
    "Well... a 10-year -- plan......": "well ... a 10 - year -- plan ...",
    "“Yes”—they’ve": '" yes " — they \'ve',
    "İÉ ÀÇ": "i̇é àç",
    "cafe\u0301 na\u00efve": "cafe\u0301 naïve",
    "👩\u200d🚀 ❤\ufe0f 👍🏽": "👩 🚀 ❤\ufe0f 👍 🏽",
    "日本語。はい": "日本語 。 はい",
    "a\u00a0b\tc\nd\u3000e\x00f\u2028g co\u00adop\ufeff": "a b c d e f g coop",
    "": "",
    " \t\n": "",
    "_x_ <br />": "_ x _ < br / >",
}


def words_of(text):
    return [word.decode() for word in split_words([text]).to_list()[0]]


@pytest.mark.parametrize("text", TEXTS)
def test_words_are_split_as_in_glove(text):
    assert words_of(text) == TEXTS[text].split()


def test_bytes_that_are_no_utf8_become_the_replacement_character():
    assert words_of(b"caf\xe9 ok \xff") == ["caf", "\ufffd", "ok", "\ufffd"]
    assert words_of("a \ufffd b") == ["a", "\ufffd", "b"]


def test_a_text_of_a_megabyte_is_split():
    assert split_words(["It's é! " * 2**17]).row_lengths().numpy() == 4 * 2**17
    assert split_words(["x" * 2**20]).row_lengths().numpy() == 1
    assert split_words(["👍" * 2**18]).row_lengths().numpy() == 2**18


def test_splitting_in_a_graph_and_in_a_dataset_is_the_same():
    texts = list(TEXTS)
    alone = [word for text in texts for word in words_of(text)]
    graph = tf.function(lambda x: split_words(x).flat_values)(tf.constant(texts))
    data = tf.data.Dataset.from_tensor_slices(texts).batch(5).map(split_words)
    mapped = [word for batch in data for word in batch.flat_values.numpy()]
    assert [x.decode() for x in graph.numpy()] == alone == [x.decode() for x in mapped]


CORPUS = ["A good, good film.", "", "A bad film!", "Good."]
COUNTS = {"a": 2, "good": 3, ",": 1, "film": 2, ".": 2, "bad": 1, "!": 1}


def datasets():
    texts = tf.data.Dataset.from_tensor_slices(CORPUS).batch(3)
    labeled = tf.data.Dataset.from_tensor_slices((CORPUS, [1, 0, 0, 1])).batch(2)
    return [texts, labeled, labeled.map(lambda x, y: (x[:, None], y))]


@pytest.mark.parametrize(
    "corpus",
    [CORPUS, np.array(CORPUS), np.array(CORPUS, object), *datasets()],
    ids=["list", "strings", "objects", "texts", "labeled", "column"],
)
def test_words_are_counted_from_lists_arrays_and_datasets(corpus):
    assert count_words(corpus) == collections.Counter(COUNTS)


def test_more_texts_than_are_split_at_once_are_all_counted():
    assert count_words(["a b"] * 2050)["b"] == 2050


def test_counted_words_are_what_the_tokenizer_knows():
    words = sorted(count_words(list(TEXTS)))
    ids = WordTokenizer(words)(list(TEXTS))
    assert set(ids.flat_values.numpy()) == set(range(2, 2 + len(words)))


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ("a text", "Received: corpus='a text' of type str"),
        (7, "Received: corpus=7 of type int"),
        (["a", 3.5], "Received: row 1 is 3.5 of type float"),
        (["a", None], "Received: row 1 is None of type NoneType"),
        (tf.data.Dataset.range(3).batch(2), r"Received: a dataset of TensorSpec\("),
        (
            tf.data.Dataset.from_tensors({"text": ["a"]}),
            r"Received: a dataset of \{'text'",
        ),
    ],
)
def test_a_corpus_of_something_else_is_refused(corpus, message):
    with pytest.raises(TypeError, match=message):
        count_words(corpus)


def test_an_endless_or_empty_corpus_is_refused():
    endless = tf.data.Dataset.from_tensors(["a"]).repeat()
    with pytest.raises(ValueError, match="Received: a dataset that repeats for ever"):
        check_corpus(endless)
    with pytest.raises(ValueError, match="Received: a corpus of empty texts"):
        count_words(["", " "])


@pytest.fixture
def tokenizer():
    return WordTokenizer(["good", "film", "n't", "café"])


def test_ids_begin_at_two_and_unknown_words_are_one(tokenizer):
    ids = tokenizer(tf.constant(["A GOOD film.", "", "didn't CAFÉ", b"\xff"]))
    assert isinstance(ids, tf.RaggedTensor) and ids.dtype == tf.int32
    assert ids.to_list() == [[1, 2, 3, 1], [], [1, 4, 5], [1]]


def test_a_word_twice_in_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="Received: 'a' 2 times"):
        WordTokenizer(["a", "b", "a"])


def test_config_keeps_the_vocabulary_as_a_plain_list(tokenizer):
    config = tokenizer.get_config()
    assert config["vocabulary"] == ["good", "film", "n't", "café"]
    assert config["name"] == tokenizer.name and "trainable" not in config
    again = WordTokenizer.from_config(config)
    assert again(["good café"]).to_list() == [[2, 5]]
    assert not again.weights and not again.supports_jit


def test_it_works_in_saved_models_alone(tokenizer, tmp_path):
    module = tf.Module()
    module.tokenizer = tokenizer
    module.ids = tf.function(
        lambda texts: tokenizer(texts).to_tensor(0),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.ids(tf.constant(["good film ?"])).numpy().tolist() == [[2, 3, 1]]
