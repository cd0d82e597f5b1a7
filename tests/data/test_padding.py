import pytest
import tensorflow as tf

from tftransfer.data.by_length import batch_by_length
from tftransfer.data.padding import Padding, measure_padding

TEXTS = ["a", "b c d e", "f g", "h i j k l m"]  # 1, 4, 2 and 6 words
BATCHES = tf.data.Dataset.from_tensor_slices(TEXTS).batch(2)


def test_figures_worked_by_hand_with_a_ragged_tokenizer():
    found = measure_padding(BATCHES, tokenize=tf.strings.split, multiple=1)
    # 2 * 4 + 2 * 6 computed, 1 + 4 + 2 + 6 of them tokens
    assert found == Padding(4, 2, 13, 20) and found.share == pytest.approx(0.35)
    cut = measure_padding(
        BATCHES, tokenize=tf.strings.split, multiple=1, sequence_length=5
    )
    assert cut == Padding(4, 2, 12, 18)
    assert measure_padding(BATCHES, tokenize=tf.strings.split).num_padded == 4 * 16


def test_a_tokenizer_that_pads_is_counted_as_it_pads():
    def tokenize(texts):
        return tf.strings.split(texts).to_tensor(shape=(None, 7)) != ""

    assert measure_padding(BATCHES, tokenize=tokenize) == Padding(4, 2, 13, 28)


def test_words_stand_for_tokens_where_there_is_no_tokenizer():
    found = measure_padding(BATCHES, multiple=1)
    # ceil(1.3 * words) + 2: 4, 8, 5 and 10 tokens
    assert found == Padding(4, 2, 27, 2 * 8 + 2 * 10)


def test_labels_are_passed_over_and_sorted_batches_have_less():
    texts = ["w " * (1 + i * 37 % 100) for i in range(400)]
    data = tf.data.Dataset.from_tensor_slices((texts, range(400)))
    mixed, by_length = data.batch(5), batch_by_length(data, 5)
    before, after = measure_padding(mixed), measure_padding(by_length)
    assert before.num_tokens == after.num_tokens
    assert before.share > 0.3 > 0.15 > after.share


def test_it_reads_as_one_line():
    text = "35.0% padding: 20 tokens computed for 13 in 4 texts, 2 batches"
    assert str(Padding(4, 2, 13, 20)) == text
    assert measure_padding(BATCHES.take(0)).share == 0


def test_what_is_no_batch_of_texts_is_refused():
    with pytest.raises(ValueError, match=r"Received: string of shape \(\)"):
        measure_padding(BATCHES.unbatch())
    with pytest.raises(ValueError, match=r"Received: int64 of shape \(2,\)"):
        measure_padding(tf.data.Dataset.range(4).batch(2))
    with pytest.raises(ValueError, match="Received: sequence_length=0"):
        measure_padding(BATCHES, sequence_length=0)
