import numpy as np
import pytest
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from tftransfer.ranking import knn


@pytest.mark.parametrize("neighbors", [1, 4, 5])
def test_the_vote_is_that_of_scikit_learn(classes, neighbors):
    model = KNeighborsClassifier(neighbors, metric="cosine")
    calls = cross_val_predict(model, *classes, cv=LeaveOneOut())
    wanted = (calls == classes[1]).mean()
    assert knn(*classes, neighbors=neighbors) == pytest.approx(wanted)


def test_the_mean_of_values_is_that_of_scikit_learn(values):
    model = KNeighborsRegressor(5, metric="cosine")
    predicted = cross_val_predict(model, *values, cv=LeaveOneOut())
    labels = values[1]
    wrong = np.square(labels - predicted).sum(axis=0)
    wanted = np.mean(1 - wrong / np.square(labels - labels.mean(axis=0)).sum(axis=0))
    assert knn(*values, task="regression") == pytest.approx(wanted)


def test_lengths_of_rows_do_not_matter(classes, rng):
    features, labels = classes
    longer = features * rng.uniform(1, 9, size=(300, 1))
    assert knn(longer, labels) == pytest.approx(knn(*classes))


def test_no_row_votes_for_itself():
    features = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    assert knn(features, np.array([0, 1, 0, 1]), neighbors=1) == 0.0


def test_neighbors_are_at_most_the_other_rows(classes):
    features, labels = classes
    with pytest.raises(ValueError, match="Received: neighbors=300 for 300 rows"):
        knn(features, labels, neighbors=300)
    with pytest.raises(TypeError, match="Received: neighbors=5.0 of type float"):
        knn(features, labels, neighbors=5.0)
