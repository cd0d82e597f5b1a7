import numpy as np
import pytest

from tftransfer.methods.subspace import align_subspaces, subspace

# skada 0.6.0, SubspaceAlignmentAdapter(n_components=2) on `waves3`: first two rows of
# source and of target. An axis may point either way: compared up to the sign.
OF_SKADA_SOURCE = np.array(
    [[-0.556594407046, -1.996094036802], [-1.64252299636, 3.210175867069]]
)
OF_SKADA_TARGET = np.array(
    [[0.48410580147, -1.126647101217], [1.034974819704, -0.548368065218]]
)


def test_both_projections_are_those_of_skada(waves3):
    source, target = waves3
    of_source, of_target = align_subspaces(source, target, num_components=2)
    found = np.concatenate([of_source(source[:2]), of_target(target[:2])])
    wanted = np.concatenate([OF_SKADA_SOURCE, OF_SKADA_TARGET])
    signs = np.sign(found[0] * wanted[0])
    np.testing.assert_allclose(found * signs, wanted, rtol=1e-9)


def test_the_projections_are_the_equation(rng):
    source, target = rng.normal(size=(9, 30)) + 2, rng.normal(size=(12, 30))
    of_source, of_target = align_subspaces(source, target, num_components=4)
    bases = [
        np.linalg.svd(rows - rows.mean(axis=0))[2][:4].T for rows in (source, target)
    ]
    wanted = (source - source.mean(axis=0)) @ bases[0] @ (bases[0].T @ bases[1])
    found = of_source(source)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-9)
    wanted = (target - target.mean(axis=0)) @ bases[1]
    np.testing.assert_allclose(np.abs(of_target(target)), np.abs(wanted), atol=1e-9)


def test_there_are_no_more_axes_than_rows_span(rng):
    source, target = rng.normal(size=(6, 20)), rng.normal(size=(30, 20))
    of_source, _ = align_subspaces(source, target, num_components=50)
    assert of_source(source).shape == (6, 5)


def test_the_columns_do_not_depend_on_the_way_source_axes_point(rng):
    source, target = rng.normal(size=(40, 5)), rng.normal(size=(30, 5))
    plain = align_subspaces(source, target, num_components=2)[0]
    mirrored = align_subspaces(source[::-1], target, num_components=2)[0]
    np.testing.assert_allclose(plain.axes, mirrored.axes, atol=1e-9)


def test_bad_input_is_refused(rng):
    rows = rng.normal(size=(5, 2))
    with pytest.raises(ValueError, match=r"Received: source.shape=\(5, 2\), target"):
        align_subspaces(rows, np.ones((5, 3)))
    with pytest.raises(ValueError, match="Received: num_components=0"):
        align_subspaces(rows, rows, num_components=0)


def test_a_moved_domain_is_labeled_right(moved):
    problem, control, truth = moved
    candidate = subspace(problem, control)
    assert (candidate.probabilities.argmax(axis=1) == truth).mean() > 0.9
    assert candidate.name == "D.subspace"
    again = candidate.predict(problem.target[:7])
    np.testing.assert_allclose(again, candidate.probabilities[:7], atol=1e-12)
