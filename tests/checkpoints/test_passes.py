"""The pass of an epoch is the same, however often a dataset was opened before."""

import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.checkpoints.draws import find_doubt, find_draws
from tftransfer.checkpoints.passes import Passes, find_passes, number_passes
from tftransfer.data.pipelines import Preparation, make_dataset


def numbers():
    return tf.data.Dataset.range(40)


def load(count=40, batch_size=8):
    """Load images of one color each, shuffled and mirrored, as our loaders do."""
    examples = tf.data.Dataset.from_tensor_slices((range(count), range(count)))
    preparation = Preparation(batch_size=batch_size, seed=1, augment=("flip",))

    def paint(number):
        columns = tf.range(4) + 4 * number
        return tf.cast(tf.broadcast_to(columns[None, :, None], (4, 4, 3)), tf.uint8)

    identity = {"source": "painted", "count": count}
    return make_dataset(
        *(examples, paint, preparation), training=True, identity=identity
    )


def loader():
    return load().map(lambda x, y: x)


PIPELINES = {
    "one shuffle": lambda: numbers().shuffle(40, seed=1).batch(8),
    "two": lambda: numbers().shuffle(40, seed=1).batch(2).shuffle(9, seed=2).batch(4),
    "random numbers": lambda: tf.data.Dataset.zip(
        numbers(), tf.data.Dataset.random(seed=1, rerandomize_each_iteration=True)
    ).map(lambda a, b: b),
    "cached": lambda: numbers().cache().shuffle(40, seed=1),
    "loader": loader,
}


def read(dataset):
    return [np.ravel(x).tolist() for x in dataset.as_numpy_iterator()]


@pytest.mark.parametrize("make", PIPELINES.values(), ids=PIPELINES)
def test_any_pass_can_be_had_at_once(make):
    passes, one_by_one = Passes(make()), []
    for epoch in range(3):
        passes.begin(epoch)
        one_by_one.append(read(passes.dataset()))
    assert one_by_one[0] != one_by_one[1] != one_by_one[2]
    plain = make()
    assert one_by_one == [read(plain) for _ in range(3)]
    later = Passes(make())
    later.begin(2)
    assert read(later.dataset()) == one_by_one[2]


def test_looks_before_training_change_nothing():
    make = PIPELINES["one shuffle"]
    looked, other = Passes(make(), looks=3), Passes(make(), looks=3)
    read(looked.dataset().take(1))
    read(looked.dataset())
    looked.begin(0)
    other.begin(0)
    assert read(looked.dataset()) == read(other.dataset())


def test_too_many_looks_are_refused():
    passes = Passes(PIPELINES["one shuffle"](), looks=1)
    for _ in range(2):
        read(passes.dataset())
    with pytest.raises(ValueError, match="2 openings in this process"):
        passes.begin(0)


def test_what_is_read_afterwards_is_the_same():
    trained, resumed = PIPELINES["two"](), PIPELINES["two"]()
    passes = Passes(trained)
    for epoch in range(3):
        passes.begin(epoch)
        read(passes.dataset())
    passes.settle(3)
    Passes(resumed).settle(3)
    assert read(trained) == read(resumed)


def test_steps_that_draw_are_found():
    assert find_draws(numbers().batch(2)) == []
    assert len(find_draws(PIPELINES["two"]())) == 2
    once = numbers().shuffle(9, seed=1, reshuffle_each_iteration=False)
    assert find_draws(once) == []


@pytest.mark.parametrize(
    "dataset, doubt",
    [
        (lambda: numbers().shuffle(9, seed=1), None),
        (loader, None),
        (lambda: pairs(), None),
        (lambda: numbers().map(lambda x: x + 1, 4), None),
        (lambda: numbers().shuffle(9, seed=1).repeat(2), "it repeats what it shuffles"),
        (
            lambda: tf.data.Dataset.from_generator(
                lambda: iter([1]), output_signature=tf.TensorSpec((), tf.int32)
            ),
            "it reads a Python generator",
        ),
        (
            lambda: numbers().map(lambda x: tf.random.uniform(())),
            "it draws random numbers",
        ),
        (
            lambda: numbers().interleave(
                lambda x: tf.data.Dataset.range(4).shuffle(4, seed=1)
            ),
            "it shuffles inside `interleave`",
        ),
    ],
    ids=["seed", "loader", "pairs", "map", "repeat", "generator", "random", "inside"],
)
def test_what_may_differ_is_told(dataset, doubt):
    assert find_doubt(dataset()) == doubt


def test_a_shuffle_without_any_seed_is_told():
    tf.random.set_seed(None)
    assert find_doubt(numbers().shuffle(9)) == "it shuffles without a seed"


def pairs():
    return tft.pair_domains(load(40, 4), load(30, 8).map(lambda x, y: x))


def read_pairs(dataset):
    return [
        (s.numpy().tobytes(), t.numpy().tobytes(), y.numpy().tolist())
        for (s, t), y in dataset
    ]


def test_pairs_have_passes_of_both_domains():
    numbered = number_passes(pairs())
    several = find_passes(numbered)
    assert len(several) == 2
    epochs = []
    for epoch in range(3):
        for each in several:
            each.begin(epoch)
        epochs.append(read_pairs(numbered))
    again = number_passes(pairs())
    for each in find_passes(again):
        each.begin(2)
    assert read_pairs(again) == epochs[2]
    targets = [[target for _, target, _ in epoch] for epoch in epochs]
    assert targets[0] != targets[1]


def test_what_never_differs_is_left_alone():
    plain = numbers().batch(2)
    assert number_passes(plain) is plain


def test_what_loaders_tell_is_kept():
    train = load()
    numbered = number_passes(train)
    assert numbered.class_names == train.class_names
    assert vars(numbered)["fingerprint"] == vars(train)["fingerprint"]
    assert numbered.unshuffled is train.unshuffled
    assert int(numbered.cardinality()) == int(train.cardinality())
    assert number_passes(numbered) is numbered
