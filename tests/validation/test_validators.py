import numpy as np
import pytest

from tftransfer.validation import validators
from tftransfer.validation.domain_distances import a_distance, mmd
from tftransfer.validation.model_validators import (
    circular_validation,
    class_clusters,
    mixval,
)

# skada 0.6.0 on the probabilities of `waves_of_classes`: SoftNeighborhoodDensity; the
# PredictionEntropyScorer, which divides by the number of classes too, times 3; the last
# lines of DeepEmbeddedValidation on losses and weights of the test.
SND_OF_SKADA = 1.5760275202688399
ENTROPY_OF_SKADA = 0.41360863922039615
DEV_OF_SKADA = 1.4309523392826151


@pytest.fixture
def waves_of_classes():
    logits = 3 * np.sin(np.arange(60.0).reshape(20, 3) ** 1.5)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_every_score_says_which_way_is_better():
    known = [a_distance, mmd, circular_validation, class_clusters, mixval]
    names = {function.__name__ for function in known}
    names |= {
        name
        for name, value in vars(validators).items()
        if getattr(value, "__module__", "") == validators.__name__
        and not name.startswith("_")
    }
    assert names == set(validators.HIGHER_IS_BETTER)


def test_entropy_is_that_of_skada(waves_of_classes):
    assert validators.entropy(waves_of_classes) == pytest.approx(ENTROPY_OF_SKADA)


def test_a_certain_row_has_no_entropy_and_an_even_one_all_of_it():
    assert validators.entropy([[1.0, 0.0, 0.0]]) == 0.0
    assert validators.entropy(np.full((4, 3), 1 / 3)) == pytest.approx(np.log(3))


def test_information_is_the_mutual_information_of_row_and_class(waves_of_classes):
    joint = waves_of_classes / 20
    apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    wanted = (joint * np.log(joint / apart)).sum()
    found = validators.information_maximization(waves_of_classes)
    assert found == pytest.approx(wanted)


def test_information_is_zero_where_all_rows_say_the_same():
    same = np.tile([[0.7, 0.3]], (5, 1))
    assert validators.information_maximization(same) == pytest.approx(0.0, abs=1e-12)


def test_neighborhood_density_is_that_of_skada(waves_of_classes):
    found = validators.soft_neighborhood_density(waves_of_classes)
    assert found == pytest.approx(SND_OF_SKADA, rel=1e-9)


def test_neighborhood_density_is_the_same_in_blocks(waves_of_classes, monkeypatch):
    whole = validators.soft_neighborhood_density(waves_of_classes)
    monkeypatch.setattr(validators, "_BLOCK", 7)
    assert validators.soft_neighborhood_density(waves_of_classes) == pytest.approx(
        whole
    )


def test_neighborhood_density_is_highest_for_collapsed_predictions(waves_of_classes):
    collapsed = validators.soft_neighborhood_density(np.tile([[0.9, 0.1]], (20, 1)))
    assert collapsed == pytest.approx(np.log(19))
    assert collapsed > validators.soft_neighborhood_density(waves_of_classes)


def test_embedded_validation_is_that_of_skada(waves_of_classes):
    losses = -np.log(waves_of_classes[np.arange(20), np.arange(20) % 3])
    weights = 1 + 0.8 * np.sin(np.arange(20.0))
    found = validators.deep_embedded_validation(losses, weights)
    assert found == pytest.approx(DEV_OF_SKADA)


def test_embedded_validation_scatters_less_than_the_weighted_mean(rng):
    plain, embedded = [], []
    for _ in range(300):
        weights = rng.exponential(size=50)
        losses = 1.0 + 0.1 * rng.normal(size=50)
        plain.append(validators.importance_weighted_validation(losses, weights))
        embedded.append(validators.deep_embedded_validation(losses, weights))
    assert np.std(embedded) < 0.3 * np.std(plain)
    assert np.mean(embedded) == pytest.approx(1.0, abs=0.01)


