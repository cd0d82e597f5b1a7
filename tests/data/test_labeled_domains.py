import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.domains import pair_domains
from tftransfer.data.labeled_domains import join_domains, pair_labeled_domains
from tftransfer.data.synthetic import load_synthetic


def dataset(num_rows, value, batch_size=4):
    rows = np.full((num_rows, 3), value, "float32"), np.arange(num_rows) % 2
    return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)


def read(joined):
    parts = zip(*joined.as_numpy_iterator(), strict=True)
    return [np.concatenate(part) for part in parts]


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_an_epoch_has_every_row_once_and_each_domain_its_share_of_the_loss(share):
    x, y, weights = read(
        join_domains(dataset(11, 0), dataset(5, 1), source_weight=share)
    )
    assert len(x) == 16
    is_source = x[:, 0] == 0
    assert is_source.sum() == 11
    np.testing.assert_array_equal(np.bincount(y[is_source]), [6, 5])
    assert weights[is_source].sum() / weights.sum() == pytest.approx(share)
    assert weights.mean() == pytest.approx(1)


def test_the_domains_take_turns_in_another_order_every_epoch():
    joined = join_domains(dataset(40, 0), dataset(40, 1))
    orders = [read(joined)[0][:, 0] for _ in range(2)]
    assert (orders[0] != orders[1]).any()
    assert 0 < orders[0][:40].sum() < 40  # not one domain after the other
    assert int(joined.cardinality()) == 80 // 32 + 1


def test_arrays_are_joined_as_arrays():
    source = np.zeros((6, 2)), np.arange(6) % 2
    target = np.ones((2, 2)), np.array([1, 0])
    x, y, weights = join_domains(source, target, source_weight=0.25)
    np.testing.assert_array_equal(x[:, 0], [0] * 6 + [1] * 2)
    np.testing.assert_array_equal(y, [0, 1] * 3 + [1, 0])
    # 8 rows, of which the source has a quarter of the weight
    np.testing.assert_allclose(weights, [2 / 6] * 6 + [6 / 2] * 2, rtol=1e-6)


def test_what_loaders_tell_of_their_rows_is_told_of_the_joined_ones():
    source, target = (load_synthetic(num_examples=n)[0] for n in (20, 12))
    joined = join_domains(source, target)
    assert joined.class_names == target.class_names
    counts = [sum(len(x) for x, _ in part) for part in (source, target)]
    assert joined.num_examples == sum(counts)
    first = np.concatenate([x for x, _, _ in joined.unshuffled.as_numpy_iterator()])
    expected = [x for part in (source, target) for x, _ in part.unshuffled]
    np.testing.assert_array_equal(first, np.concatenate(expected))
    other = join_domains(source, target, source_weight=0.3)
    names = {vars(part)["fingerprint"] for part in (joined, other, source)}
    assert len(names) == 3 and None not in names


def test_inputs_of_two_dtypes_become_float32():
    source = dataset(4, 0).map(lambda x, y: (tf.cast(x, "uint8"), tf.cast(y, "int32")))
    joined = join_domains(source, dataset(4, 1))
    assert [part.dtype.name for part in joined.element_spec] == [
        "float32",
        "float32",
        "float32",
    ]


def test_pairs_have_the_labels_and_weights_of_both_one_after_the_other():
    pairs = pair_labeled_domains(dataset(8, 0), dataset(4, 1, 2), source_weight=0.5)
    batches = list(pairs.as_numpy_iterator())
    assert len(batches) == 2  # the longer one, here as long as the other
    (source, target), y, weights = batches[0]
    assert source.shape == (4, 3) and target.shape == (2, 3)
    np.testing.assert_array_equal(y, [0, 1, 0, 1, 0, 1])
    np.testing.assert_allclose(weights, [0.75] * 4 + [1.5] * 2)


def test_pairs_go_through_the_longer_one_or_the_source():
    few, many = dataset(4, 0), dataset(12, 1)
    assert len(list(pair_labeled_domains(few, many))) == 3
    assert len(list(pair_labeled_domains(few, many, epoch="source"))) == 1
    assert len(list(pair_labeled_domains(few, many, epoch="target"))) == 3
    assert len(list(pair_labeled_domains(many, few, epoch="target"))) == 1


@pytest.mark.parametrize("share", [0, 1])
def test_a_domain_without_weight_is_told_apart_in_pairs_only(share):
    with pytest.raises(ValueError, match=rf"above 0 and below 1.*={share}\. Train on"):
        join_domains(dataset(4, 0), dataset(4, 1), source_weight=share)
    pairs = pair_labeled_domains(dataset(4, 0), dataset(4, 1, 2), source_weight=share)
    _, _, weights = next(iter(pairs))
    # The mean over the six rows of a pair stays 1.
    expected = [6 / 4] * 4 + [0] * 2 if share else [0] * 4 + [6 / 2] * 2
    np.testing.assert_allclose(weights, expected)


@pytest.mark.parametrize("function", [join_domains, pair_labeled_domains])
def test_what_does_not_fit_is_refused(function):
    unlabeled = dataset(4, 0).map(lambda x, y: x)
    with pytest.raises(ValueError, match="`source` must be a dataset of .x, y., with"):
        function(unlabeled, dataset(4, 1))
    with pytest.raises(ValueError, match="`target` must be a dataset of .x, y., with"):
        function(dataset(4, 1), unlabeled)
    with pytest.raises(TypeError, match="`target` must be a batched tf.data.Dataset"):
        function(dataset(4, 1), [1, 2])
    wider = dataset(4, 0).map(lambda x, y: (tf.concat([x, x], 1), y))
    with pytest.raises(ValueError, match="must hold inputs of one shape"):
        function(wider, dataset(4, 1))
    one_hot = dataset(4, 0).map(lambda x, y: (x, tf.one_hot(y, 2)))
    with pytest.raises(ValueError, match=r"labels of one shape.*source labels \(2,\)"):
        function(one_hot, dataset(4, 1))


def test_arrays_that_do_not_fit_are_refused():
    x, y = np.zeros((4, 2)), np.zeros(4)
    with pytest.raises(
        ValueError, match=r"`target` given as arrays.*shapes \[\(4, 2\)"
    ):
        join_domains((x, y), (x, y[:3]))
    with pytest.raises(
        ValueError, match=r"of one shape.*source \(4, 1\), target \(4, 2"
    ):
        join_domains((x[:, :1], y), (x, y))


def test_labels_of_the_target_are_still_dropped_where_none_are_wanted():
    pairs = pair_domains(dataset(4, 0), dataset(4, 1))
    assert len(pairs.element_spec) == 2  # ((source, target), source_y)
