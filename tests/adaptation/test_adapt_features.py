import io
import lzma
import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits

from tests.domains import draw_domain
from tftransfer.adaptation.adapt_features import adapt_features
from tftransfer.methods.domain_standardization import adabn

NAMES = np.array(["ant", "bee", "cow"])


@pytest.fixture(scope="module")
def data():
    source, labels = draw_domain(240, 0)
    target, truth = draw_domain(300, 1, shift=2.0)
    return source, NAMES[labels], target, NAMES[truth]


@pytest.fixture(scope="module")
def result(data):
    return adapt_features(*data[:3], verbose=0)


def test_it_helps_and_says_so(data, result):
    accuracies = result.evaluate(data[3])
    assert result.verdict in ("adapted", "adapted in part")
    assert accuracies["chosen"] > accuracies["control"]
    assert accuracies["chosen"] == np.mean(result.labels == data[3])
    text = str(result)
    assert text.startswith(result.verdict)
    assert "estimated target accuracy, chosen: " in text
    assert all(name in text for name in ("D.cbst", "S.lp(0.5)", "E10"))


def test_further_rows_are_predicted_by_an_ordinary_model(data, result):
    further, truth = draw_domain(600, 7, shift=2.0)
    model = pickle.loads(pickle.dumps(result.model))
    assert model.classes_.tolist() == NAMES.tolist()
    assert model.predict_proba(further).shape == (600, 3)
    np.testing.assert_array_equal(model.predict(further), result.predict(further))
    right = np.mean(model.predict(further) == NAMES[truth])
    assert right > np.mean(result.control.predict(further) == NAMES[truth])
    assert np.mean(model.predict(data[2]) == result.labels) > 0.97


def test_labels_never_feed_back(data, result):
    before = pickle.dumps(result)
    result.evaluate(data[3])
    assert pickle.dumps(result) == before


def test_the_same_seed_gives_the_same_result(data, result):
    again = adapt_features(*data[:3], verbose=0)
    for name, probabilities in result.candidates.items():
        np.testing.assert_array_equal(probabilities, again.candidates[name])


def test_labels_that_come_with_the_target_change_nothing_and_are_told(data, result):
    source, labels, target, truth = data
    given = adapt_features(source, labels, (target, truth), verbose=0)
    assert given.notes[0] == "labels came with the target: dropped unread"
    np.testing.assert_array_equal(given.predict_proba(), result.predict_proba())


class Unreadable:
    """Labels that cannot be looked at."""

    def __getattribute__(self, name):
        raise AssertionError(f"target labels were read: {name}")

    __len__ = __iter__ = __getitem__ = __array__ = __eq__ = __bool__ = __getattribute__


def test_no_code_path_reads_target_labels(data):
    source, labels, target, _ = data
    adapt_features(source, labels, (target, Unreadable()), verbose=0)


def test_without_a_shift_the_control_is_kept():
    source, labels = draw_domain(240, 0)
    result = adapt_features(source, labels, draw_domain(300, 5)[0], verbose=0)
    assert result.verdict == "kept source-only"
    assert "no shift found" in result.reasons[0]
    np.testing.assert_array_equal(result.predict_proba(), result.candidates["control"])


def test_a_control_near_chance_is_kept_and_told(rng):
    labels = np.arange(200) % 2
    result = adapt_features(
        rng.normal(size=(200, 5)), labels, rng.normal(2, size=(100, 5)), verbose=0
    )
    assert result.verdict == "kept source-only"
    assert "first get a better source model" in result.reasons[0]


def test_constant_features_are_left_out(data, result):
    def widen(rows):
        return np.insert(rows, 1, 3.0, axis=1)

    found = adapt_features(widen(data[0]), data[1], widen(data[2]), verbose=0)
    assert found.notes == ["1 of 5 features is constant on the source: left out"]
    np.testing.assert_allclose(found.predict_proba(), result.predict_proba())
    np.testing.assert_array_equal(
        found.predict(widen(data[2][:9])), result.predict(data[2][:9])
    )


