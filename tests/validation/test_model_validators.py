import sys

import numpy as np
import pytest

from tftransfer.validation.model_validators import (
    circular_validation,
    class_clusters,
    mixval,
)


def threshold_at(cut):
    return lambda rows: np.stack([cut - rows[:, 0], rows[:, 0] - cut], axis=1)


@pytest.fixture
def two_groups(rng):
    """Rows around -3 and 3."""
    return np.concatenate([rng.normal(size=(40, 1)) - 3, rng.normal(size=(40, 1)) + 3])


def test_mixval_is_a_loop_over_pairs(two_groups):
    predict = threshold_at(0.4)
    classes = predict(two_groups).argmax(axis=1)
    order = np.random.default_rng(0).permutation(80)
    kept = {True: [], False: []}
    for i, j in enumerate(order):
        mixed = 0.55 * two_groups[i] + 0.45 * two_groups[j]
        right = predict(mixed[None])[0].argmax() == classes[i]
        kept[bool(classes[i] == classes[j])].append(right)
    within, across = np.mean(kept[True]), np.mean(kept[False])
    assert 0 < across < 1
    assert mixval(predict, two_groups, pairs="intra") == within
    assert mixval(predict, two_groups, pairs="inter") == across
    assert mixval(predict, two_groups) == pytest.approx((within + across) / 2)


def test_a_border_between_the_groups_mixes_better_than_one_inside(two_groups):
    assert mixval(threshold_at(0.0), two_groups) > mixval(threshold_at(2.5), two_groups)


def test_without_pairs_of_two_classes_those_of_one_count(two_groups):
    predict = threshold_at(-99.0)
    assert mixval(predict, two_groups) == 1.0
    assert np.isnan(mixval(predict, two_groups, pairs="inter"))


def test_whole_numbers_of_any_shape_can_be_mixed():
    images = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 3)).astype("uint8")
    seen = []

    def predict(rows):
        seen.append(rows)
        return rows.reshape(len(rows), -1)[:, :3]

    mixval(predict, images)
    assert seen[1].shape == images.shape and seen[1].dtype == np.float32


def test_what_cannot_be_mixed_is_refused(two_groups):
    with pytest.raises(TypeError, match="Received: target of dtype <U"):
        mixval(threshold_at(0.0), np.array(["a", "b"]))
    with pytest.raises(ValueError, match="Received: mixing=0.4"):
        mixval(threshold_at(0.0), two_groups, mixing=0.4)
    with pytest.raises(ValueError, match="Received: pairs='all'"):
        mixval(threshold_at(0.0), two_groups, pairs="all")


def test_circular_validation_is_the_accuracy_of_the_way_back():
    source, labels = np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1]
    target, probabilities = np.array([[0.0], [3.0]]), np.eye(2)
    seen = {}

    def fit(rows, classes):
        seen.update(rows=rows, classes=classes)
        return lambda rows: (rows[:, 0] > 0.5).astype(int)

    found = circular_validation(source, labels, target, probabilities, fit=fit)
    assert found == 0.75
    assert seen["rows"].tolist() == [[0.0], [3.0]] and seen["classes"].tolist() == [
        0,
        1,
    ]


def test_wrong_predictions_on_the_target_come_back_as_wrong_ones(rng):
    labels = np.arange(60) % 2
    source = rng.normal(size=(60, 2)) + 4 * labels[:, None]
    good = circular_validation(source, labels, source, np.eye(2)[labels])
    assert good > 0.95
    assert circular_validation(source, labels, source, np.eye(2)[1 - labels]) < 0.05


def test_one_predicted_class_scores_its_share_in_the_source(rng):
    rows = rng.normal(size=(4, 2))
    probabilities = np.tile([[0.9, 0.1]], (4, 1))
    assert circular_validation(rows, [0, 0, 0, 1], rows, probabilities) == 0.75


def test_rows_that_do_not_belong_together_are_refused(rng):
    rows = rng.normal(size=(4, 2))
    with pytest.raises(
        ValueError, match=r"Received: shapes \(4, 2\), \(4, 2\) and \(3"
    ):
        circular_validation(rows, [0, 1, 0, 1], rows, np.eye(3)[:, :2] * 0 + 0.5)
    with pytest.raises(ValueError, match=r"Received: shapes \(2, 2\) and \(3, 2\)"):
        class_clusters(rows[:2], np.full((3, 2), 0.5))


def test_clusters_are_compared_by_adjusted_mutual_information(two_groups):
    metrics = pytest.importorskip("sklearn.metrics")
    truth = np.arange(80) // 40
    assert class_clusters(two_groups, np.eye(2)[truth]) == pytest.approx(1.0)
    shifted = np.roll(truth, 10)
    wanted = metrics.adjusted_mutual_info_score(shifted, truth)
    assert class_clusters(two_groups, np.eye(2)[shifted]) == pytest.approx(wanted)
    unrelated = class_clusters(two_groups, np.eye(2)[np.arange(80) % 2])
    assert abs(unrelated) < 0.05


def test_fewer_rows_than_classes_are_refused():
    with pytest.raises(ValueError, match="`features` must be .* with 3 rows or more"):
        class_clusters(np.ones((2, 2)), np.full((2, 3), 1 / 3))


def test_a_missing_scikit_learn_is_told(two_groups, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "tftransfer\[demo\]"'):
        class_clusters(two_groups, np.full((80, 2), 0.5))
