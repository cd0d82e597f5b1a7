import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_digits

from tests.domains import draw_domain
from tftransfer.adaptation.adapt_features import COMPARED, adapt_features
from tftransfer.adaptation.asked import read_answers
from tftransfer.asking.deciding import decide
from tftransfer.asking.labels_file import make_row_id

NAMES = np.array(["ant", "bee", "cow"])


@pytest.fixture(scope="module")
def truth():
    return NAMES[draw_domain(300, 1, shift=2.5)[1]]


@pytest.fixture(scope="module")
def result():
    source, labels = draw_domain(240, 0)
    target, _ = draw_domain(300, 1, shift=2.5)
    return adapt_features(source, NAMES[labels], target, verbose=0)


@pytest.fixture(scope="module")
def unshifted():
    """A result in which every candidate calls what the control calls."""
    source, labels = draw_domain(240, 0)
    source[:, 0] += 30 * labels
    return adapt_features(source, NAMES[labels], source + 0.01, verbose=0)


def calls(result, name):
    return result.candidates[name].argmax(axis=1)


def ask(result, truth, count=20, **options):
    rows = result.ask(count, None, **options).rows.tolist()
    return {row: truth[row] for row in rows}


def test_rows_are_asked_where_a_compared_candidate_differs(result):
    assert set(result.compared) == {*COMPARED} | (
        {"guarded"} if result.choice == "guarded" else set()
    )
    question = result.ask(1000, None)
    differs = np.any(
        [calls(result, name) != calls(result, "control") for name in result.compared],
        axis=0,
    )
    assert sorted(question.rows.tolist()) == np.flatnonzero(differs).tolist()
    assert question.csv is None and question.page is None


def test_the_same_seed_asks_the_same_and_rows_asked_before_are_left_out(result):
    first, again = (result.ask(10, None, seed=4).rows for _ in range(2))
    assert first.tolist() == again.tolist()
    assert not set(first) & set(result.ask(10, None, seed=4, already=first).rows)


def test_files_are_written_side_by_side(result, tmp_path, capsys):
    question = result.ask(5, tmp_path / "round" / "one.csv")
    assert question.csv == tmp_path / "round" / "one.csv"
    assert question.page == tmp_path / "round" / "one.html"
    assert str(question) == capsys.readouterr().out.strip()
    assert f"5 of the {question.num_disagreeing} rows in which" in str(question)
    lines = question.csv.read_text("utf-8-sig").splitlines()
    for row, line in zip(question.rows, lines[1:], strict=True):
        row_id, label, _, control, candidate = line.split(",")
        assert row_id == make_row_id(row, NAMES.tolist(), result.data_key)
        assert label == "" and control != candidate
        assert control == NAMES[calls(result, "control")[row]]
    page = question.page.read_text()
    assert "one.csv" in page and '"S.cbst"' in page
    with pytest.raises(ValueError, match="which exists"):
        result.ask(5, question.csv)
    assert result.ask(5, question.csv, overwrite=True).csv == question.csv


def test_where_nobody_differs_nothing_is_written(unshifted, tmp_path, capsys):
    question = unshifted.ask(20, tmp_path / "to_label.csv")
    assert len(question.rows) == 0
    assert capsys.readouterr().out == (
        "nothing to ask: in no row does a candidate differ from the control\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_labels_choose_what_they_prove(result, truth):
    answers = ask(result, truth)
    decided = result.decide(answers)
    numbers = {row: NAMES.tolist().index(label) for row, label in answers.items()}
    found = decide(
        numbers,
        calls(result, "control"),
        {name: calls(result, name) for name in result.compared},
        fallback=None if result.choice == "control" else result.choice,
    )
    assert decided.choice == found.chosen != "control"
    assert decided.verdict == "adapted" and decided.labels_needed == 0
    assert decided.reasons[0] == found.reason.removesuffix(".")
    assert decided.reasons[-1].startswith(f"without labels: {result.verdict}, ")
    assert decided.model is result.models[found.chosen]
    accuracies = decided.evaluate(truth)
    assert accuracies["chosen"] > accuracies["control"] + 0.1
    row = next(row for row in decided.table if row["name"] == found.chosen)
    score = found.scores[found.chosen]
    assert (row["wins"], row["losses"], row["gain"]) == (
        score.wins,
        score.losses,
        score.gain,
    )
    assert decided.table[0]["wins"] is None  # of the control
    assert "right alone" in str(decided.table)


@pytest.fixture(scope="module")
def turned():
    """Digits turned by 30 degrees: what the labels choose is far from perfect."""
    rows, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(rows))
    source, target = order[:600], order[600:1200]
    images = rows[target].reshape(-1, 8, 8)
    moved = ndimage.rotate(images, 30, axes=(1, 2), reshape=False, order=1)
    found = adapt_features(
        rows[source], labels[source], moved.reshape(-1, 64), verbose=0
    )
    return found, labels[target], moved.reshape(-1, 64)


