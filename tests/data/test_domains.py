import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.domains import pair_domains
from tftransfer.data.pipelines import Preparation, make_dataset
from tftransfer.data.synthetic import load_synthetic


def domain(count, batch_size, offset=0, labels=True, shape=(4, 4, 3)):
    images = np.full((count, *shape), 0.0, "float32")
    images += np.arange(offset, offset + count).reshape(-1, *[1] * len(shape))
    arrays = (images, np.arange(count)) if labels else images
    return tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size)


def numbers(pairs):
    return [
        (s[:, 0, 0, 0].tolist(), t[:, 0, 0, 0].tolist(), y.tolist())
        for (s, t), y in pairs.as_numpy_iterator()
    ]


def test_one_epoch_is_one_pass_over_the_source_while_the_target_repeats():
    pairs = pair_domains(domain(4, 2), domain(3, 3, 100, labels=False))
    assert numbers(pairs) == [
        ([0, 1], [100, 101, 102], [0, 1]),
        ([2, 3], [100, 101, 102], [2, 3]),
    ]
    assert len(pairs) == 2


def test_a_longer_target_is_cut_or_sets_the_length():
    source, target = domain(2, 2), domain(6, 2, 100, labels=False)
    assert [t for _, t, _ in numbers(pair_domains(source, target))] == [[100, 101]]
    longer = pair_domains(source, target, epoch="longer")
    assert [t for _, t, _ in numbers(longer)] == [[100, 101], [102, 103], [104, 105]]
    assert [y for _, _, y in numbers(longer)] == [[0, 1]] * 3 and len(longer) == 3
    assert (
        len(
            pair_domains(
                target.map(lambda x: (x, x[:, 0, 0, 0])), source, epoch="longer"
            )
        )
        == 3
    )


def test_labels_of_the_target_are_dropped_and_a_line_says_so(capsys):
    pairs = pair_domains(domain(2, 2), domain(2, 2, 100))
    assert numbers(pairs) == [([0, 1], [100, 101], [0, 1])]
    assert "labels of `target` are dropped" in capsys.readouterr().out
    pair_domains(domain(2, 2), domain(2, 2, labels=False))
    assert capsys.readouterr().out == ""


def test_shuffled_domains_give_new_pairs_every_epoch():
    def shuffled(count):
        examples = tf.data.Dataset.from_tensor_slices(
            (np.arange(count, dtype="float32"), np.arange(count))
        )
        return make_dataset(
            examples,
            lambda value: tf.fill((4, 4, 3), value),
            Preparation(batch_size=4),
            training=True,
        )

    pairs = pair_domains(shuffled(12), shuffled(40))
    epochs = [numbers(pairs) for _ in range(2)]
    assert epochs[0] != epochs[1]
    targets = [{v for _, t, _ in epoch for v in t} for epoch in epochs]
    assert targets[0] != targets[1]


def test_mixed_number_types_meet_as_float32():
    target = domain(2, 2, labels=False).map(lambda x: tf.cast(x, tf.uint8))
    (source_x, target_x), _ = next(iter(pair_domains(domain(2, 2), target)))
    assert source_x.dtype == target_x.dtype == tf.float32


def test_class_names_of_the_source_are_kept():
    source = domain(2, 2)
    source.class_names = ["a", "b"]
    pairs = pair_domains(source, domain(2, 2, labels=False))
    assert pairs.class_names == ["a", "b"]


def test_both_domains_stay_reachable_the_target_without_its_labels():
    source, target = load_synthetic(2, num_examples=6, batch_size=2)
    pairs = pair_domains(source, target, epoch="longer")
    assert pairs.epoch == "longer" and pairs.domains[0] is source
    inputs = pairs.domains[1]
    assert isinstance(inputs.element_spec, tf.TensorSpec)
    for found, (wanted, _) in zip(inputs, target, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert inputs.unshuffled is inputs and not inputs.shuffles
    assert inputs.class_names is None and len(inputs.fingerprint) == 64
    again = pair_domains(source, target).domains[1]
    assert again.fingerprint == inputs.fingerprint
    # Features stored under the name of the labeled rows come with their labels.
    assert inputs.fingerprint != target.fingerprint


def test_a_shuffled_target_drops_its_labels_in_both_orders():
    examples = tf.data.Dataset.from_tensor_slices((np.arange(9), np.arange(9)))
    preparation = Preparation(batch_size=4, augment=("flip",))
    target = make_dataset(
        examples,
        lambda value: tf.fill((4, 4, 3), tf.cast(value, tf.uint8)),
        preparation,
        training=True,
        identity=["nine"],
    )
    inputs = pair_domains(domain(4, 2), target).domains[1]
    first = inputs.unshuffled
    assert inputs.shuffles and inputs.augmented
    assert not first.shuffles and not first.augmented
    assert isinstance(first.element_spec, tf.TensorSpec)
    values = np.concatenate([x[:, 0, 0, 0] for x in first.as_numpy_iterator()])
    assert values.tolist() == list(range(9))
    names = {inputs.fingerprint, first.fingerprint, target.fingerprint}
    assert len({*names, target.unshuffled.fingerprint}) == 4


def test_an_unlabeled_or_unknown_target_is_hung_as_it_is():
    target = domain(2, 2, labels=False)
    assert pair_domains(domain(2, 2), target).domains[1] is target
    plain = pair_domains(domain(2, 2), domain(2, 2)).domains[1]
    assert "fingerprint" not in vars(plain)


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        (domain(4, 2).unbatch(), domain(2, 2), "Received: source.element_spec="),
        (domain(4, 2), domain(2, 2).unbatch(), "Received: target.element_spec="),
        (domain(4, 2, labels=False), domain(2, 2), "with labels. Received: source"),
        (domain(4, 2), domain(2, 2, shape=(5, 4, 3)), r"target inputs \(5, 4, 3\)"),
        (domain(4, 2).take(0), domain(2, 2), "Received: source with no batches"),
        (domain(4, 2), domain(2, 2).take(0), "Received: target with no batches"),
        (domain(4, 2).repeat(), domain(2, 2), "Received: source with endless"),
        (
            domain(4, 2, shape=()),
            tf.data.Dataset.from_tensor_slices(["a", "b"]).batch(2),
            "Received: source float32, target string",
        ),
    ],
)
def test_domains_that_do_not_fit_are_refused(source, target, text):
    with pytest.raises(ValueError, match=text):
        pair_domains(source, target)


def test_arrays_are_refused():
    with pytest.raises(TypeError, match="Received: target of type ndarray"):
        pair_domains(domain(2, 2), np.zeros((2, 4, 4, 3)))


def test_epoch_must_be_known_and_countable():
    with pytest.raises(ValueError, match="Received: epoch='target'"):
        pair_domains(domain(2, 2), domain(2, 2), epoch="target")
    uncounted = domain(4, 2).filter(lambda x, y: True)
    with pytest.raises(ValueError, match="Received: epoch='longer'"):
        pair_domains(uncounted, domain(2, 2), epoch="longer")
    assert len(numbers(pair_domains(uncounted, domain(2, 2)))) == 2