def test_equal_weights_leave_the_mean_loss():
    for score in (
        validators.importance_weighted_validation,
        validators.deep_embedded_validation,
    ):
        assert score([1.0, 2.0, 6.0], np.ones(3)) == pytest.approx(3.0)


def test_true_ratios_give_the_loss_of_the_target(rng):
    source = rng.normal(size=20_000)
    ratio = np.exp(source - 0.5)  # of N(1, 1) to N(0, 1)
    found = validators.importance_weighted_validation(source**2, ratio)
    assert found == pytest.approx(2.0, abs=0.15)  # of N(1, 1)


def test_agreement_counts_equal_classes(waves_of_classes):
    assert validators.agreement(waves_of_classes, waves_of_classes) == 1.0
    turned = np.roll(waves_of_classes, 1, axis=1)
    assert validators.agreement(waves_of_classes, turned) == 0.0


@pytest.mark.parametrize("score", ["entropy", "confidence"])
def test_thresholded_confidence_finds_the_source_accuracy_itself(rng, score):
    logits = 2 * rng.normal(size=(500, 4))
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.where(
        rng.random(500) < 0.7, rows.argmax(axis=1), rng.integers(0, 4, 500)
    )
    found = validators.average_thresholded_confidence(rows, labels, rows, score=score)
    assert found == pytest.approx((rows.argmax(axis=1) == labels).mean())


def test_thresholded_confidence_at_its_ends():
    rows = np.array([[0.9, 0.1], [0.2, 0.8]])
    find = validators.average_thresholded_confidence
    assert find(rows, [1, 0], rows) == 0.0  # nothing right in the source
    assert find(rows, [0, 1], rows) == 1.0


@pytest.mark.parametrize(
    "bad",
    [[[0.5, 0.6]], [[1.5, -0.5]], [[np.nan, 1.0]], [0.5, 0.5], np.empty((0, 2))],
)
def test_what_are_no_probabilities_is_refused(bad):
    with pytest.raises(ValueError, match="Received: probabilities"):
        validators.entropy(bad)


def test_half_precision_is_taken(waves_of_classes):
    found = validators.entropy(waves_of_classes.astype("float16"))
    assert found == pytest.approx(ENTROPY_OF_SKADA, abs=1e-3)


def test_one_row_has_no_neighbors():
    with pytest.raises(
        ValueError, match=r"2 rows or more. Received: rows of shape \(1,"
    ):
        validators.soft_neighborhood_density([[0.5, 0.5]])


def test_a_temperature_of_zero_is_refused(waves_of_classes):
    with pytest.raises(ValueError, match="Received: temperature=0"):
        validators.soft_neighborhood_density(waves_of_classes, temperature=0)


def test_losses_and_weights_that_do_not_fit_are_refused():
    score = validators.importance_weighted_validation
    with pytest.raises(ValueError, match=r"Received: shapes \(2,\) and \(3,\)"):
        score([1.0, 2.0], [1.0, 1.0, 1.0])
    with pytest.raises(
        ValueError, match="Received: losses from 1.0 to 2.0, weights fro"
    ):
        score([1.0, 2.0], [1.0, -1.0])
    with pytest.raises(ValueError, match="2 rows or more"):
        validators.deep_embedded_validation([1.0], [1.0])


def test_predictions_of_other_rows_are_refused(waves_of_classes):
    with pytest.raises(ValueError, match=r"Received: shapes \(20, 3\) and \(19, 3\)"):
        validators.agreement(waves_of_classes, waves_of_classes[1:])


def test_labels_outside_the_classes_and_unknown_scores_are_refused(waves_of_classes):
    find = validators.average_thresholded_confidence
    with pytest.raises(ValueError, match="Received: source_labels of .* from 0 to 3"):
        find(waves_of_classes, np.arange(20) % 4, waves_of_classes)
    with pytest.raises(ValueError, match="Received: score='margin'"):
        find(waves_of_classes, np.zeros(20, int), waves_of_classes, score="margin")
