import numpy as np

from tftransfer.methods.ensemble import average
from tftransfer.methods.problem import Candidate


def test_rows_and_further_rows_get_the_mean():
    one = Candidate("one", np.array([[1.0, 0.0]]), lambda rows: np.ones((len(rows), 2)))
    two = Candidate(
        "two", np.array([[0.2, 0.8]]), lambda rows: np.zeros((len(rows), 2))
    )
    both = average("both", iter([one, two]))
    np.testing.assert_allclose(both.probabilities, [[0.6, 0.4]])
    np.testing.assert_allclose(both.predict(np.zeros((3, 1))), np.full((3, 2), 0.5))
