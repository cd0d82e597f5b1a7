import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from tftransfer.adaptation.reduction import WIDEST, find_reduction


def test_dense_features_pass_as_they_are(rng):
    rows = rng.normal(size=(30, 4))
    reduction, notes = find_reduction(rows, rows, 0)
    assert notes == []
    assert reduction(rows) is rows


def test_constant_features_are_left_out_and_told(rng):
    rows = rng.normal(size=(30, 4))
    rows[:, 2] = 7
    reduction, notes = find_reduction(rows, rng.normal(size=(30, 4)), 0)
    np.testing.assert_array_equal(reduction(rows), rows[:, [0, 1, 3]])
    assert notes == ["1 of 4 features is constant on the source: left out"]


def test_sparse_features_are_projected_as_by_truncated_svd(rng):
    both = sparse.random_array((700, 900), density=0.02, rng=rng, format="csr")
    reduction, notes = find_reduction(both[:400], both[400:], 0)
    assert "900 sparse features were reduced to 100" in notes[0]
    found = reduction(both)
    assert isinstance(found, np.ndarray) and found.shape == (700, 100)
    expected = TruncatedSVD(100, algorithm="arpack", random_state=0).fit(both)
    singular = np.linalg.norm(found, axis=0)
    np.testing.assert_allclose(singular, expected.singular_values_, rtol=1e-6)


def test_wide_dense_features_are_projected_and_nothing_is_lost_of_few_rows(rng):
    rows = rng.normal(size=(40, WIDEST + 1))
    reduction, notes = find_reduction(rows[:20], rows[20:], 0)
    assert "4,097 wide features were reduced to 39" in notes[0]
    gram = reduction(rows) @ reduction(rows).T
    assert np.linalg.norm(gram - rows @ rows.T) < 0.2 * np.linalg.norm(gram)
