"""The optimum is checked against Keras' own loss, its gradient, SciPy and by hand."""

import sys

import keras
import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

from tftransfer.tasks import Task, build_loss
from tftransfer.training.linear_head import solve_linear_head

TASKS = [
    Task("classification", 3),
    Task("classification", 2),
    Task("classification", 1),
    Task("multi_label", 3),
    Task("multi_label", 1),
    Task("regression", 2),
    Task("regression", 1),
]
each_task = pytest.mark.parametrize(
    "task", TASKS, ids=lambda t: f"{t.name} {t.num_outputs}"
)


def make_data(task, count=60, width=5, dtype="float64"):
    """Features as a backbone gives them: not negative, of different scales."""
    rng = np.random.default_rng(1)
    features = np.maximum(rng.normal(0.5, [0.3, 1, 2, 3, 1], (count, width)), 0)
    scores = features @ rng.normal(size=(width, task.num_outputs))
    scores += rng.normal(size=scores.shape) - scores.mean(axis=0)
    labels = scores
    if task.name == "multi_label" or task.is_binary:
        labels = (scores > 0).astype("int64")
    elif task.name == "classification":
        labels = scores.argmax(axis=1)
    return features.astype(dtype), labels[:, 0] if task.is_binary else labels


def build_dense(task, l2=None, use_bias=True):
    regularizer = None if l2 is None else keras.regularizers.L2(l2)
    return keras.layers.Dense(
        task.num_outputs, kernel_regularizer=regularizer, use_bias=use_bias
    )


def keras_objective(dense, features, labels, task, weights=None):
    """What `fit` minimizes, and its gradient, by Keras' own loss and regularizer."""
    if task.is_binary or (task.name != "classification" and labels.ndim == 1):
        labels = labels[:, None]
    with tf.GradientTape() as tape:
        outputs = dense(tf.cast(features, "float32"))
        objective = build_loss(task)(labels, outputs, sample_weight=weights)
        objective += tf.add_n(dense.losses) if dense.losses else 0.0
    gradient = tape.gradient(objective, dense.trainable_variables)
    return float(objective), np.concatenate([np.ravel(part) for part in gradient])


@each_task
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_gradient_of_the_keras_objective_vanishes(task, use_bias, is_weighted):
    features, labels = make_data(task)
    weights = np.linspace(0.0, 3.0, len(features)) if is_weighted else None
    dense = build_dense(task, 0.02, use_bias)
    solution = solve_linear_head(dense, features, labels, task, sample_weight=weights)
    objective, gradient = keras_objective(dense, features, labels, task, weights)
    assert np.abs(gradient).max() < 3e-5
    assert solution.gradient < 2e-5
    np.testing.assert_allclose(solution.objective, objective, rtol=1e-5)
    penalty = 0.02 * np.sum(np.square(dense.kernel))
    np.testing.assert_allclose(solution.loss, objective - penalty, rtol=1e-5)


@each_task
def test_another_solver_finds_nothing_lower(task):
    features, labels = make_data(task)
    dense, other = build_dense(task, 0.01), build_dense(task, 0.01)
    solution = solve_linear_head(dense, features, labels, task)
    other.build((None, features.shape[1]))
    size = features.shape[1] * task.num_outputs

    def objective(flat):
        other.set_weights([flat[:size].reshape(-1, task.num_outputs), flat[size:]])
        value, gradient = keras_objective(other, features, labels, task)
        return value, gradient.astype("float64")

    start = np.zeros(size + task.num_outputs)
    found = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B")
    assert found.nit > 3
    np.testing.assert_allclose(found.fun, solution.objective, rtol=1e-4)
    reached = np.concatenate([np.ravel(dense.kernel), np.ravel(dense.bias)])
    nearby = reached + np.random.default_rng(0).normal(0, 0.1, (20, len(reached)))
    assert min(objective(flat)[0] for flat in nearby) > solution.objective


