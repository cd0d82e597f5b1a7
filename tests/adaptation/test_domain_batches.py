import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.adaptation.domain_batches import CannotTrain, DomainBatches


def make(source, target, **options):
    return DomainBatches(source, tft.UnlabeledDomain(target), (150, 100), **options)


@pytest.fixture
def source():
    return np.arange(300.0).reshape(150, 2), np.arange(150) % 3


@pytest.fixture
def target():
    return np.arange(200.0).reshape(100, 2)


def first_columns(batches):
    return np.concatenate([np.asarray(batch)[:, 0] for batch in batches])


def test_rows_keep_their_order_and_pairs_do_not(source, target):
    domains = make(source, target)
    np.testing.assert_array_equal(first_columns(domains.target_rows), target[:, 0])
    inputs, labels = zip(*domains.source_rows, strict=True)
    np.testing.assert_array_equal(first_columns(inputs), source[0][:, 0])
    np.testing.assert_array_equal(np.concatenate(labels), source[1])
    met = first_columns(pair[0][0] for pair in domains.pairs)
    assert not np.array_equal(met, source[0][:, 0])
    np.testing.assert_array_equal(np.sort(met), source[0][:, 0])
    assert int(domains.pairs.cardinality()) == len(list(domains.pairs)) == 3


def test_labels_stay_with_their_rows(source, target):
    domains = make(source, target)
    for (inputs, _), labels in domains.pairs:
        np.testing.assert_array_equal(inputs[:, 0] // 2 % 3, labels)
    for inputs, labels in domains.mixed(domains.source_rows, labels=True):
        np.testing.assert_array_equal(inputs[:, 0] // 2 % 3, labels)


def test_every_epoch_has_another_order_and_a_seed_repeats_it(source, target):
    domains, same, other = (make(source, target, seed=seed) for seed in (1, 1, 2))
    first, second = (first_columns(x for (x, _), _ in domains.pairs) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, first_columns(x for (x, _), _ in same.pairs))
    assert not np.array_equal(first, first_columns(x for (x, _), _ in other.pairs))


def test_mixed_rows_are_all_rows(source, target):
    domains = make(source, target)
    for rows, expected in (
        (domains.source_rows, source[0]),
        (domains.target_rows, target),
    ):
        mixed = first_columns(domains.mixed(rows))
        assert not np.array_equal(mixed, expected[:, 0])
        np.testing.assert_array_equal(np.sort(mixed), expected[:, 0])


def test_shuffled_data_keep_their_batches(source, target):
    shuffled = tf.data.Dataset.from_tensor_slices(source).shuffle(150).batch(50)
    domains = make(shuffled, target)
    assert [len(labels) for _, labels in domains.pairs] == [50, 50, 50]


def test_of_a_loaders_training_set_the_order_is_that_of_its_rows(tmp_path):
    for number in range(8):
        (tmp_path / f"class_{number % 2}").mkdir(exist_ok=True)
        path = tmp_path / f"class_{number % 2}" / f"{number}.png"
        keras.utils.save_img(path, np.full((4, 4, 3), 30.0 * number), scale=False)
    train, _ = tft.load_folder(tmp_path, image_size=4, batch_size=2)
    target = tft.UnlabeledDomain(train)
    domains = DomainBatches(train, target, (train.num_examples,) * 2)
    expected = np.concatenate([x for x, _ in train.unshuffled])
    for _ in range(2):
        found = np.concatenate(list(domains.target_rows))
        np.testing.assert_array_equal(found, expected)


def test_weights_of_rows_are_left_out(source, target):
    weighted = tf.data.Dataset.from_tensor_slices((*source, np.ones(150))).batch(50)
    domains = DomainBatches(weighted, tft.UnlabeledDomain(target), (150, 100))
    (_, _), labels = next(iter(domains.pairs))
    assert labels.shape == (64,)


@pytest.mark.parametrize("kind", ["dictionary", "sparse", "other shape"])
def test_what_cannot_be_trained_on_says_so(source, target, kind):
    inputs, labels = source
    if kind == "dictionary":
        source, target = ({"a": inputs}, labels), ({"a": target}, None)
    elif kind == "sparse":
        matrix = pytest.importorskip("scipy.sparse").csr_matrix
        source, target = (matrix(inputs), labels), matrix(target)
    else:
        target = target[:, :1]
    with pytest.raises(CannotTrain, match="one tensor each|sparse rows|one shape"):
        DomainBatches(source, tft.UnlabeledDomain(target), (150, 100))
