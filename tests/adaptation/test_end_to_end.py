import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.adaptation import end_to_end
from tftransfer.adaptation.domain_batches import DomainBatches
from tftransfer.adaptation.domain_models import class_probabilities
from tftransfer.adaptation.end_to_end import EndToEnd
from tftransfer.methods.control import fit_control
from tftransfer.methods.problem import Problem
from tftransfer.methods.softmax_regression import softmax
from tftransfer.pacing import Clock


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(end_to_end, "STEPS", 24)
    monkeypatch.setattr(end_to_end, "LEAST_STEPS", 8)


@pytest.fixture
def domains(rng):
    labels = np.arange(180) % 3
    source, target = (
        (4.0 * np.eye(4)[labels] + rng.normal(size=(180, 4))).astype("float32")
        for _ in range(2)
    )
    return source, labels, target + np.float32([2, 0, 0, 0])


def build_body(normalizes=True):
    keras.utils.set_random_seed(0)
    norm = [keras.layers.BatchNormalization(name="block1_bn")] if normalizes else []
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, activation="relu", name="block1_dense"),
        *norm,
        keras.layers.Dense(6, activation="tanh", name="block2_dense"),
        keras.layers.Activation("linear", name="features"),
    ]
    return tft.load_backbone(keras.Sequential(layers))


def start(domains, backbone, seconds=1000.0, target=None, **options):
    source, labels, rows = domains
    clock = Clock(seconds)
    features = [backbone.model.predict(x, verbose=0) for x in (source, rows)]
    given = tft.UnlabeledDomain(rows if target is None else target)
    batches = DomainBatches((source, labels), given, (180, 180))
    trials = EndToEnd(backbone, batches, features, labels, clock, **options)
    places = np.unique(labels, return_inverse=True)[1]
    problem = Problem(features[0], places, features[1], 3)
    return trials, problem, fit_control(problem)


def run(trials, problem, control):
    return [method(problem, control) for method in trials.methods]


@pytest.mark.slow
def test_with_time_enough_each_is_trained_and_kept(domains):
    backbone = build_body()
    before = [weight.copy() for weight in backbone.model.get_weights()]
    trials, problem, control = start(domains, backbone)
    found = run(trials, problem, control)
    assert [candidate.name for candidate in found] == ["E.adabn", "E.mcc", "E.cdan"]
    assert list(trials.models) == list(trials.source_accuracy)
    assert [note.split(":")[0] for note in trials.notes] == [
        f"{name}, end to end" for name in trials.models
    ]
    assert "24 steps" in trials.notes[1]
    for candidate in found:
        model = trials.models[candidate.name]
        logits = model.predict(domains[2], verbose=0)
        np.testing.assert_allclose(
            candidate.probabilities, class_probabilities(logits, range(3)), atol=1e-5
        )
        assert model.compiled and trials.source_accuracy[candidate.name] > 0.8
        again = candidate.predict(problem.target).argmax(axis=1)
        assert np.mean(again == candidate.probabilities.argmax(axis=1)) > 0.8
    for one, other in zip(before, backbone.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_adabn_is_the_control_refitted_with_statistics_of_each_domain(domains):
    source, labels, rows = domains
    backbone = build_body()
    trials, problem, control = start(domains, backbone)
    candidate = trials.methods[0](problem, control)
    first, norm, second = backbone.model.layers[1:4]
    parts = []
    for x in (source, rows):
        x = np.asarray(first(x), "float64")
        x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + norm.epsilon)
        parts.append(np.asarray(second(x), "float64"))
    expected = fit_control(Problem(parts[0], labels, parts[1], 3))
    called = candidate.probabilities.argmax(axis=1)
    if expected.penalty == control.penalty:
        assert np.mean(called == expected.labels) > 0.98
    mean = trials.models["E.adabn"].get_layer("block1_bn").moving_mean
    np.testing.assert_allclose(mean, np.asarray(first(rows)).mean(axis=0), rtol=1e-4)


def test_without_batch_normalization_there_is_no_adabn(domains):
    trials, problem, control = start(domains, build_body(normalizes=False))
    assert trials.methods[0](problem, control) is None
    assert trials.notes == []


def test_training_starts_from_the_control(domains, monkeypatch):
    monkeypatch.setattr(EndToEnd, "_fit", lambda self, model, plan, pace: None)
    trials, problem, control = start(domains, build_body())
    candidate = trials.methods[1](problem, control)
    np.testing.assert_allclose(
        candidate.probabilities, control.probabilities, atol=1e-5
    )


@pytest.mark.slow
def test_the_same_seed_gives_the_same(domains):
    found = [
        trials.methods[1](problem, control).probabilities
        for trials, problem, control in (start(domains, build_body()) for _ in "ab")
    ]
    np.testing.assert_array_equal(*found)


def test_what_time_is_too_short_for_is_told(domains):
    trials, problem, control = start(domains, build_body(), seconds=1e-9)
    assert run(trials, problem, control) == [None] * 3
    assert trials.models == {}
    (note,) = trials.notes
    assert note.startswith("end-to-end candidates not tried for lack of time: 0 s left")


def test_a_candidate_too_slow_is_given_up_and_told(domains, monkeypatch):
    monkeypatch.setattr(end_to_end, "LEAST_STEPS", 10**9)
    monkeypatch.setattr(end_to_end, "STEPS", 10**9)
    trials, problem, control = start(domains, build_body())
    assert trials.methods[1](problem, control) is None
    (note,) = trials.notes
    assert note.startswith("E.mcc not tried for lack of time:") and "needed" in note


def test_a_target_without_a_fixed_order_is_not_trained_on(domains):
    shuffled = tf.data.Dataset.from_tensor_slices(domains[2]).shuffle(180).batch(32)
    trials, problem, control = start(domains, build_body(), target=shuffled)
    assert run(trials, problem, control) == [None] * 3
    (note,) = trials.notes
    assert "gave other rows, or in another order; pass it unshuffled" in note


def test_what_diverged_is_left_out(domains, monkeypatch):
    def spoil(self, model, plan, pace):
        model.layers[-1].set_weights(
            [np.full(x.shape, np.nan) for x in model.layers[-1].get_weights()]
        )

    monkeypatch.setattr(EndToEnd, "_fit", spoil)
    trials, problem, control = start(domains, build_body())
    assert trials.methods[1](problem, control) is None
    assert trials.notes == ["E.mcc diverged: left out"] and not trials.models


@pytest.mark.slow
def test_classes_that_the_source_lacks_are_never_called(domains):
    source, labels, rows = domains
    labels = np.array([0, 2, 5])[labels]
    trials, problem, control = start((source, labels, rows), build_body())
    candidate = trials.methods[1](problem, control)
    assert candidate.probabilities.shape == (180, 3)
    model = trials.models["E.mcc"]
    assert model.output_shape == (None, 6)
    logits = model.predict(rows, verbose=0)
    assert set(logits.argmax(axis=1)) <= {0, 2, 5}
    assert np.allclose(
        softmax(logits)[:, [0, 2, 5]], candidate.probabilities, atol=1e-5
    )