@pytest.mark.parametrize("num_outputs", [1, 2, 3])
def test_without_a_regularizer_it_is_scikit_learns_default(num_outputs):
    from sklearn.linear_model import LogisticRegression

    task = Task("classification", num_outputs)
    features, labels = make_data(task)
    dense = build_dense(task)
    solution = solve_linear_head(dense, features, labels, task)
    known = LogisticRegression(tol=1e-7, max_iter=5000).fit(features, labels)
    found = task.probabilities(dense(features)).numpy()
    np.testing.assert_allclose(found, known.predict_proba(features), atol=2e-4)
    assert solution.l2 == (1 / 60 if num_outputs == 2 else 1 / 120)
    # Said as a regularizer, the same penalty gives the same layer.
    told = build_dense(task, solution.l2)
    assert solve_linear_head(told, features, labels, task) == solution
    np.testing.assert_array_equal(told.kernel, dense.kernel)


def test_without_a_regularizer_each_label_has_scikit_learns_default():
    from sklearn.linear_model import LogisticRegression

    task = Task("multi_label", 3)
    features, labels = make_data(task)
    dense = build_dense(task)
    assert solve_linear_head(dense, features, labels, task).l2 == 1 / 360
    for column in range(3):
        known = LogisticRegression(tol=1e-7, max_iter=5000).fit(
            features, labels[:, column]
        )
        found = dense.kernel.numpy()[:, column]
        np.testing.assert_allclose(found, known.coef_[0], rtol=1e-2, atol=1e-3)


def test_without_a_regularizer_regression_has_scikit_learns_default():
    from sklearn.linear_model import Ridge

    task = Task("regression", 2)
    features, labels = make_data(task)
    dense = build_dense(task)
    assert solve_linear_head(dense, features, labels, task).l2 == 1 / 120
    known = Ridge(alpha=1.0).fit(features, labels)
    np.testing.assert_allclose(dense.kernel, known.coef_.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dense.bias, known.intercept_, rtol=1e-5, atol=1e-6)


def test_fit_does_not_get_lower():
    task = Task("classification", 3)
    features, labels = make_data(task, dtype="float32")
    model = keras.Sequential([keras.Input((5,)), build_dense(task, 0.01)])
    model.compile("adam", build_loss(task))
    solution = solve_linear_head(model.layers[0], features, labels, task)
    reached = model.evaluate(features, labels, verbose=0)
    np.testing.assert_allclose(reached, solution.objective, rtol=1e-5)
    history = model.fit(features, labels, epochs=5, batch_size=60, verbose=0)
    assert min(history.history["loss"]) > solution.objective - 1e-6


def test_ridge_by_hand():
    # Two rows, x = +-1, y = +-2: (w - 2)^2 + l2 w^2 is least at w = 2 / (1 + l2).
    dense = build_dense(Task("regression", 1), l2=1.0)
    features, labels = np.array([[1.0], [-1.0]]), np.array([2.0, -2.0])
    solution = solve_linear_head(dense, features, labels, Task("regression", 1))
    np.testing.assert_allclose(np.ravel(dense.kernel), [1.0], rtol=1e-6)
    np.testing.assert_allclose([solution.loss, solution.objective], [1.0, 2.0])
    assert solution.num_iterations == 0


