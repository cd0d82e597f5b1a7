import numpy as np
import pytest

from tftransfer.ranking import leep, nce


def softmax(rows):
    powers = np.exp(rows)
    return powers / powers.sum(axis=1, keepdims=True)


def slow_leep(given, labels):
    total = 0.0
    for row, label in zip(given, labels, strict=True):
        guess = 0.0
        for z in range(given.shape[1]):
            joint = given[labels == label, z].sum() / len(given)
            guess += joint / (given[:, z].sum() / len(given)) * row[z]
        total += np.log(guess)
    return total / len(given)


def test_it_is_the_likelihood_of_the_paper(rng):
    given, labels = softmax(2 * rng.normal(size=(60, 7))), np.arange(60) % 3
    assert leep(given, labels) == pytest.approx(slow_leep(given, labels), abs=1e-13)


def test_values_are_those_of_the_reference(classes):
    # github.com/thuml/Transfer-Learning-Library, tllib/ranking/leep.py
    features, labels = classes
    found = leep(softmax(features[:, :5]), labels)
    assert found == pytest.approx(-1.27065434001738, abs=1e-12)


def test_of_a_source_that_is_sure_it_is_the_conditional_entropy(rng):
    source, labels = rng.integers(0, 6, 80), rng.integers(0, 3, 80)
    assert leep(np.eye(6)[source], labels) == pytest.approx(nce(source, labels))


def test_a_source_class_nobody_has_changes_nothing(rng):
    given, labels = softmax(rng.normal(size=(30, 4))), np.arange(30) % 2
    more = np.concatenate([given, np.zeros((30, 2))], axis=1)
    assert leep(more, labels) == pytest.approx(leep(given, labels), abs=1e-14)


def test_logits_are_refused(rng):
    with pytest.raises(
        ValueError, match="`source_probabilities` must be .* Received: "
    ):
        leep(rng.normal(size=(4, 3)), [0, 1, 0, 1])


def test_nan_is_refused():
    given = np.full((2, 2), np.nan)
    with pytest.raises(ValueError, match=r"Received: source_probabilities of shape"):
        leep(given, [0, 1])


def test_another_number_of_labels_is_refused():
    with pytest.raises(ValueError, match=r"Received: labels of shape \(3,\)"):
        leep(np.full((2, 2), 0.5), [0, 1, 1])


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="Received: labels with class 0 alone"):
        leep(np.full((2, 2), 0.5), [0, 0])