def test_labels_correct_the_rows_beside_them_where_that_is_seen_to_help(turned):
    result, truth, rows = turned
    decided = result.decide(ask(result, truth, 60))
    assert decided.choice == "corrected"
    reason = next(line for line in decided.reasons if line.startswith("the labels, sp"))
    assert "of 60 asked rows, each left out in turn" in reason
    left = np.setdiff1d(np.arange(600), list(decided.asked))
    chosen = decided.reasons[0].split()[0]
    before, after = (
        np.mean(found.candidates[name].argmax(axis=1)[left] == truth[left])
        for found, name in ((result, chosen), (decided, "chosen"))
    )
    assert after > before + 0.01
    # The model says the same of the rows, but for its shorter way to neighbors.
    assert np.mean(decided.model.predict(rows[left]) == decided.labels[left]) > 0.9
    assert (
        decided.model.predict(rows[:3]).tolist() == decided.predict(rows[:3]).tolist()
    )


def test_networks_are_chosen_as_they_are(turned):
    result, truth, _ = turned
    named = dataclasses.replace(
        result,
        candidates={**result.candidates, "E.mcc": result.candidates["D.mcc"]},
        models={**result.models, "E.mcc": result.models["D.mcc"]},
        compared=("E.mcc",),
        choice="E.mcc",
    )
    decided = named.decide(ask(named, truth, 60))
    assert decided.choice == "E.mcc"
    assert decided.model is result.models["D.mcc"]


def test_rows_asked_have_the_label_given(result, truth):
    answers = ask(result, truth, 8)
    row = next(iter(answers))
    wrong = next(name for name in NAMES if name != result.labels[row])
    decided = result.decide(answers | {row: wrong})
    assert decided.labels[row] == wrong
    assert decided.predict_proba()[row].max() == 1
    others = [each for each in range(300) if each not in answers]
    np.testing.assert_array_equal(
        decided.predict_proba()[others], result.candidates[decided.choice][others]
    )


def test_the_first_result_stays_as_it_is(result, truth):
    before = result.predict_proba().copy()
    decided = result.decide(ask(result, truth))
    assert decided.before is result and result.asked == {}
    np.testing.assert_array_equal(result.predict_proba(), before)


def test_labels_that_speak_for_the_control_keep_it(result):
    control = NAMES[calls(result, "control")]
    decided = result.decide(ask(result, control, 60))
    assert decided.verdict == "kept source-only" and decided.choice == "control"
    estimates = decided.estimated_accuracy
    assert estimates["chosen"].value == estimates["control"].value


def test_labels_given_later_are_added_to_those_before(result, truth):
    first = ask(result, truth, 5)
    decided = result.decide(first)
    second = ask(decided, truth, 5)
    assert not set(first) & set(second)
    both = decided.decide(second)
    assert both.asked == first | second and both.before is result
    at_once = result.decide(first | second)
    assert both.reasons == at_once.reasons and both.table == at_once.table
    row = next(iter(first))
    corrected = both.decide({row: NAMES[0]})
    assert corrected.asked[row] == NAMES[0] and len(corrected.asked) == 10


def test_no_labels_leave_the_decision_as_it_was(result):
    decided = result.decide({})
    assert decided.choice == result.choice and decided.verdict == result.verdict
    assert decided.labels_needed > 0
    assert f"about {decided.labels_needed} labels more" in decided.reasons[1]


def test_labels_where_nobody_differs_are_said_to_tell_nothing(result, truth):
    asked = set(result.ask(1000, None).rows.tolist())
    rows = [row for row in range(300) if row not in asked][:2]
    decided = result.decide({row: truth[row] for row in rows})
    assert any("2 of the labels tell nothing" in line for line in decided.reasons)


