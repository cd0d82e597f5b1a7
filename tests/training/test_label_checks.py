import numpy as np
import pytest

from tftransfer.tasks import Task
from tftransfer.training.label_checks import check_labels, class_ids

SPARSE, ONE_HOT = "sparse_categorical_crossentropy", "categorical_crossentropy"
BINARY, SQUARED = "binary_crossentropy", "mean_squared_error"
CLASSES, ONE_LOGIT = Task("classification", 3), Task("classification", 1)
LABELS, VALUES = Task("multi_label", 2), Task("regression", 2)


@pytest.mark.parametrize(
    ("task", "loss", "labels"),
    [
        (CLASSES, SPARSE, [0, 1, 2, 0]),
        (CLASSES, SPARSE, [[0], [1], [2], [0]]),
        (CLASSES, SPARSE, [0.0, 1.0, 2.0, 0.0]),
        (CLASSES, ONE_HOT, np.eye(3)[[0, 1, 2, 0]]),
        (CLASSES, "a_loss_of_the_users_own", ["anything" == 0] * 4),
        (ONE_LOGIT, BINARY, [0, 1, 1, 0]),
        (ONE_LOGIT, BINARY, [[0.0], [0.3], [1.0], [1.0]]),
        (ONE_LOGIT, BINARY, [False, True, True, False]),
        (LABELS, BINARY, [[0, 1], [1, 1], [0, 0], [1, 0]]),
        (VALUES, SQUARED, [[-5.0, 1e6]] * 4),
        (Task("regression", 1), SQUARED, [1.5, 2.5, -3.0, 0.0]),
    ],
)
def test_fitting_labels_pass(task, loss, labels):
    check_labels("train", np.array(labels), task, loss, 4)


@pytest.mark.parametrize(
    ("task", "loss", "labels", "message"),
    [
        (CLASSES, SPARSE, [0, 1, 3], "from 0 to 2, .* Received: train with .* 0 to 3"),
        (CLASSES, SPARSE, [-1, 1, 2], "Received: train with labels from -1 to 2"),
        (CLASSES, SPARSE, np.eye(3), "sparse. Received: .*one-hot .*tf.argmax"),
        (CLASSES, SPARSE, [0, 0.5, 1], "Received: train with labels such as .*0.5"),
        (CLASSES, SPARSE, [0, np.nan, 1], "Received: train with NaN .* classification"),
        (CLASSES, SPARSE, ["a", "b", "c"], "Received: .* dtype <U1, such as .*'a'"),
        (CLASSES, SPARSE, [0, 1], "Received: train with 3 images and .*(2,)"),
        (CLASSES, ONE_HOT, [0, 1, 2], "Received: .*(3,).*SparseCategorical"),
        (CLASSES, ONE_HOT, np.eye(3)[:, :2], "one-hot labels of 3 columns.*Received"),
        (ONE_LOGIT, BINARY, [1, 2, 1], "0 or 1, for a model.* Received: .* 1 to 2"),
        (ONE_LOGIT, BINARY, np.eye(3), "hold 1 column .*Received: .*(3, 3)"),
        (LABELS, BINARY, [0, 1, 1], "hold 2 labels .*Received: .*(3,)"),
        (LABELS, BINARY, np.eye(3)[:, :2] * 2, "0 or 1 for each .*Received: .* 2.0"),
        (VALUES, SQUARED, [0.5, 1.5, 1.0], "hold 2 values .*Received: .*(3,)"),
        (VALUES, SQUARED, np.full((3, 2), np.inf), "Received: .*infinite .*regression"),
    ],
)
def test_labels_that_do_not_fit_are_refused(task, loss, labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels("train", np.array(labels), task, loss, 3)


def test_several_outputs_are_left_to_fit():
    check_labels("train", {"a": 1, "b": 2}, CLASSES, SPARSE, 3)


def test_class_ids_of_all_kinds_of_labels():
    assert class_ids(np.eye(3)[[2, 0]], CLASSES).tolist() == [2, 0]
    assert class_ids(np.array([[1], [0]]), ONE_LOGIT).tolist() == [1, 0]
    assert class_ids(np.array([0.9, 0.1]), ONE_LOGIT).tolist() == [1, 0]
