import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from tftransfer.methods.control import PENALTIES, deal_folds, fit_control
from tftransfer.methods.problem import Problem


@pytest.fixture(scope="module")
def hard():
    generator = np.random.default_rng(3)
    labels = np.arange(240) % 3
    rows = generator.normal(size=(240, 30)) + np.eye(30)[labels] * 1.5
    return (
        rows,
        labels,
        generator.normal(size=(900, 30)) + np.eye(30)[np.arange(900) % 3] * 1.5,
    )


def test_folds_are_equal_and_each_class_is_dealt_evenly(rng):
    labels = np.repeat([0, 1, 2], [50, 20, 5])
    folds = deal_folds(labels, 3, rng)
    counts = [np.bincount(labels[folds == fold], minlength=3) for fold in range(3)]
    assert np.ptp(counts, axis=0).max() <= 1


def test_the_penalty_is_the_largest_near_the_least_held_out_loss(hard):
    rows, labels, target = hard
    problem = Problem(rows, labels, target, 3)
    control = fit_control(problem)
    folds = deal_folds(labels, 3, np.random.default_rng(0))
    losses, held_out = [], []
    for penalty in PENALTIES:
        probabilities = np.empty((240, 3))
        for fold in range(3):
            train = folds != fold
            model = LogisticRegression(C=1 / penalty / train.sum(), max_iter=1000)
            model.fit(problem.scaled_source[train], labels[train])
            probabilities[~train] = model.predict_proba(problem.scaled_source[~train])
        held_out.append(probabilities)
        losses.append(log_loss(labels, probabilities))
    near = min(losses) + 0.02 * (np.log(3) - min(losses))
    place = np.argmax(losses <= near)
    assert control.penalty == PENALTIES[place]
    np.testing.assert_allclose(control.held_out, held_out[place], atol=0.01)


def test_it_is_no_weaker_than_scikit_learn_with_its_own_cross_validation(hard):
    rows, labels, target = hard
    control = fit_control(Problem(rows, labels, target, 3))
    scaler = StandardScaler().fit(rows)
    other = LogisticRegressionCV(
        max_iter=1000, use_legacy_attributes=False, scoring="accuracy", l1_ratios=(0,)
    ).fit(scaler.transform(rows), labels)
    truth = np.arange(900) % 3
    ours = np.mean(control.labels == truth)
    assert ours >= other.score(scaler.transform(target), truth) - 0.003


def test_smaller_penalties_are_tried_where_the_smallest_is_best(rng):
    # A direction with little spread decides, beside one with much that says nothing.
    labels = np.arange(300) % 2
    first = rng.normal(size=300)
    rows = np.stack([first, first + 0.1 * (2 * labels - 1)], axis=1)
    assert fit_control(Problem(rows, labels, rows, 2)).penalty < min(PENALTIES)


def test_target_rows_and_further_rows_are_predicted_alike(moved):
    problem, control, _ = moved
    np.testing.assert_allclose(control.predict(problem.target), control.probabilities)
    logits = control.logits(problem.target_by_source)
    assert (logits.argmax(axis=1) == control.labels).all()


def test_held_out_rows_are_less_sure_than_learned_ones(moved):
    problem, control, _ = moved
    learned = control.predict(problem.source)[np.arange(240), problem.labels]
    held_out = control.held_out[np.arange(240), problem.labels]
    assert np.log(held_out).mean() < np.log(learned).mean()
