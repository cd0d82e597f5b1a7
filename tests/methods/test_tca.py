import numpy as np
import pytest

from tftransfer.methods.tca import kernel_matrix, tca, transfer_components


def parts_of_the_equation(source, target, penalty):
    """`K L K + penalty I` and `K H K` of the paper, by whole matrices."""
    rows, n, m = np.concatenate([source, target]), len(source), len(target)
    kernel = rows @ rows.T / rows.shape[1]
    contrast = np.concatenate([np.full(n, 1 / n), np.full(m, -1 / m)])
    centering = np.eye(n + m) - 1 / (n + m)
    apart = kernel @ np.outer(contrast, contrast) @ kernel + penalty * np.eye(n + m)
    return apart, kernel @ centering @ kernel


@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_weights_are_the_leading_eigenvectors_of_the_equation(waves3, penalty):
    linalg = pytest.importorskip("scipy.linalg")
    source, target = waves3
    found = transfer_components(source, target, num_components=2, penalty=penalty)
    apart, spread = parts_of_the_equation(source, target, penalty)
    values, vectors = linalg.eigh(spread, apart)
    weights = found.weights
    ratios = [(w @ spread @ w) / (w @ apart @ w) for w in weights.T]
    np.testing.assert_allclose(ratios, values[::-1][:2], rtol=1e-8)
    for own, wanted in zip(weights.T, vectors.T[::-1][:2], strict=True):
        cosine = own @ wanted / np.linalg.norm(own) / np.linalg.norm(wanted)
        assert abs(cosine) == pytest.approx(1.0, abs=1e-8)


def test_a_symmetric_solver_of_the_product_as_peers_use_would_do_worse(waves3):
    # skada 0.6.0 and adapt 0.4.5 give (K L K + penalty I)^-1 K H K, which is not
    # symmetric, to eigh, which reads one half of it.
    source, target = waves3
    found = transfer_components(source, target, num_components=1, penalty=0.1).weights
    apart, spread = parts_of_the_equation(source, target, 0.1)
    of_peers = np.linalg.eigh(np.linalg.solve(apart, spread))[1][:, -1]

    def ratio(w):
        return (w @ spread @ w) / (w @ apart @ w)

    assert ratio(found[:, 0]) > 1.01 * ratio(of_peers)


def test_components_have_variance_one_and_are_uncorrelated(rng):
    source, target = rng.normal(size=(40, 4)), rng.normal(size=(30, 4)) + 1
    embed = transfer_components(source, target, num_components=3)
    both = np.concatenate([embed(source), embed(target)])
    np.testing.assert_allclose(np.cov(both.T, bias=True), np.eye(3), atol=1e-8)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_less_penalty_the_closer_the_means(rng, kernel):
    source = rng.normal(size=(60, 3))
    target = rng.normal(size=(50, 3)) + [2.0, 0.0, 0.0]

    def distance(penalty):
        embed = transfer_components(
            source, target, num_components=2, kernel=kernel, penalty=penalty
        )
        return np.linalg.norm(embed(source).mean(axis=0) - embed(target).mean(axis=0))

    assert distance(1e-4) < 0.2 * distance(1e4)


def test_drawn_rows_find_nearly_the_same_directions(rng):
    source = rng.normal(size=(400, 3)) * [3.0, 1.0, 0.3]
    target = rng.normal(size=(400, 3)) * [3.0, 1.0, 0.3]
    few = {"num_components": 1, "penalty": 1e3}
    whole = transfer_components(source, target, **few)
    part = transfer_components(source, target, most_rows=100, **few)
    assert len(part.rows) == 200
    match = np.corrcoef(whole(source)[:, 0], part(source)[:, 0])[0, 1]
    assert abs(match) > 0.99
    other = transfer_components(source, target, most_rows=100, seed=1)
    assert not np.array_equal(part.rows, other.rows)


def test_kernels_are_those_of_the_formula(rng):
    rows, others = rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
    linear = kernel_matrix(rows, others, "linear", 1.0)
    np.testing.assert_allclose(linear, rows @ others.T / 4)
    gaussian = kernel_matrix(rows, others, "rbf", 2.0)
    wanted = np.exp(-((rows[:, None] - others) ** 2).sum(axis=2) / 8)
    np.testing.assert_allclose(gaussian, wanted)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_components", 0),
        ("kernel", "cosine"),
        ("penalty", 0.0),
        ("sigma", 0.0),
        ("most_rows", 1),
    ],
)
def test_bad_arguments_are_refused(waves3, name, value):
    with pytest.raises(ValueError, match=f"Received: {name}={value!r}"):
        transfer_components(*waves3, **{name: value})


def test_different_widths_are_refused(waves3):
    with pytest.raises(ValueError, match="Received: source.shape="):
        transfer_components(waves3[0], np.ones((4, 2)))


@pytest.mark.parametrize(
    ("kernel", "name"), [("linear", "D.tca"), ("rbf", "D.tca.rbf")]
)
def test_a_moved_domain_is_labeled_right(moved, kernel, name):
    problem, control, truth = moved
    candidate = tca(problem, control, kernel=kernel)
    assert (candidate.probabilities.argmax(axis=1) == truth).mean() > 0.9
    assert candidate.name == name
    again = candidate.predict(problem.target[:7])
    np.testing.assert_allclose(again, candidate.probabilities[:7], atol=1e-9)
