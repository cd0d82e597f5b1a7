import pickle

import numpy as np
import pytest

from tftransfer.methods.candidates import fit_recipe
from tftransfer.methods.propagation import label_propagation


@pytest.fixture(scope="module")
def recipe(moved):
    return fit_recipe(*moved[:2])


SINGLE = [
    *("D.cbst", "D.lp", "D.mcc", "D.shot"),
    *("S.cbst", "S.lp", "S.mcc", "S.shot", "adabn"),
]


def test_nine_single_ways_and_three_that_join_them(recipe):
    assert sorted(recipe) == sorted([*SINGLE, "S.lp(0.5)", "eD", "E10"])


def test_the_ensembles_are_means(moved, recipe):
    every = [moved[1], *(recipe[name] for name in SINGLE)]
    mean = sum(each.probabilities for each in every) / 10
    np.testing.assert_allclose(recipe["E10"].probabilities, mean)
    names = "adabn", "D.cbst", "D.mcc", "D.lp"
    mean = sum(recipe[name].probabilities for name in names) / 4
    np.testing.assert_allclose(recipe["eD"].probabilities, mean)


def test_the_cautious_propagation_trusts_the_control_more(moved, recipe):
    expected = label_propagation(*moved[:2], alpha=0.5).probabilities
    np.testing.assert_array_equal(recipe["S.lp(0.5)"].probabilities, expected)


def test_each_step_is_reported(moved):
    lines = []
    fit_recipe(*moved[:2], lines.append)
    assert len(lines) == 8


def test_candidates_can_be_pickled(moved, recipe):
    again = pickle.loads(pickle.dumps(recipe["E10"]))
    rows = moved[0].target[:5]
    np.testing.assert_array_equal(again.predict(rows), recipe["E10"].predict(rows))
