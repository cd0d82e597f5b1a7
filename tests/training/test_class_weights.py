import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.training.batches import read_data
from tftransfer.training.class_weights import complete_class_weight


def test_classes_left_out_weigh_one(build, arrays):
    data = read_data("train", arrays)
    weights = complete_class_weight(build(), data, {1: 2})
    assert weights == {0: 1.0, 1: 2.0, 2: 1.0}
    assert complete_class_weight(build(), data, None) is None


def test_one_logit_has_two_classes(build, arrays):
    model = build(1, keras.losses.BinaryCrossentropy(from_logits=True))
    data = read_data("train", arrays)
    assert complete_class_weight(model, data, {1: 3.0}) == {0: 1.0, 1: 3.0}


@pytest.mark.parametrize("loss", ["mse", lambda y, p: keras.ops.mean(p)])
def test_models_that_do_not_classify_are_refused(build, arrays, loss):
    data = read_data("train", arrays)
    message = "classifier with one output. Received: class_weight for task"
    with pytest.raises(ValueError, match=message):
        complete_class_weight(build(loss=loss), data, {0: 1.0})


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ({3: 1.0}, ValueError, r"from 0 to 2 as keys. Received: \[3\]"),
        ({"cat": 1.0}, ValueError, r"Received: \['cat'\]"),
        ({0: -1.0}, ValueError, r"Received: class_weight\[0\]=-1.0"),
        ({0: "much"}, TypeError, r"Received: class_weight\[0\]='much'"),
        ([1.0, 2.0], TypeError, "Received: class_weight of type list"),
    ],
)
def test_wrong_weights_are_refused(build, arrays, weights, error, message):
    with pytest.raises(error, match=message):
        complete_class_weight(build(), read_data("train", arrays), weights)


def test_data_with_sample_weights_are_refused(build, arrays):
    weighted = (*arrays, np.ones(80))
    for data in (weighted, tf.data.Dataset.from_tensor_slices(weighted).batch(8)):
        with pytest.raises(ValueError, match="Received: class_weight and data of"):
            complete_class_weight(build(), read_data("train", data), {0: 2.0})
