import numpy as np

from tests.domains import accuracy
from tftransfer.methods.control import fit_control
from tftransfer.methods.domain_standardization import adabn
from tftransfer.methods.problem import Problem


def test_a_moved_and_stretched_target_is_the_source_again(moved):
    problem = moved[0]
    target = problem.source * [2, 3, 4, 5] + [1, -7, 3, 0]
    control = fit_control(Problem(problem.source, problem.labels, target, 3))
    found = adabn(Problem(problem.source, problem.labels, target, 3), control)
    expected = control.predict(problem.source)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-2)
    assert (found.probabilities.argmax(1) == expected.argmax(1)).all()


def test_it_helps_where_the_target_is_moved(moved):
    problem, control, truth = moved
    found = adabn(problem, control)
    assert accuracy(found, truth) > accuracy(control, truth) + 0.05
    np.testing.assert_allclose(found.predict(problem.target), found.probabilities)
