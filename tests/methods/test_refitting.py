import numpy as np

from tftransfer.methods.refitting import InTurn, refit


def test_unmoved_source_rows_give_the_control_again(moved):
    problem, control, _ = moved
    again = refit("again", problem, control, problem.scaled_source)
    np.testing.assert_allclose(again.probabilities, control.probabilities, atol=1e-3)


def test_functions_of_rows_are_applied_in_turn():
    twice_plus_one = InTurn(lambda rows: 2 * rows, lambda rows: rows + 1)
    assert twice_plus_one(np.array([3])).tolist() == [7]
