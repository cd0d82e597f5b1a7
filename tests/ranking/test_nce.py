import numpy as np
import pytest

from tftransfer.ranking import nce


def slow_nce(source, labels):
    total = 0.0
    for z in set(source):
        for y in set(labels):
            joint = np.mean((source == z) & (labels == y))
            if joint:
                total += joint * np.log(joint / np.mean(source == z))
    return total


def test_it_is_the_double_sum_of_the_paper(rng):
    source, labels = rng.integers(0, 1000, 200) // 90, rng.integers(0, 5, 200)
    assert nce(source, labels) == pytest.approx(slow_nce(source, labels), abs=1e-13)


def test_values_are_those_of_the_reference(classes):
    # github.com/thuml/Transfer-Learning-Library, tllib/ranking/nce.py
    features, labels = classes
    found = nce(features[:, :5].argmax(axis=1), labels)
    assert found == pytest.approx(-1.21120200241364, abs=1e-12)


def test_a_source_class_for_each_label_scores_zero():
    assert nce([900, 900, 3, 17], [0, 0, 1, 2]) == 0.0


def test_one_source_class_for_all_leaves_the_entropy_of_the_labels():
    assert nce([5, 5, 5, 5], [0, 1, 2, 3]) == pytest.approx(-np.log(4))


@pytest.mark.parametrize("bad", [[0.5, 0.5], [0, 1, 2], [[1, 0], [0, 1]], [-1, 0]])
def test_what_are_no_source_classes_is_refused(bad):
    with pytest.raises(ValueError, match="Received: source_labels of shape"):
        nce(bad, [0, 1])


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="Received: labels with class 3 alone, in 2 r"):
        nce([0, 1], [3, 3])


@pytest.mark.parametrize("bad", [["cat", "dog"], [0.0, 1.0], [[0], [1]]])
def test_what_are_no_labels_is_refused(bad):
    with pytest.raises(ValueError, match="Received: labels of shape"):
        nce([0, 1], bad)
