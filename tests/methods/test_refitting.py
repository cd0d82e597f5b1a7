import numpy as np
import pytest

from tftransfer.methods.refitting import InTurn, refit, refit_in


def test_unmoved_source_rows_give_the_control_again(moved):
    problem, control, _ = moved
    again = refit("again", problem, control, problem.scaled_source)
    np.testing.assert_allclose(again.probabilities, control.probabilities, atol=1e-3)


def test_functions_of_rows_are_applied_in_turn():
    twice_plus_one = InTurn(lambda rows: 2 * rows, lambda rows: rows + 1)
    assert twice_plus_one(np.array([3])).tolist() == [7]


def test_source_and_target_are_described_each_in_its_way(moved):
    problem, control, _ = moved

    def describe(source, target):
        np.testing.assert_array_equal(source, problem.scaled_source)
        np.testing.assert_array_equal(target, problem.target_by_target)
        return (lambda rows: rows[:, :2]), (lambda rows: rows[:, :2] - 1)

    found = refit_in("half", problem, control, describe, units="target")
    two = problem.scaled_source[:, :2]
    half = refit("half", problem, control, two, embed=lambda rows: rows[:, :2])
    expected = half.predict.model(problem.target_by_target[:, :2] - 1)
    assert found.name == "D.half"
    np.testing.assert_allclose(found.probabilities, expected)


def test_a_target_without_a_function_stays_as_it_is(moved):
    problem, control, _ = moved

    def describe(source, target):
        return (lambda rows: rows), None

    found = refit_in("again", problem, control, describe, units="source")
    assert found.name == "S.again"
    np.testing.assert_allclose(found.probabilities, control.probabilities, atol=1e-3)


def test_other_units_are_refused(moved):
    problem, control, _ = moved
    with pytest.raises(ValueError, match="Received: units='both'"):
        refit_in("none", problem, control, None, units="both")
