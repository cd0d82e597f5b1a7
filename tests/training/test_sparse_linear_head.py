"""The optimum on sparse features is that on the same features written out."""

import keras
import numpy as np
import pytest
from scipy import sparse

from tftransfer.tasks import Task
from tftransfer.training.linear_head import solve_linear_head

TASKS = [
    Task("classification", 3),
    Task("classification", 2),
    Task("classification", 1),
    Task("multi_label", 2),
    Task("regression", 2),
    Task("regression", 1),
]


def make_data(task):
    """Two columns of a network, full and off center, beside sparse ones."""
    rng = np.random.default_rng(0)
    dense = rng.normal(3.0, 1.0, (80, 2))
    counts = rng.uniform(size=(80, 12)) * (rng.uniform(size=(80, 12)) < 0.2)
    features = np.concatenate([dense, counts], axis=1)
    scores = features @ rng.normal(size=(14, task.num_outputs))
    scores -= scores.mean(axis=0)
    if task.name == "regression":
        return features, scores
    if task.name == "multi_label":
        return features, (scores > 0).astype("int64")
    many = task.num_outputs > 1
    return features, scores.argmax(axis=1) if many else (scores[:, 0] > 0).astype(int)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("task", TASKS, ids=lambda t: f"{t.name} {t.num_outputs}")
def test_it_is_that_of_dense_features(task, use_bias):
    features, labels = make_data(task)
    weights = np.linspace(0.5, 2, 80)
    solved = []
    for given in (features, sparse.csr_array(features)):
        layer = keras.layers.Dense(
            task.num_outputs,
            use_bias=use_bias,
            kernel_regularizer=keras.regularizers.L2(0.003),
        )
        solution = solve_linear_head(layer, given, labels, task, sample_weight=weights)
        solved.append((solution, np.array(layer(features.astype("float32")))))
    (one, outputs), (other, others) = solved
    assert other.gradient < 1e-3
    np.testing.assert_allclose(other.objective, one.objective, rtol=1e-5)
    np.testing.assert_allclose(other.loss, one.loss, rtol=1e-3)
    if not use_bias or task.num_outputs == 1 or task.name != "classification":
        np.testing.assert_allclose(others, outputs, atol=2e-2)


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array"])
def test_other_kinds_of_matrices_are_taken(kind):
    task = Task("classification", 2)
    features, labels = make_data(task)
    layer = keras.layers.Dense(2)
    given = getattr(sparse, kind)(features.astype("float32"))
    assert solve_linear_head(layer, given, labels, task).gradient < 1e-3
    assert given.format == kind[:3]


def test_sparse_columns_stay_sparse(monkeypatch):
    """What lbfgs works on has as many entries as what it was given."""
    seen = []
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression.fit
    monkeypatch.setattr(
        LogisticRegression,
        "fit",
        lambda m, x, *y, **w: (seen.append(x), fit(m, x, *y, **w))[1],
    )
    task = Task("classification", 2)
    features, labels = make_data(task)
    given = sparse.csr_array(features)
    solve_linear_head(keras.layers.Dense(2), given, labels, task)
    assert seen[0].nnz == given.nnz
    np.testing.assert_allclose(seen[0][:, :2].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_array_equal(given.toarray(), features)  # not changed in place


def test_absent_classes_get_next_to_no_probability():
    task = Task("classification", 3)
    features, _ = make_data(task)
    layer = keras.layers.Dense(3)
    labels = np.arange(80) % 2
    solve_linear_head(layer, sparse.csr_array(features), labels, task)
    found = np.array(keras.ops.softmax(layer(features.astype("float32"))))
    assert found[:, 2].max() < 0.05


@pytest.mark.parametrize(
    ("features", "received"),
    [
        (sparse.csr_array((80, 3)), r"Received: features.shape=\(80, 3\)"),
        (sparse.csr_array((0, 14)), r"Received: features.shape=\(0, 14\)"),
        (sparse.csr_array(np.full((80, 14), np.nan)), "Received: features with NaN"),
    ],
)
def test_unfit_sparse_features_are_refused(features, received):
    layer = keras.layers.Dense(2)
    layer.build((None, 14))
    with pytest.raises(ValueError, match=received):
        solve_linear_head(layer, features, np.zeros(80), Task("classification", 2))
