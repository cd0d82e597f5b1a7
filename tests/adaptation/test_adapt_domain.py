import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.adaptation import end_to_end
from tftransfer.adaptation.linear_student import fit_linear_student


def build_body():
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Activation("linear", name="features")]
    )


@pytest.fixture
def domains(rng):
    labels = np.arange(240) % 3
    centers = 4.0 * np.eye(4)[:3]
    source, target = (
        (centers[labels] + rng.normal(size=(240, 4))).astype("float32")
        for _ in range(2)
    )
    return source, target, labels


def test_the_model_does_what_was_decided(domains):
    source, target, labels = domains
    moved = target + [3.0, 0.0, 0.0, 0.0]
    found = tft.adapt_domain(build_body(), (source, labels), moved, verbose=0)
    assert found.verdict != "kept source-only" and found.reasons
    called = found.model.predict(moved.astype("float32"), verbose=0).argmax(axis=1)
    assert np.mean(called == found.features.labels) == found.agreement > 0.95
    accuracies = found.evaluate(labels)
    assert accuracies["chosen"] > accuracies["control"]
    assert set(found.estimated_accuracy) == {"control", "chosen"}


def test_where_nothing_moved_the_model_is_the_control(domains):
    source, target, labels = domains
    data = tf.data.Dataset.from_tensor_slices((source, labels)).batch(32)
    found = tft.adapt_domain(build_body(), data, target, verbose=0)
    assert found.verdict == "kept source-only" and found.agreement == 1.0
    logits = found.model.predict(target, verbose=0)
    expected = found.features.control.predict_proba(target)
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, atol=1e-5)


def test_labels_of_the_target_change_nothing(domains, capsys):
    source, target, labels = domains
    plain = tft.adapt_domain(build_body(), (source, labels), target + 1, verbose=0)
    for given in (labels, labels[::-1].copy()):
        other = tft.adapt_domain(
            build_body(), (source, labels), (target + 1, given), verbose=0
        )
        assert "labels of the target are dropped" in capsys.readouterr().out
        np.testing.assert_array_equal(
            plain.model.get_weights()[-2], other.model.get_weights()[-2]
        )


def test_a_class_that_the_source_lacks_is_never_called(domains):
    source, target, labels = domains
    labels = np.array([0, 2, 5])[labels]
    found = tft.adapt_domain(build_body(), (source, labels), target, verbose=0)
    assert found.model.output_shape == (None, 6)
    called = found.model.predict(target, verbose=0).argmax(axis=1)
    assert set(called) == {0, 2, 5}


def name_classes(x, y, names):
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    data.class_names = names
    return data


def test_classes_go_by_the_names_that_the_source_gives(domains):
    source, target, labels = domains
    moved = target + np.float32([3.0, 0.0, 0.0, 0.0])
    names = ["cat", "dog", "owl"]
    data = name_classes(source, labels, names)
    # The target's own order and number of classes is another.
    place, kept = np.array([1, 0]), labels < 2
    other = name_classes(moved[kept], place[labels[kept]], ["dog", "cat"])
    found = tft.adapt_domain(build_body(), data, other, verbose=0)
    assert found.class_names == names == found.features.classes.tolist()
    assert set(found.features.labels) <= set(names)
    assert "the target has nothing called ['owl']" in found.notes
    right = np.mean(found.features.labels == np.array(names)[labels[kept]])
    for truth in (other, labels[kept], np.array(names)[labels[kept]]):
        assert found.evaluate(truth)["chosen"] == right > 0.8
    rows = found.ask(12, None).rows
    by_number = {int(row): int(labels[kept][row]) for row in rows}
    by_name = {row: names[label] for row, label in by_number.items()}
    decided = found.decide(by_number)
    assert decided.features.asked == by_name == found.decide(by_name).features.asked
    assert decided.model.output_shape == (None, 3)


def test_refusals_of_names_and_labels(domains):
    source, target, labels = domains
    data = name_classes(source, labels, ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"only in target=\['d'\]\. Rename or merge"):
        other = name_classes(target, labels, ["a", "b", "d"])
        tft.adapt_domain(build_body(), data, other, verbose=0)
    found = tft.adapt_domain(build_body(), data, target, verbose=0)
    with pytest.raises(ValueError, match="from 0 to 2. Received: labels from 1 to 3"):
        found.evaluate(labels + 1)
    with pytest.raises(ValueError, match="Without labels there is nothing to compare"):
        found.evaluate(tf.data.Dataset.from_tensor_slices(target).batch(8))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda x, y: x, "Received: inputs alone"),
        (lambda x, y: (x, np.eye(3)[y]), r"Received: labels of shape \(240, 3\)"),
        (lambda x, y: (x, y + 0.5), "and dtype float32. Of one-hot rows take"),
    ],
)
def test_refusals(domains, source, message):
    with pytest.raises(ValueError, match=message):
        tft.adapt_domain(
            build_body(), source(domains[0], domains[2]), domains[1], verbose=0
        )


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(end_to_end, "STEPS", 24)
    monkeypatch.setattr(end_to_end, "LEAST_STEPS", 8)