def test_regression_without_a_penalty_takes_the_smallest_of_many_solutions():
    features = np.array([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
    dense = build_dense(Task("regression", 1), l2=0.0)
    solve_linear_head(dense, features, np.array([2.0, 4.0, 0.0]), Task("regression", 1))
    np.testing.assert_allclose(np.ravel(dense.kernel), [1.0, 1.0], rtol=1e-5)


@pytest.mark.parametrize("num_outputs", [1, 2, 4])
def test_classes_that_are_absent_get_next_to_no_probability(num_outputs):
    task = Task("classification", num_outputs)
    features, labels = make_data(Task("classification", 4))
    present = 1 if num_outputs < 4 else [0, 2]
    labels = np.full(60, 1) if num_outputs < 4 else np.array([0, 2])[labels % 2]
    dense = build_dense(task, 0.01)
    solution = solve_linear_head(dense, features, labels, task)
    found = task.probabilities(dense(features)).numpy()
    absent = np.delete(found, present, axis=1)
    assert absent.max() < 1e-2
    assert np.abs(keras_objective(dense, features, labels, task)[1]).max() < 1e-3
    assert solution.gradient < 1e-3


def test_a_label_that_is_always_or_never_there_is_learned():
    task = Task("multi_label", 2)
    features, _ = make_data(task)
    labels = np.tile([0, 1], (60, 1))
    dense = build_dense(task, 0.01)
    solve_linear_head(dense, features, labels, task)
    found = task.probabilities(dense(features)).numpy()
    assert found[:, 0].max() < 1e-2 and found[:, 1].min() > 0.99


def test_a_weight_of_two_is_an_example_that_comes_twice():
    task = Task("classification", 3)
    features, labels = make_data(task)
    twice, once = build_dense(task, 0.01), build_dense(task, 0.01)
    weights = np.where(np.arange(60) < 20, 2.0, 1.0)
    rows = np.r_[np.arange(60), np.arange(20)]
    # Keras divides by 60 rows here and by 80 there: so does the penalty's share.
    solve_linear_head(twice, features, labels, task, sample_weight=weights * 60 / 80)
    solve_linear_head(once, features[rows], labels[rows], task)
    np.testing.assert_allclose(twice.kernel, once.kernel, atol=2e-3)


def test_one_hot_labels_columns_and_small_dtypes_are_taken():
    task = Task("classification", 3)
    features, labels = make_data(task, dtype="float32")
    found = []
    for given in (labels, labels[:, None].astype("uint8"), np.eye(3)[labels]):
        dense = build_dense(task, 0.01)
        solve_linear_head(dense, features, given, task)
        found.append(dense.kernel.numpy())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    dense = build_dense(task, 0.01)
    solve_linear_head(dense, features.astype("float16"), labels, task)
    np.testing.assert_allclose(dense.kernel, found[0], atol=0.02)


def test_float32_features_reach_the_same_loss():
    task = Task("classification", 3)
    exact, labels = make_data(task)
    found = [
        solve_linear_head(build_dense(task, 1e-3), features, labels, task).objective
        for features in (exact, exact.astype("float32"))
    ]
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_a_layer_inside_a_model_is_solved_in_place():
    task = Task("classification", 3)
    features, labels = make_data(task, dtype="float32")
    model = keras.Sequential([keras.Input((5,)), build_dense(task)])
    solve_linear_head(model.layers[-1], features, labels, task)
    guesses = model.predict(features, verbose=0).argmax(axis=1)
    assert np.mean(guesses == labels) > 0.7  # by chance 0.33


def test_a_solver_that_stops_early_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr("tftransfer.training.linear_head.MAX_ITERATIONS", 2)
    task = Task("classification", 3)
    solution = solve_linear_head(build_dense(task), *make_data(task), task)
    assert solution.num_iterations == 2 and solution.gradient > 1e-3
    printed = capsys.readouterr().out
    assert printed.startswith(
        "The linear head was not solved to the end: after 2 steps"
    )
    assert printed.count("\n") == 1


def test_a_solved_head_prints_nothing(capsys):
    task = Task("classification", 3)
    solve_linear_head(build_dense(task), *make_data(task), task)
    assert capsys.readouterr().out == ""


def test_a_missing_scikit_learn_is_told_with_its_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    task = Task("classification", 3)
    with pytest.raises(ImportError, match=r'pip install "tftransfer\[demo\]"'):
        solve_linear_head(build_dense(task), *make_data(task), task)
    task = Task("regression", 1)
    solve_linear_head(build_dense(task), *make_data(task), task)


CLASSES = Task("classification", 3)


def test_another_layer_is_refused():
    with pytest.raises(TypeError, match="Received: dense of type ReLU"):
        solve_linear_head(keras.layers.ReLU(), *make_data(CLASSES), CLASSES)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"units": 2}, "Received: dense.units=2"),
        ({"activation": "softmax"}, "Received: dense.activation=softmax"),
        ({"kernel_regularizer": "l1"}, "Received: dense.kernel_regularizer=L1"),
        (
            {"kernel_regularizer": keras.regularizers.L1L2(0.1, 0.2)},
            "Received: dense.kernel_regularizer=L1L2 with {'l1': 0.1, 'l2': 0.2}",
        ),
        ({"bias_regularizer": "l2"}, "Received: dense.bias_regularizer=L2"),
        ({"activity_regularizer": "l2"}, "Received: dense.activity_regularizer=L2"),
        ({"kernel_constraint": "non_neg"}, "Received: dense.kernel_constraint=NonNeg"),
        ({"bias_constraint": "non_neg"}, "Received: dense.bias_constraint=NonNeg"),
    ],
)
def test_layers_that_are_not_plainly_linear_are_refused(arguments, received):
    dense = keras.layers.Dense(**{"units": 3, **arguments})
    with pytest.raises(ValueError, match=received):
        solve_linear_head(dense, *make_data(CLASSES), CLASSES)


