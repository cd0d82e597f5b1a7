import numpy as np
import pytest

from tftransfer.adaptation.label_free import label_free_scores
from tftransfer.methods.domain_standardization import adabn
from tftransfer.methods.ensemble import average
from tftransfer.methods.problem import Candidate, Problem
from tftransfer.validation.validators import (
    average_thresholded_confidence,
    information_maximization,
    soft_neighborhood_density,
)


@pytest.fixture(scope="module")
def scores(moved):
    problem, control, _ = moved
    both = average("both", [control, adabn(problem, control)])
    return label_free_scores(problem, control, [adabn(problem, control), both])


def test_each_score_is_that_of_the_validators(moved, scores):
    problem, control, _ = moved
    probabilities = adabn(problem, control).probabilities
    found = scores["adabn"]
    assert found["information"] == information_maximization(probabilities)
    assert found["density"] == soft_neighborhood_density(probabilities)
    assert found["atc"] == average_thresholded_confidence(
        control.held_out, problem.labels, probabilities
    )
    same = probabilities.argmax(axis=1) == control.labels
    assert found["agreement"] == np.mean(same)
    assert scores["control"]["agreement"] == 1
    assert all(0 <= found[name] <= 1 for name in ("clusters", "circular"))


def test_distances_are_in_the_units_that_a_candidate_reads(scores):
    assert scores["adabn"]["a_distance"] < scores["control"]["a_distance"]
    assert scores["adabn"]["mmd"] < scores["control"]["mmd"]
    assert scores["both"]["a_distance"] is None and scores["both"]["mmd"] is None


def test_fewer_rows_than_classes_have_no_clusters(moved):
    _, control, _ = moved
    labels = np.arange(60) % 30
    rows = np.random.default_rng(0).normal(size=(60, 4)) + labels[:, None]
    problem = Problem(rows, labels, rows[:20], 30)
    even = Candidate("even", np.full((20, 30), 1 / 30), None)
    control = type(
        "Control", (), {"name": "control", "probabilities": even.probabilities}
    )
    control.held_out = np.full((60, 30), 1 / 30)
    found = label_free_scores(problem, control, [even])
    assert found["even"]["clusters"] is None
    assert np.isfinite(found["even"]["circular"])