@pytest.mark.slow
def test_a_budget_adds_networks_that_labels_can_choose(domains, few_steps, tmp_path):
    source, target, labels = domains
    moved = (target + [3.0, 0.0, 0.0, 0.0]).astype("float32")
    body = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="tanh", name="block1"),
            keras.layers.Activation("linear", name="features"),
        ]
    )
    found = tft.adapt_domain(body, (source, labels), moved, time_budget=1000, verbose=0)
    assert list(found.networks) == ["E.mcc", "E.cdan"]
    assert {"E.mcc", "E.cdan"} <= {row["name"] for row in found.table}
    assert any(note.startswith("E.mcc, end to end") for note in found.notes)
    question = found.ask(3, tmp_path / "to_label.csv")
    assert question.page.is_file() and len(question.rows) == 3
    # Labels that only the network can be right about.
    calls = {name: x.argmax(axis=1) for name, x in found.features.candidates.items()}
    others = [x for name, x in calls.items() if not name.startswith("E.")]
    rows = np.flatnonzero(np.all(calls["E.mcc"] != others, axis=0))[:40]
    if len(rows) >= 15:
        decided = found.decide({int(row): int(calls["E.mcc"][row]) for row in rows})
        assert decided.choice in found.networks and decided.verdict == "adapted"
        assert decided.model is found.networks[decided.choice]
        assert decided.agreement == 1.0


def test_labels_that_speak_for_a_candidate_make_its_model(domains):
    source, target, labels = domains
    moved = (target + [3.0, 0.0, 0.0, 0.0]).astype("float32")
    found = tft.adapt_domain(build_body(), (source, labels), moved, verbose=0)
    assert found.networks == {}
    rows = found.ask(30, None).rows
    decided = found.decide({int(row): int(labels[row]) for row in rows})
    called = decided.model.predict(moved, verbose=0).argmax(axis=1)
    chosen = decided.features.candidates[decided.choice].argmax(axis=1)
    assert np.mean(called == chosen) == decided.agreement > 0.9
    assert found.model.get_weights()[-2].shape == decided.model.get_weights()[-2].shape


def test_without_time_no_network_is_trained(domains, capsys):
    source, target, labels = domains
    found = tft.adapt_domain(
        build_body(), (source, labels), target, time_budget=1e-9, verbose=0
    )
    assert found.networks == {}
    assert any("not tried for lack of time" in note for note in found.notes)


def test_images_that_cannot_be_paired_are_told(rng):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D(name="features")(inputs)
    source, target = (rng.normal(size=(60, k, k, 3)).astype("float32") for k in (4, 6))
    found = tft.adapt_domain(
        keras.Model(inputs, x),
        (source, np.arange(60) % 2),
        target,
        time_budget=1000,
        verbose=0,
    )
    assert found.networks == {}
    (note,) = (note for note in found.notes if "no end-to-end candidates" in note)
    assert "`source` and `target` must hold inputs of one shape" in note


@pytest.mark.parametrize(
    ("budget", "error", "message"),
    [
        (0, ValueError, "above 0. Received: time_budget=0"),
        (-1.0, ValueError, "Received: time_budget=-1.0. It is in seconds"),
        ("1h", TypeError, "Received: time_budget='1h'"),
    ],
)
def test_budgets_are_seconds_above_zero(domains, budget, error, message):
    source, target, labels = domains
    with pytest.raises(error, match=message):
        tft.adapt_domain(
            build_body(), (source, labels), target, time_budget=budget, verbose=0
        )


def test_methods_that_are_none_are_refused_with_a_budget_too(domains):
    source, target, labels = domains
    for methods, message in (("all", "'all'"), (3, "methods=3")):
        with pytest.raises((TypeError, ValueError), match=message):
            tft.adapt_domain(
                build_body(),
                (source, labels),
                target,
                methods=methods,
                time_budget=100,
                verbose=0,
            )


def test_a_student_of_something_linear_is_exact(rng):
    kernel, bias = rng.normal(size=(5, 3)), rng.normal(size=3)
    rows = 1e3 + 0.1 * rng.normal(size=(40, 5))

    def model(x):
        logits = (x - 1e3) @ kernel + bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    found, _, agreement = fit_linear_student(model, rows, model(rows))
    differences = kernel - kernel.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, differences, atol=1e-6)
    assert agreement == 1.0
