"""Every figure of each task against scikit-learn; degenerate rows; refusals."""

import numpy as np
import pytest
import sklearn.metrics as sk

from tftransfer.evaluation.predictions import evaluate_predictions, name_classes


@pytest.fixture
def five_classes(rng):
    labels = rng.integers(0, 5, 300)
    logits = rng.normal(size=(300, 5)) + 1.5 * np.eye(5)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_classification_figures_equal_scikit_learn(five_classes):
    labels, probabilities = five_classes
    found = evaluate_predictions(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    assert found.num_rows == 300
    assert found.metrics["accuracy"] == sk.accuracy_score(labels, predicted)
    assert found.metrics["balanced_accuracy"] == pytest.approx(
        sk.balanced_accuracy_score(labels, predicted)
    )
    assert found.metrics["macro_f1"] == pytest.approx(
        sk.f1_score(labels, predicted, average="macro")
    )
    assert "roc_auc" not in found.metrics
    np.testing.assert_array_equal(
        found.confusion, sk.confusion_matrix(labels, predicted)
    )
    table = np.array(sk.precision_recall_fscore_support(labels, predicted)).T
    ours = [
        [row[key] for key in ("precision", "recall", "f1", "support")]
        for row in found.per_class
    ]
    np.testing.assert_allclose(ours, table, rtol=1e-12)


def test_binary_figures_by_hand():
    # Predicted 0 1 0 1 at one half; right in rows 0, 1 and 3.
    found = evaluate_predictions([0, 1, 1, 1], [0.1, 0.8, 0.4, 0.9])
    assert found.metrics["accuracy"] == 0.75
    assert found.metrics["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert found.metrics["roc_auc"] == 1.0
    # Each row in a bin of its own: 0.1 + 0.2 + 0.6 + 0.1, over four rows; the rows of
    # confidence 0.9 share one, and both are right.
    assert found.metrics["expected_calibration_error"] == pytest.approx(0.25)
    assert found.intervals["accuracy"] == pytest.approx((0.3006, 0.9544), abs=5e-5)
    assert found.confusion.tolist() == [[1, 0], [1, 2]]


def test_one_column_and_two_columns_agree(rng):
    labels, positive = rng.integers(0, 2, 50), rng.random(50)
    both = np.stack([1 - positive, positive], axis=1)
    one = evaluate_predictions(labels, positive).to_dict()
    assert one == evaluate_predictions(labels, both).to_dict()
    assert one == evaluate_predictions(labels, positive[:, None]).to_dict()
    assert one == evaluate_predictions(np.eye(2)[labels], both).to_dict()


def test_binary_auc_equals_scikit_learn(rng):
    labels, positive = rng.integers(0, 2, 200), rng.random(200).round(2)
    found = evaluate_predictions(labels, positive)
    expected = sk.roc_auc_score(labels, positive)
    assert found.metrics["roc_auc"] == pytest.approx(expected)


def test_probability_of_exactly_one_half_is_class_zero():
    assert evaluate_predictions([0, 1], [0.5, 0.5]).confusion[:, 0].tolist() == [1, 1]


def test_a_class_without_rows_is_left_out_of_the_mean_recall_and_noted():
    eye = np.eye(3)
    found = evaluate_predictions(
        [0, 0, 1], eye[[0, 1, 1]], class_names=["cat", "dog", "owl"]
    )
    assert found.metrics["balanced_accuracy"] == 0.75  # (1/2 + 1) / 2
    assert found.per_class[2] == {
        "class": "owl",
        "precision": None,
        "recall": None,
        "f1": None,
        "support": 0,
    }
    assert found.notes == {"balanced_accuracy": "leaves out 1 without rows (class owl)"}


def test_a_class_predicted_but_without_rows_counts_in_macro_f1_as_in_scikit_learn():
    labels, predicted = np.array([0, 0, 1]), np.array([0, 2, 1])
    found = evaluate_predictions(labels, np.eye(3)[predicted])
    expected = sk.f1_score(labels, predicted, average="macro")
    assert found.metrics["macro_f1"] == pytest.approx(expected)
    assert found.per_class[2]["f1"] == 0.0


def test_auc_of_one_class_only_is_none_with_the_reason():
    found = evaluate_predictions([1, 1], [0.2, 0.7], class_names=["good", "bad"])
    assert found.metrics["roc_auc"] is None
    assert found.notes["roc_auc"] == "all rows are 'bad'; it needs both classes"
    assert found.metrics["accuracy"] == 0.5


@pytest.fixture
def many_labels(rng):
    labels = rng.integers(0, 2, (150, 4))
    return labels, np.clip(0.3 * labels + 0.7 * rng.random((150, 4)), 0, 1)


def test_multi_label_figures_equal_scikit_learn(many_labels):
    labels, probabilities = many_labels
    found = evaluate_predictions(labels, probabilities, task="multi_label")
    predicted = probabilities > 0.5
    expected = {
        "subset_accuracy": sk.accuracy_score(labels, predicted),
        "micro_f1": sk.f1_score(labels, predicted, average="micro"),
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "mean_average_precision": sk.average_precision_score(labels, probabilities),
        "mean_roc_auc": sk.roc_auc_score(labels, probabilities),
    }
    assert found.metrics == pytest.approx(expected)
    assert found.confusion is None
    assert [row["roc_auc"] for row in found.per_class] == pytest.approx(
        sk.roc_auc_score(labels, probabilities, average=None)
    )
    assert [row["average_precision"] for row in found.per_class] == pytest.approx(
        sk.average_precision_score(labels, probabilities, average=None)
    )
    assert [row["support"] for row in found.per_class] == labels.sum(axis=0).tolist()


def test_a_label_without_rows_is_left_out_of_the_means_and_noted(many_labels):
    labels, probabilities = many_labels
    labels[:, 3] = 0
    found = evaluate_predictions(labels, probabilities, task="multi_label")
    assert found.metrics["mean_average_precision"] == pytest.approx(
        sk.average_precision_score(labels[:, :3], probabilities[:, :3])
    )
    assert found.per_class[3]["roc_auc"] is None
    assert found.notes == {
        "mean_average_precision": "leaves out 1 without rows (label 3)"
    }


def test_regression_figures_equal_scikit_learn(rng):
    labels = rng.normal(size=(90, 2))
    values = labels + 0.3 * rng.normal(size=(90, 2))
    found = evaluate_predictions(
        labels, values, task="regression", class_names=["x", "y"]
    )
    expected = {
        "mean_absolute_error": sk.mean_absolute_error(labels, values),
        "root_mean_squared_error": sk.root_mean_squared_error(labels, values),
        "r2": sk.r2_score(labels, values),
    }
    assert found.metrics == pytest.approx(expected)
    assert set(found.intervals) == set(expected)
    for name, (low, high) in found.intervals.items():
        assert low < expected[name] < high
    assert [row["class"] for row in found.per_class] == ["x", "y"]
    assert found.per_class[1]["r2"] == pytest.approx(
        sk.r2_score(labels[:, 1], values[:, 1])
    )


def test_r2_of_equal_labels_is_none_with_the_reason():
    found = evaluate_predictions([2.0, 2.0], [1.0, 3.0], task="regression")
    assert found.metrics["r2"] is None
    assert found.notes["r2"] == "the labels of a value are all equal"
    assert "r2" not in found.intervals
    assert found.metrics["mean_absolute_error"] == 1.0


def test_the_order_of_rows_does_not_matter(five_classes, rng):
    labels, probabilities = five_classes
    order = rng.permutation(len(labels))
    one = evaluate_predictions(labels, probabilities).to_dict()
    other = evaluate_predictions(labels[order], probabilities[order]).to_dict()
    assert one["confusion"] == other["confusion"]
    assert one["metrics"] == pytest.approx(other["metrics"])


def test_no_rows_are_refused():
    with pytest.raises(
        ValueError, match=r"at least one. Received: labels.shape=\(0,\)"
    ):
        evaluate_predictions([], np.zeros((0, 3)))


def test_different_row_counts_are_refused():
    with pytest.raises(
        ValueError, match=r"labels.shape=\(2,\), probabilities.shape=\(3, 2\)"
    ):
        evaluate_predictions([0, 1], np.full((3, 2), 0.5))


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="Received: task='multilabel'. Did you mean"):
        evaluate_predictions([0], [0.5], task="multilabel")


def test_too_few_class_names_are_refused():
    with pytest.raises(ValueError, match=r"2 names.*Received: class_names=\['cat'\]"):
        name_classes(["cat"], 2)
