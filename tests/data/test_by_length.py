import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.by_length import batch_by_length
from tftransfer.data.pipelines import Preparation, make_dataset
from tftransfer.features.datasets import inspect_dataset

LENGTHS = np.random.default_rng(0).integers(1, 200, 500)
TEXTS = [f"{i} ".ljust(size, "x") for i, size in enumerate(LENGTHS)]


def examples():
    return tf.data.Dataset.from_tensor_slices((TEXTS, np.arange(500)))


def loaded(training=True, batch_size=7):
    return make_dataset(
        examples(),
        tf.identity,
        Preparation(batch_size=batch_size),
        training=training,
        class_names=["a", "b"],
        identity=["texts"],
    )


def read(dataset):
    return [(texts.tolist(), y.tolist()) for texts, y in dataset.as_numpy_iterator()]


def rows(batches):
    return [row for _, labels in batches for row in labels]


def spread(batches):
    """Mean difference of the longest and the shortest text of a batch."""
    sizes = [[len(text) for text in texts] for texts, _ in batches]
    return np.mean([max(batch) - min(batch) for batch in sizes])


@pytest.mark.parametrize("source", [examples, loaded], ids=["examples", "loader"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_example_comes_once_an_epoch_with_its_label(source, shuffle):
    dataset = batch_by_length(source(), 8, shuffle=shuffle)
    for _ in range(2):
        batches = read(dataset)
        assert sorted(rows(batches)) == list(range(500))
        assert sorted(len(labels) for _, labels in batches) == [4] + [8] * 62
        for texts, labels in batches:
            assert texts == [TEXTS[i].encode() for i in labels]


def test_the_number_of_batches_is_known_where_that_of_examples_is():
    assert len(batch_by_length(examples(), 8)) == 63
    assert len(batch_by_length(loaded(), 8)) == 63
    unknown = examples().filter(lambda text, label: label >= 0)
    assert int(batch_by_length(unknown, 8).cardinality()) == tf.data.UNKNOWN_CARDINALITY
    assert sorted(rows(read(batch_by_length(unknown, 8)))) == list(range(500))


def test_texts_of_a_batch_are_of_similar_length():
    mixed = spread(read(examples().batch(8)))
    assert mixed > 140  # two of eight from 1..200, the outermost, are 154 apart
    # 15 batches a window: 200 / 15 = 13
    assert spread(read(batch_by_length(examples(), 8))) < 20


def test_lengths_may_be_counted_otherwise():
    def count_digits(texts):
        return tf.strings.length(tf.strings.regex_replace(texts, "[^0-9]", ""))

    batches = read(batch_by_length(examples(), 5, length=count_digits))
    digits = [{len(str(i)) for i in labels} for _, labels in batches]
    assert sum(len(found) > 1 for found in digits) < 20 < spread(batches)


def test_every_epoch_has_other_batches_in_another_order_and_a_seed_repeats_it():
    dataset = batch_by_length(examples(), 8, seed=3)
    first, second = read(dataset), read(dataset)
    together = [{frozenset(labels) for _, labels in epoch} for epoch in (first, second)]
    assert len(together[0] & together[1]) <= 2
    again = batch_by_length(examples(), 8, seed=3)
    assert [read(again), read(again)] == [first, second]
    assert read(batch_by_length(examples(), 8, seed=4)) != first


def test_short_batches_come_early_as_often_as_late():
    dataset = batch_by_length(examples(), 5)
    places = []
    for _ in range(4):
        sizes = [np.mean([len(text) for text in texts]) for texts, _ in read(dataset)]
        places.append(np.corrcoef(sizes, np.arange(len(sizes)))[0, 1])
    assert abs(np.mean(places)) < 0.15 and min(places) < 0 < max(places)


def test_evaluation_has_one_order_from_short_to_long_within_a_window():
    dataset = batch_by_length(loaded(), 8, shuffle=False)
    first = read(dataset)
    assert first == read(dataset)
    # windows of 15 batches, cut from the first order
    assert sorted(rows(first[:15])) == list(range(120))
    sizes = [len(text) for texts, _ in first[:15] for text in texts]
    assert sizes == sorted(sizes)


def test_what_loaders_hang_on_their_data_stays():
    source = loaded()
    source.split_name = "train"
    dataset = batch_by_length(source, 8)
    told = vars(dataset)
    assert (dataset.class_names, dataset.split_name) == (["a", "b"], "train")
    assert (dataset.batch_size, dataset.num_examples) == (8, 500)
    assert told["fingerprint"] == vars(source)["fingerprint"] is not None
    assert dataset.shuffles and not dataset.augmented
    assert dataset.unshuffled is source.unshuffled
    assert rows(read(dataset.unshuffled)) == list(range(500))


def test_a_fixed_order_has_a_fingerprint_of_its_own():
    def name(dataset, size=8, **options):
        return vars(batch_by_length(dataset, size, shuffle=False, **options))[
            "fingerprint"
        ]

    plain = loaded(training=False)
    sorted_one = batch_by_length(plain, 8, shuffle=False)
    assert sorted_one.unshuffled is sorted_one and not sorted_one.shuffles
    assert name(plain) == name(plain, seed=5) == name(loaded())
    assert len({name(plain), name(plain, 9), vars(plain)["fingerprint"]}) == 3
    assert name(plain, length=tf.strings.length) is None


def test_data_of_the_user_are_known_to_shuffle_and_nothing_else():
    facts = inspect_dataset(batch_by_length(examples(), 8))
    assert facts.shuffles and facts.randomness is None
    assert "unshuffled" not in vars(batch_by_length(examples().batch(3), 8))


def test_texts_alone_and_with_weights_keep_their_form():
    texts = tf.data.Dataset.from_tensor_slices(TEXTS[:9])
    batch = next(iter(batch_by_length(texts, 4)))
    assert batch.dtype == tf.string and batch.shape == (4,)
    weighted = examples().map(lambda text, label: (text, label, 0.5))
    _, _, weights = next(iter(batch_by_length(weighted, 4)))
    assert weights.numpy().tolist() == [0.5] * 4


@pytest.mark.parametrize("count", [1, 3, 7])
def test_few_examples_are_batched_too(count):
    dataset = batch_by_length(examples().take(count), 3)
    assert sorted(rows(read(dataset))) == list(range(count))


def test_a_model_learns_on_it():
    texts = [
        "good " * (i % 9 + 1) if i % 2 else "bad " * (i % 7 + 1) for i in range(64)
    ]
    words = keras.layers.TextVectorization(vocabulary=["good", "bad"])
    inputs = keras.Input((), dtype="string")
    outputs = keras.layers.Embedding(4, 2)(words(inputs))
    outputs = keras.layers.GlobalAveragePooling1D()(outputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(outputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    data = tf.data.Dataset.from_tensor_slices((texts, [i % 2 for i in range(64)]))
    fitted = model.fit(batch_by_length(data, 4), epochs=3, shuffle=False, verbose=0)
    assert fitted.history["accuracy"][-1] == 1


@pytest.mark.parametrize(
    ("dataset", "error", "text"),
    [
        (TEXTS, TypeError, "Received: dataset of type list. Make one with"),
        (tf.data.Dataset.range(4), ValueError, "Received: dataset with elements Tens"),
        (tf.data.Dataset.from_tensors([["a"]]), ValueError, "Received: dataset with"),
        (
            tf.data.Dataset.from_tensors("a").repeat(),
            ValueError,
            "Received: dataset that repeats endlessly",
        ),
    ],
    ids=["list", "numbers", "tables", "endless"],
)
def test_what_holds_no_texts_is_refused(dataset, error, text):
    with pytest.raises(error, match=text):
        batch_by_length(dataset)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"batch_size": 0}, ValueError),
        ({"seed": -1}, ValueError),
        ({"shuffle_buffer": 0.5}, TypeError),
    ],
)
def test_unusable_numbers_are_refused(options, error):
    (name,) = options
    with pytest.raises(error, match=f"Received: {name}={options[name]}"):
        batch_by_length(examples(), **options)
