import numpy as np
import pytest

from tftransfer.asking.asking import choose_rows

CONTROL = np.zeros(100, int)
CANDIDATES = {
    "few": np.where(np.arange(100) < 10, 1, 0),
    "many": np.where(np.arange(100) % 2, 2, 0),
}
DIFFER = set(range(10)) | set(range(1, 100, 2))


def test_rows_come_from_where_any_candidate_differs_and_no_row_twice():
    question = choose_rows(CONTROL, CANDIDATES, 30)
    assert len(set(question.rows.tolist())) == 30
    assert set(question.rows.tolist()) <= DIFFER
    assert question.num_disagreeing == question.num_left == len(DIFFER)


def test_fewer_rows_than_asked_for_give_all_of_them():
    question = choose_rows(CONTROL, CANDIDATES, 1000)
    assert set(question.rows.tolist()) == DIFFER


def test_every_such_row_is_equally_likely():
    rows = [choose_rows(CONTROL, CANDIDATES, 5, seed=s).rows for s in range(2000)]
    counts = np.bincount(np.concatenate(rows), minlength=100)[sorted(DIFFER)]
    expected = 2000 * 5 / len(DIFFER)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 83.5  # 99 % point of chi-square with 54 degrees of freedom


def test_the_same_seed_gives_the_same_rows_and_another_others():
    first, again, other = (
        choose_rows(CONTROL, CANDIDATES, 10, seed=seed).rows for seed in (1, 1, 2)
    )
    assert first.tolist() == again.tolist() != other.tolist()


def test_rows_asked_before_are_not_asked_again():
    first = choose_rows(CONTROL, CANDIDATES, 20).rows
    second = choose_rows(CONTROL, CANDIDATES, 1000, already=first)
    assert set(second.rows) == DIFFER - set(first)
    assert (second.num_disagreeing, second.num_left) == (55, 35)


def test_no_disagreement_gives_no_rows():
    question = choose_rows(CONTROL, {"same": CONTROL}, 20)
    assert len(question.rows) == 0 and question.num_disagreeing == 0


def test_a_question_says_what_was_asked_or_why_nothing_was():
    question = choose_rows(CONTROL, CANDIDATES, 30)
    assert str(question) == (
        "30 of the 55 rows in which a candidate differs from the control"
    )
    every = choose_rows(CONTROL, CANDIDATES, 30, already=sorted(DIFFER))
    assert str(every).startswith("nothing to ask: all 55 rows in which a candidate")
    same = choose_rows(CONTROL, {"same": CONTROL}, 20)
    assert str(same).startswith("nothing to ask: in no row does a candidate differ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CONTROL, CANDIDATES, 0), "Received: count=0"),
        ((CONTROL, {}, 5), r"Received: candidate_labels=\{\}"),
        ((CONTROL, {"a": CONTROL[:9]}, 5), r"'a': \(9,\)"),
        ((np.zeros((4, 2)), {"a": np.zeros((4, 2))}, 5), "Take the arg max"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        choose_rows(*arguments)


@pytest.mark.parametrize("already", [[100], [-1], [0.5], ["7"]])
def test_rows_that_do_not_exist_are_refused(already):
    with pytest.raises(ValueError, match="`already` must name .* Received: already"):
        choose_rows(CONTROL, CANDIDATES, 5, already=already)


def test_a_count_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="Received: count='20'"):
        choose_rows(CONTROL, CANDIDATES, "20")
