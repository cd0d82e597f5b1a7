import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.calibration.domain_shift import fit_domain_shift
from tftransfer.calibration.mahalanobis import fit_mahalanobis

SOFTMAX = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def model_of(width=3, num_outputs=2, activation=None, loss=SOFTMAX):
    inputs = keras.Input((width,))
    features = keras.layers.Activation("linear", name="features")(inputs)
    outputs = keras.layers.Dense(num_outputs, activation=activation)(features)
    model = keras.Model(inputs, outputs)
    model.compile(loss=loss)
    return model


@pytest.fixture
def rows(rng):
    labels = rng.integers(0, 2, 300)
    features = rng.normal(size=(300, 3)) + 6 * labels[:, None]
    return features.astype("float32"), labels


def test_scores_are_distances_of_the_features(rows):
    shift = fit_domain_shift(model_of(), rows)
    np.testing.assert_allclose(
        shift.score(rows[0]), fit_mahalanobis(*rows)(rows[0]), rtol=1e-5
    )


def test_scores_in_a_graph_are_those_of_the_data(rows):
    for method in ("mahalanobis", "energy"):
        shift = fit_domain_shift(model_of(), rows, method=method)
        np.testing.assert_allclose(
            tf.function(shift)(rows[0]), shift.score(rows[0]), rtol=1e-5
        )


def test_energy_is_that_of_the_logits(rows):
    model = model_of()
    shift = fit_domain_shift(model, method="energy")
    expected = -np.log(np.exp(model.predict(rows[0], verbose=0)).sum(axis=1))
    np.testing.assert_allclose(shift.score(rows[0]), expected, rtol=1e-4, atol=1e-5)


def test_one_hot_labels_are_class_numbers(rows):
    features, labels = rows
    first = fit_domain_shift(model_of(), (features, labels))
    second = fit_domain_shift(model_of(), (features, np.eye(2)[labels]))
    np.testing.assert_array_equal(first.score(features), second.score(features))


def test_values_have_one_mean_for_all(rows):
    features, _ = rows
    model = model_of(num_outputs=1, loss="mean_squared_error")
    shift = fit_domain_shift(model, (features, features[:, 0]))
    np.testing.assert_allclose(
        shift.score(features), fit_mahalanobis(features)(features), rtol=1e-5
    )


def test_strange_rows_are_told(rows, rng):
    shift = fit_domain_shift(model_of(), rows)
    known = rng.normal(size=(1000, 3)).astype("float32")
    between = (rng.normal(size=(200, 3)) + [20, 0, 0]).astype("float32")
    found = shift.measure(known, between)
    assert found.roc_auc > 0.99
    assert found.found == 1.0
    assert (found.num_inside, found.num_outside) == (1000, 200)
    assert (shift.score(known) <= found.threshold).mean() == 0.95
    assert found.to_dict()["roc_auc"] == found.roc_auc


def test_without_strange_rows_there_is_a_threshold_alone(rows):
    found = fit_domain_shift(model_of(), rows).measure(rows[0])
    assert found.threshold > 0
    assert found.roc_auc is None


def test_rows_of_the_same_kind_are_not_strange(rng):
    data = rng.normal(size=(3, 2000, 3)).astype("float32")
    shift = fit_domain_shift(model_of(), (data[0], np.zeros(2000, int)))
    found = shift.measure(data[1], data[2])
    assert found.roc_auc == pytest.approx(0.5, abs=0.03)
    assert found.found == pytest.approx(0.05, abs=0.02)


def test_a_nested_backbone_is_entered(rows):
    inputs = keras.Input((3,))
    inner = keras.Input((3,))
    backbone = keras.Model(inner, keras.layers.Dense(4)(inner))
    x = keras.layers.Dropout(0.5)(backbone(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    shift = fit_domain_shift(model, rows, task="classification")
    expected = fit_mahalanobis(backbone.predict(rows[0], verbose=0), rows[1])
    np.testing.assert_allclose(
        shift.score(rows[0]),
        expected(backbone.predict(rows[0], verbose=0)),
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        (model_of(), None, {}, "Received: data=None"),
        (model_of(), np.ones((4, 3), "float32"), {}, "Received: data without labels"),
        (model_of(), None, {"method": "odin"}, "Received: method='odin'"),
        (
            model_of(
                activation="softmax", loss=keras.losses.SparseCategoricalCrossentropy()
            ),
            None,
            {"method": "energy"},
            "from_logits=False",
        ),
        (
            model_of(
                num_outputs=1, loss=keras.losses.BinaryCrossentropy(from_logits=True)
            ),
            None,
            {"method": "energy"},
            "1 outputs",
        ),
    ],
    ids=["no data", "no labels", "no method", "probabilities", "one logit"],
)
def test_what_cannot_be_scored_is_refused(model, data, options, message):
    with pytest.raises(ValueError, match=message):
        fit_domain_shift(model, data, **options)
