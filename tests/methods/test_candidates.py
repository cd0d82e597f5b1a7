import pickle

import numpy as np
import pytest

from tftransfer.methods.candidates import fit_recipe
from tftransfer.methods.propagation import label_propagation


@pytest.fixture(scope="module")
def recipe(moved):
    return fit_recipe(*moved[:2])


def test_the_ensemble_is_the_mean_of_the_control_and_nine_others(moved, recipe):
    assert sorted(recipe.single) == [
        *("D.cbst", "D.lp", "D.mcc", "D.shot"),
        *("S.cbst", "S.lp", "S.mcc", "S.shot", "adabn"),
    ]
    every = [moved[1], *recipe.single.values()]
    mean = sum(each.probabilities for each in every) / 10
    np.testing.assert_allclose(recipe.ensemble.probabilities, mean)


def test_the_witnesses_are_two_and_an_ensemble_in_target_units(moved, recipe):
    training, cautious, in_target_units = recipe.witnesses
    assert training is recipe.single["S.cbst"]
    expected = label_propagation(*moved[:2], alpha=0.5).probabilities
    np.testing.assert_array_equal(cautious.probabilities, expected)
    names = "adabn", "D.cbst", "D.mcc", "D.lp"
    mean = sum(recipe.single[name].probabilities for name in names) / 4
    np.testing.assert_allclose(in_target_units.probabilities, mean)


def test_each_step_is_reported(moved):
    lines = []
    fit_recipe(*moved[:2], lines.append)
    assert len(lines) == 8


def test_candidates_can_be_pickled(moved, recipe):
    again = pickle.loads(pickle.dumps(recipe.ensemble))
    rows = moved[0].target[:5]
    np.testing.assert_array_equal(again.predict(rows), recipe.ensemble.predict(rows))
