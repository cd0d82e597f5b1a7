import numpy as np
import pytest

from tests.domains import draw_domain
from tftransfer.adaptation.shares import Shares, compare_shares
from tftransfer.methods.control import fit_control
from tftransfer.methods.problem import Problem


def compare(rows):
    source, labels = draw_domain(600, 0)
    problem = Problem(source, labels, rows, 3)
    return compare_shares(problem, fit_control(problem))


def test_a_moved_target_of_equal_shares_is_close():
    found = compare(draw_domain(600, 1, shift=2.0)[0])
    assert found.can_be_seen
    assert found.found < 0.05
    assert found.are_close
    # The control, in source units, takes the shift for a change of shares.
    assert found.of_control > 0.1


def test_a_rare_class_is_seen_through_the_shift():
    rows, labels = draw_domain(900, 1, shift=2.0)
    rare = rows[(labels > 0) | (np.arange(900) < 90)]
    found = compare(rare)
    true = abs(30 / len(rare) - 1 / 3)
    assert found.found == pytest.approx(true, abs=0.1)
    assert not found.are_close


def test_what_is_detectable_is_a_good_part_of_what_was_changed():
    # One class of three thinned to 15 %: from a third to .15 / 2.15.
    change = 1 / 3 - 0.15 / 2.15
    detectable = compare(draw_domain(300, 1)[0]).detectable
    assert 0.5 * change < detectable < change


def test_classes_that_overlap_hide_a_change():
    rng = np.random.default_rng(0)
    labels = np.arange(1000) % 2
    source = rng.normal(size=(1000, 2)) + labels[:, None] * [1.0, 0]
    one_sided = rng.normal(size=(1000, 2)) + [1.0, 0]
    problem = Problem(source, labels, one_sided, 2)
    found = compare_shares(problem, fit_control(problem))
    assert found.found < 0.05  # although all rows are of one class
    assert not found.can_be_seen
    assert not found.are_close
    assert not found.may_differ_a_little


def test_few_rows_leave_more_open():
    source, labels = draw_domain(600, 0)
    few = compare(source[:60])
    many = compare(source)
    # Half of sqrt(2 / rows), beside what the calls differ by.
    assert few.of_control > 0.5 * np.sqrt(2 / 60)
    assert many.of_control < 0.5 * np.sqrt(2 / 600) + 0.02


@pytest.mark.parametrize(
    ("found", "close", "little"),
    [(0.12, True, True), (0.14, False, True), (0.21, False, False)],
)
def test_the_bounds(found, close, little):
    shares = Shares(found, 0.2, 1.0)
    assert (shares.are_close, shares.may_differ_a_little) == (close, little)


def test_the_same_seed_gives_the_same():
    rows = draw_domain(300, 1)[0]
    assert compare(rows) == compare(rows)