def test_sparse_features_give_a_model_of_sparse_rows(rng):
    source, labels = draw_domain(150, 0)
    words = rng.normal(size=(4, 500))
    target = np.abs(draw_domain(60, 2, shift=0.5)[0] @ words)
    rows = np.abs(source @ words)
    rows[rows < 2], target[target < 2] = 0, 0
    source, target = sparse.csr_array(rows), sparse.coo_array(target)
    result = adapt_features(source, labels, target, verbose=0)
    assert "500 sparse features were reduced to 100" in result.notes[0]
    assert result.predict(target).shape == (60,)
    np.testing.assert_array_equal(
        result.predict(target.toarray()), result.predict(target)
    )


def test_further_methods_are_shown_but_not_chosen(data, result):
    def certain(problem, control):
        found = adabn(problem, control)
        return type(found)("certain", np.eye(3)[[0] * 300], found.predict)

    found = adapt_features(*data[:3], methods=[certain], verbose=0)
    row = found.table[-1]
    assert row["name"] == "certain" and "class 'cow' vanished" in row["warning"]
    np.testing.assert_array_equal(found.predict_proba(), result.predict_proba())


def test_each_step_and_the_verdict_are_printed(data, capsys):
    result = adapt_features(*data[:3])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "control: source only, its penalty cross-validated"
    assert lines[-1] == f"{result.verdict}: {'; '.join(result.reasons)}"
    adapt_features(*data[:3], verbose=0)
    assert capsys.readouterr().out == ""


def test_the_result_draws_itself(result):
    assert len(result.figure().axes) == 3


def test_rows_of_another_width_are_refused_by_the_model(result):
    with pytest.raises(ValueError, match=r"Received: rows\.shape=\(2, 3\)"):
        result.model.predict(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"methods": "all"}, ValueError, "Received: methods='all'"),
        ({"methods": ["coral"]}, TypeError, r"Received: methods=\['coral'\]"),
        ({"seed": -1}, ValueError, "Received: seed=-1"),
        ({"verbose": 2}, ValueError, "Received: verbose=2"),
    ],
)
def test_settings_are_checked_before_anything_is_fitted(data, settings, kind, message):
    with pytest.raises(kind, match=message):
        adapt_features(*data[:3], **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, y, t: (s, y, t[:, :3]), r"target_features\.shape=\(300, 3\)"),
        (lambda s, y, t: (s, y, t[:19]), r"target_features\.shape=\(19, 4\)"),
        (lambda s, y, t: (s, y, t * np.nan), "target_features with 1200 entries"),
        (lambda s, y, t: (s, y[:9], t), r"source_labels\.shape=\(9,\)"),
        (lambda s, y, t: (s, ["ant"] * 240, t), "source_labels with only 'ant'"),
        (lambda s, y, t: (s, [None, *y[1:]], t), "1 rows without"),
        (lambda s, y, t: (s * 0 + 1, y, t), "4 features, all of them constant"),
    ],
)
def test_bad_data_are_refused(data, change, message):
    with pytest.raises(ValueError, match=message):
        adapt_features(*change(*data[:3]), verbose=0)


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_digits_of_another_hand_gain_and_do_not_lose(shared_data):
    packed = lzma.decompress((shared_data / "mnist_train.npz.xz").read_bytes())
    arrays = np.load(io.BytesIO(packed))
    source = arrays["x_train"][:1000].reshape(-1, 28, 28)[:, 2:26, 2:26]
    source = source.reshape(-1, 8, 3, 8, 3).mean(axis=(2, 4)).reshape(-1, 64) / 16
    target, truth = load_digits(return_X_y=True)
    result = adapt_features(source, arrays["y_train"][:1000], target, verbose=0)
    accuracies = result.evaluate(truth)
    assert accuracies["chosen"] > accuracies["control"]
    assert accuracies["E10"] > accuracies["control"] + 0.1
    estimate = result.estimated_accuracy["control"]
    assert estimate.low <= accuracies["control"] <= estimate.high
