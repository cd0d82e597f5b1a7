import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.training.batches import read_data
from tftransfer.training.data_checks import check_compiled, check_data


@pytest.fixture
def check(build):
    """Check data against a model."""

    def check_(data, model=None, several_classes=True):
        data = read_data("train", data)
        check_data(model or build(), data, several_classes=several_classes)

    return check_


def slices(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


def test_good_data_pass_in_every_form(check, arrays):
    check(arrays)
    check((*arrays, np.ones(80)))
    check(slices(*arrays).batch(8))
    check(slices(*arrays, np.ones(80)).batch(8))


class Counting(keras.utils.PyDataset):
    """Ten batches that count how often one is read."""

    def __init__(self, labels):
        super().__init__()
        self.labels, self.num_read = labels, 0

    def __len__(self):
        return 10

    def __getitem__(self, index):
        self.num_read += 1
        return np.zeros((8, 6), "float32"), self.labels[8 * index : 8 * index + 8]


def test_one_batch_is_read_when_it_holds_two_classes(check):
    data = Counting(np.arange(80) % 3)
    check(data)
    assert data.num_read == 1


def test_data_sorted_by_class_are_read_until_the_second_class(check):
    data = Counting(np.repeat([0, 1], 40))
    check(data)
    assert data.num_read == 6


@pytest.mark.parametrize("label", [0, 2])
def test_one_class_only_is_refused(check, arrays, label):
    labels = np.full(80, label)
    message = rf"at least two classes. Received: train with .*\[{label}\] only"
    for data in (slices(arrays[0], labels).batch(8), (arrays[0], labels)):
        with pytest.raises(ValueError, match=message):
            check(data)
        check(data, several_classes=False)


def test_one_class_only_of_one_hot_and_binary_labels_is_refused(check, build, arrays):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match=r"\[1\] only"):
        check((arrays[0], np.eye(3)[[1] * 80]), build(loss=loss))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match=r"\[0\] only"):
        check((arrays[0], np.zeros((80, 1))), build(1, loss))


def test_equal_values_of_a_regression_pass(check, build, arrays):
    check((arrays[0], np.ones(80)), build(1, keras.losses.MeanSquaredError()))


def test_unbatched_data_are_refused(check, arrays):
    message = r"must be batched. Received: .*\(6,\). Call .batch\(32\)"
    with pytest.raises(ValueError, match=message):
        check(slices(*arrays))


def test_empty_data_are_refused(check, arrays):
    nothing = slices(*arrays).batch(8).take(0)
    unknown = slices(*arrays).batch(8).filter(lambda x, y: False)
    for data in (nothing, unknown, (arrays[0][:0], arrays[1][:0])):
        with pytest.raises(ValueError, match="at least one batch. Received: train"):
            check(data)


def test_endless_data_are_refused(check, arrays):
    message = "Received: train that repeats endlessly. Leave out .repeat"
    with pytest.raises(ValueError, match=message):
        check(slices(*arrays).batch(8).repeat())


def test_data_without_labels_are_refused(check, arrays):
    for data in (
        slices(*arrays).batch(8).map(lambda x, y: x),
        slices(*arrays).batch(8).map(lambda x, y: {"image": x, "label": y}),
    ):
        with pytest.raises(ValueError, match="must give .images, labels.*Received: tr"):
            check(data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(check, arrays, value):
    arrays[0][3, 2] = arrays[0][5, 1] = value
    message = r"Received: train with 2 NaN or infinite .*rows \[3, 5\]"
    for data in (arrays, slices(*arrays).batch(16)):
        with pytest.raises(ValueError, match=message):
            check(data)


def test_inputs_of_another_shape_are_refused(check, arrays):
    message = r"of shape \(None, 6\).* Received: train with a batch of shape \(32, 5\)"
    with pytest.raises(ValueError, match=message):
        check((arrays[0][:, :5], arrays[1]))


def test_labels_outside_the_classes_are_refused_anywhere_in_arrays(check, arrays):
    arrays[1][70] = 3
    with pytest.raises(ValueError, match="from 0 to 2, .*Received: train"):
        check(arrays)


def test_a_loss_of_the_users_own_leaves_labels_to_fit(check, build, arrays):
    model = build(loss=lambda y, p: keras.ops.mean(p))
    check((arrays[0], np.full(80, 17)), model)


def test_pairs_of_domains_are_checked_on_both_sides(check, arrays):
    class Pairs(keras.Model):
        def __init__(self, model):
            super().__init__()
            self.model = model

    inputs = keras.Input((6,))
    model = Pairs(keras.Model(inputs, keras.layers.Dense(3)(inputs)))
    model.compile("sgd", "mse")
    source = slices(*arrays).batch(8)

    def pair(target):
        target = tf.data.Dataset.from_tensor_slices(target).batch(4)
        pairs = tf.data.Dataset.zip(source, target)
        return pairs.map(lambda labeled, x: ((labeled[0], x), labeled[1]))

    check(pair(arrays[0]), model)
    with pytest.raises(ValueError, match="Received: train with 24 NaN"):
        check(pair(arrays[0] * np.nan), model)


def test_a_model_must_be_compiled(build):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(
        ValueError, match="Received: .*not compiled. Call model.compile"
    ):
        check_compiled(model)
    model.compile(optimizer=None, loss="mse")
    with pytest.raises(ValueError, match="Received: .*optimizer=None"):
        check_compiled(model)
    with pytest.raises(TypeError, match="Received: model of type str"):
        check_compiled("model")
    check_compiled(build())