def test_a_gain_is_added_to_the_estimate_for_the_control(result, truth):
    answers = ask(result, truth, 12)
    decided = result.decide(answers)
    row = next(row for row in decided.table if row["name"] == decided.choice)
    rows = list(answers)
    told = NAMES[calls(result, decided.choice)[rows]]
    corrected = np.sum(told != truth[rows]) / 300
    control, chosen = (decided.estimated_accuracy[n] for n in ("control", "chosen"))
    expected = control.value + row["gain"] / 100 + corrected
    assert chosen.value == pytest.approx(min(expected, 1))
    assert chosen.low < chosen.value


def test_shares_are_told_of_what_is_chosen_now(result, truth):
    decided = result.decide(ask(result, truth))
    assert not any("class shares seem to differ" in note for note in decided.notes)


def test_labels_may_be_given_at_once(result, truth):
    source, labels = draw_domain(240, 0)
    target, _ = draw_domain(300, 1, shift=2.5)
    answers = ask(result, truth)
    found = adapt_features(
        source, NAMES[labels], target, asked_labels=answers, verbose=0
    )
    assert found.asked == answers
    assert found.reasons == result.decide(answers).reasons


def test_a_filled_file_says_the_same_as_a_dictionary(result, truth, tmp_path):
    question = result.ask(6, tmp_path / "to_label.csv")
    header, *lines = question.csv.read_text("utf-8-sig").splitlines()
    filled = [
        line.replace(",", f",{truth[row]}", 1)
        for row, line in zip(question.rows, lines, strict=True)
    ]
    # A spreadsheet may have sorted it: the order drawn is given beside it.
    question.csv.write_text("\n".join([header, *sorted(filled)]))
    decided = result.decide(question.csv, rows=question.rows)
    answers = {int(row): truth[row] for row in question.rows}
    assert list(decided.asked.items()) == list(answers.items())
    assert decided.reasons == result.decide(answers).reasons


def test_a_file_of_other_target_rows_is_refused(result, tmp_path):
    source, labels = draw_domain(240, 0)
    target, _ = draw_domain(300, 2, shift=2.5)
    other = adapt_features(source, NAMES[labels], target, verbose=0)
    assert other.data_key != result.data_key
    question = other.ask(5, tmp_path / "to_label.csv")
    with pytest.raises(ValueError, match="with the row ids of another one"):
        result.decide(question.csv)


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        ({300: "ant"}, ValueError, r"whole numbers from 0 below 300. Received: labels"),
        ({-1: "ant"}, ValueError, "Received: labels with"),
        ({"7": "ant"}, ValueError, "Received: labels with"),
        ({7: "dog"}, ValueError, r"\['ant', 'bee', 'cow'\]. Received: .*7: 'dog'"),
        ({7: 0}, ValueError, r"Received: labels with \{7: 0\}"),
        (["ant"], TypeError, "Received: labels of type list"),
        ("nowhere.csv", ValueError, "Received: path='nowhere.csv'"),
    ],
)
def test_what_is_no_label_of_a_target_row_is_refused(labels, kind, message):
    with pytest.raises(kind, match=message):
        read_answers(labels, NAMES, 300)


def test_a_file_without_labels_is_refused(result, tmp_path):
    result.ask(5, tmp_path / "to_label.csv")
    with pytest.raises(ValueError, match="at least one label filled in"):
        result.decide(tmp_path / "to_label.csv")


def test_asked_labels_are_checked_before_anything_is_fitted(monkeypatch):
    source, labels = draw_domain(30, 0)
    monkeypatch.setattr(
        "tftransfer.adaptation.adapt_features.fit_control", lambda problem: 1 / 0
    )
    with pytest.raises(ValueError, match=r"Received: labels with \{3: 'dog'\}"):
        adapt_features(source, NAMES[labels], source, asked_labels={3: "dog"})


@pytest.mark.parametrize("output", ["to_label", "to_label.html"])
def test_an_output_that_is_no_csv_is_refused(result, output):
    with pytest.raises(ValueError, match=f"Received: output='{output}'"):
        result.ask(5, output)
