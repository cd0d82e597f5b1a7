import numpy as np
import pytest
from scipy import sparse

from tests.domains import accuracy, draw_domain
from tftransfer.adaptation.adapt_features import adapt_features
from tftransfer.adaptation.sources import fit_sources, read_source
from tftransfer.methods.control import fit_control
from tftransfer.methods.problem import Problem

NAMES = np.array(["ant", "bee", "cow"])


@pytest.fixture(scope="module")
def sources():
    """Two sources, the second one moved as far as the target, and the target."""
    near, near_labels = draw_domain(150, 1, shift=6.0)
    far, far_labels = draw_domain(210, 0)
    target, truth = draw_domain(300, 2, shift=6.0)
    return [far, near], [far_labels, near_labels], target, truth


@pytest.fixture(scope="module")
def result(sources):
    features, labels, target, _ = sources
    return adapt_features(features, [NAMES[each] for each in labels], target, verbose=0)


def test_rows_are_pooled_in_their_order(sources):
    features, labels, *_ = sources
    source = read_source(features, labels)
    np.testing.assert_array_equal(source.features, np.concatenate(features))
    np.testing.assert_array_equal(source.labels, np.concatenate(labels))
    assert np.bincount(source.origins).tolist() == [210, 150] and source.count == 2


def test_one_source_may_be_given_as_nested_lists():
    source = read_source([[0.0, 1.0], [2.0, 3.0]], ["a", "b"])
    assert source.features.shape == (2, 2) and source.count == 1
    assert read_source([np.eye(2)], [["a", "b"]]).features.shape == (2, 2)


def test_classes_of_all_sources_are_joined():
    source = read_source((np.eye(2), np.eye(2)), (["a", "b"], ["c", "b"]))
    assert source.classes.tolist() == ["a", "b", "c"]
    assert source.labels.tolist() == [0, 1, 2, 1]


def test_sparse_sources_stay_sparse_and_mixed_ones_become_dense():
    rows = sparse.csr_array(np.eye(2))
    labels = [[0, 1], [1, 0]]
    assert read_source([rows, rows], labels).features.format == "csr"
    np.testing.assert_array_equal(
        read_source([rows, 2 * np.eye(2)], labels).features,
        np.concatenate([np.eye(2), 2 * np.eye(2)]),
    )


def test_each_source_alone_is_the_control_of_its_rows(sources):
    features, labels, target, truth = sources
    pooled, numbers = np.concatenate(features), np.concatenate(labels)
    problem = Problem(pooled, numbers, target, 3)
    candidates, notes = fit_sources(
        problem, fit_control(problem), np.repeat([0, 1], [210, 150])
    )
    assert [each.name for each in candidates] == ["source 1", "source 2", "D.sources"]
    alone = fit_control(Problem(features[1], labels[1], target, 3))
    np.testing.assert_array_equal(candidates[1].probabilities, alone.probabilities)
    assert accuracy(candidates[1], truth) > accuracy(candidates[0], truth) + 0.2
    for each in candidates:
        np.testing.assert_allclose(each.predict(target), each.probabilities)
    assert "by telling" not in notes[0] and notes[0].endswith("nearest is source 2")
    assert (
        "source 1 210 rows, 0.99" in notes[0] or "source 1 210 rows, 1.00" in notes[0]
    )


def test_each_domain_in_its_own_units_undoes_a_shift_of_each(rng):
    labels = np.arange(200) % 2
    rows = 4.0 * labels[:, None] + rng.normal(size=(200, 3))
    source = np.concatenate([rows[:100], 10 * rows[100:] + 50])
    target = 3 * rows[::-1] - 20
    problem = Problem(source, labels, target, 2)
    candidates, _ = fit_sources(
        problem, fit_control(problem), np.repeat([0, 1], [100, 100])
    )
    assert candidates[-1].name == "D.sources"
    assert accuracy(candidates[-1], labels[::-1]) > 0.97


def test_a_source_of_one_class_is_no_candidate_of_its_own(sources):
    features, labels, target, _ = sources
    pooled = np.concatenate([features[0], features[1][labels[1] == 0]])
    numbers = np.concatenate([labels[0], np.zeros(50, int)])
    problem = Problem(pooled, numbers, target, 3)
    origins = np.repeat([0, 1], [210, 50])
    candidates, _ = fit_sources(problem, fit_control(problem), origins)
    assert [each.name for each in candidates] == ["source 1", "D.sources"]


def test_the_result_shows_them_and_labels_may_choose_them(sources, result):
    truth = NAMES[sources[3]]
    shown = [row["name"] for row in result.table]
    assert shown[-3:] == ["source 1", "source 2", "D.sources"]
    assert {"source 1", "source 2", "D.sources"} <= set(result.compared)
    assert any(note.startswith("2 sources are pooled") for note in result.notes)
    rows = result.ask(40, None).rows.tolist()
    decided = result.decide({row: truth[row] for row in rows})
    accuracies = decided.evaluate(truth)
    assert accuracies["chosen"] >= accuracies["source 2"] - 0.02
    assert accuracies["chosen"] > accuracies["control"]


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        ([np.eye(2), np.eye(2)], [0, 1, 0], "of the 2 sources. Received: .* with 3"),
        ([np.eye(2), np.eye(2)], np.zeros(4), "Received: source_labels with 4"),
        ([np.eye(2), np.eye(2)], None, "Received: source_labels with None"),
        ([np.eye(2), np.eye(2)], [[0, 1], [1]], r"source_labels\[1\] with 1 labels"),
        ([np.eye(2), np.eye(3)], [[0, 1], [0, 1, 2]], r"source_features\[1\]\.shape"),
        ([np.eye(2), np.nan * np.eye(2)], [[0, 1], [0, 1]], r"`source_features\[1\]`"),
        ([np.eye(2), np.eye(2)], [[0, 0], [0, 0]], "source_labels with only 0"),
    ],
)
def test_what_is_no_list_of_sources_is_refused(features, labels, message):
    with pytest.raises(ValueError, match=message):
        read_source(features, labels)