def test_low_rank_adapters_are_refused():
    dense = build_dense(CLASSES)
    dense.build((None, 5))
    dense.enable_lora(2)
    with pytest.raises(ValueError, match="Received: dense with lora_enabled=True"):
        solve_linear_head(dense, *make_data(CLASSES), CLASSES)


def test_an_l1_l2_regularizer_without_l1_is_taken():
    dense = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L1L2(l2=0.5))
    assert solve_linear_head(dense, *make_data(CLASSES), CLASSES).l2 == 0.5


@pytest.mark.parametrize(
    ("features", "received"),
    [
        (np.zeros((60, 4)), r"Received: features.shape=\(60, 4\)"),
        (np.zeros((60, 5, 1)), r"Received: features.shape=\(60, 5, 1\)"),
        (np.float32(1), r"Received: features.shape=\(\)"),
        (np.zeros((0, 5)), r"Received: features.shape=\(0, 5\)"),
        (np.full((60, 5), np.nan), "Received: features with NaN"),
    ],
)
def test_unfit_features_are_refused(features, received):
    dense = build_dense(CLASSES)
    dense.build((None, 5))
    with pytest.raises(ValueError, match=received):
        solve_linear_head(dense, features, np.zeros(60), CLASSES)


@pytest.mark.parametrize(
    ("task", "labels", "received"),
    [
        (CLASSES, np.zeros(59), r"Received: labels.shape=\(59,\)"),
        (CLASSES, np.full(60, 3), "Received: labels from 3 to 3"),
        (CLASSES, np.full(60, -1), "Received: labels from -1 to -1"),
        (CLASSES, np.full(60, 0.5), "Received: labels from 0.5 to 0.5"),
        (CLASSES, np.ones((60, 3)), r"Received: labels.shape=\(60, 3\)"),
        (CLASSES, np.array(["a"] * 60), r"Received: labels.shape=\(60,\)"),
        (Task("multi_label", 2), np.zeros(60), r"Received: labels.shape=\(60,\)"),
        (Task("multi_label", 2), np.full((60, 2), 2), "Received: labels from 2.0 to 2"),
        (Task("regression", 1), np.full(60, np.inf), "Received: labels with NaN"),
    ],
)
def test_unfit_labels_are_refused(task, labels, received):
    with pytest.raises(ValueError, match=received):
        solve_linear_head(build_dense(task), make_data(CLASSES)[0], labels, task)


@pytest.mark.parametrize(
    ("weights", "received"),
    [
        (np.ones(59), r"Received: sample_weight.shape=\(59,\)"),
        (np.full(60, -1.0), "Received: sample_weight from -1.0 to -1.0"),
        (np.zeros(60), "Received: sample_weight from 0.0 to 0.0"),
    ],
)
def test_unfit_weights_are_refused(weights, received):
    with pytest.raises(ValueError, match=received):
        solve_linear_head(
            build_dense(CLASSES), *make_data(CLASSES), CLASSES, sample_weight=weights
        )
