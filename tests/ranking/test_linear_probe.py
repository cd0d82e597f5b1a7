import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score

from tftransfer.ranking import linear_probe
from tftransfer.selection.folds import assign_folds


def standardize(train, rest):
    return (train - train.mean(axis=0)) / train.std(axis=0), (
        rest - train.mean(axis=0)
    ) / train.std(axis=0)


def predict_left_out(features, labels, fold_of, make):
    outputs = np.empty(np.shape(labels))
    for fold in set(fold_of):
        out = fold_of == fold
        train, rest = standardize(features[~out], features[out])
        outputs[out] = make(len(train)).fit(train, labels[~out]).predict(rest)
    return outputs


@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_classes_are_called_as_scikit_learn_calls_them(classes, penalty):
    features, labels = classes
    fold_of = assign_folds(labels, 4, seed=3)
    calls = predict_left_out(
        *(features, labels, fold_of),
        lambda count: LogisticRegression(C=1 / (penalty * count), tol=1e-6),
    )
    found = linear_probe(features, labels, folds=4, penalty=penalty, seed=3)
    # One row in 300 may lie so near the border that a spread 0.1 % larger tells.
    assert found == pytest.approx((calls == labels).mean(), abs=1.01 / 300)


def test_values_are_predicted_as_scikit_learn_predicts_them(values):
    features, labels = values
    fold_of = assign_folds(labels, 5, task="regression", seed=0)
    predicted = predict_left_out(
        *(features, labels, fold_of), lambda count: Ridge(alpha=0.1 * count)
    )
    found = linear_probe(features, labels, task="regression", penalty=0.1)
    assert found == pytest.approx(r2_score(labels, predicted), abs=2e-3)


def test_more_features_than_rows_are_taken(values, rng):
    features, labels = values
    wide = np.concatenate([features, 0.1 * rng.normal(size=(200, 300))], axis=1)
    fold_of = assign_folds(labels, 5, task="regression", seed=0)
    predicted = predict_left_out(
        *(wide, labels, fold_of), lambda count: Ridge(alpha=1.0 * count)
    )
    found = linear_probe(wide, labels, task="regression", penalty=1.0)
    assert found == pytest.approx(r2_score(labels, predicted), abs=2e-3)


def test_the_penalty_is_lowered_while_the_rows_left_out_gain(classes, values):
    for data, task in ((classes, "classification"), (values, "regression")):
        by_penalty = [
            linear_probe(*data, task=task, penalty=penalty)
            for penalty in (1.0, 0.1, 0.01, 0.001)
        ]
        chosen = linear_probe(*data, task=task)
        assert min(abs(chosen - one) for one in by_penalty) < 0.005
        assert chosen > min(by_penalty)


def test_noise_is_right_as_often_as_chance(rng):
    noise, labels = rng.normal(size=(400, 50)), np.arange(400) % 4
    assert linear_probe(noise, labels) == pytest.approx(0.25, abs=0.07)


def test_a_class_of_one_row_is_taken(classes):
    features, labels = classes
    labels = np.where(np.arange(300) == 7, 9, labels)
    assert linear_probe(features, labels) > 0.7


def test_folds_are_the_same_for_the_same_seed(classes):
    assert linear_probe(*classes, seed=5) == linear_probe(*classes, seed=5)


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"folds": 1}, ValueError, "Received: folds=1"),
        ({"folds": 301}, ValueError, "Received: folds=301 for 300 rows"),
        ({"folds": 2.0}, TypeError, "Received: folds=2.0 of type float"),
        ({"penalty": 0.0}, ValueError, "Received: penalty=0.0"),
        ({"penalty": "l2"}, TypeError, "Received: penalty='l2' of type str"),
    ],
)
def test_bad_numbers_are_refused(classes, given, kind, text):
    with pytest.raises(kind, match=text):
        linear_probe(*classes, **given)
