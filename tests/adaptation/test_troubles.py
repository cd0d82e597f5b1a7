import numpy as np
import pytest

from tftransfer.adaptation.estimate import Estimate
from tftransfer.adaptation.troubles import describe_shares, describe_target

COUNTS = np.array([100, 100, 100])
FINE = Estimate(0.8, 0.7, 0.9)


def test_equal_shares_are_not_worth_a_line():
    assert describe_shares(COUNTS, np.arange(300) % 3, ["a", "b", "c"]) == []


def test_shares_that_differ_and_missing_classes_are_told():
    target = np.repeat([0, 1], [80, 120])
    lines = describe_shares(COUNTS, target, np.array(["a", "b", "c"]))
    assert lines == [
        "class shares seem to differ: 'b' 33 % of the source, 60 % of the target as "
        "predicted",
        "may be missing in the target: 'c' (or the model does not find it there)",
    ]


def test_nothing_is_told_where_nothing_is_wrong():
    assert describe_target(100, 0.09, FINE, 3) == []


def test_few_rows_are_told():
    (line,) = describe_target(99, 0.0, FINE, 3)
    assert line == "only 99 target rows: whether to adapt is decided on little"


def test_rows_that_fit_no_class_are_told():
    (line,) = describe_target(500, 0.234, FINE, 3)
    assert line.startswith("23 % of the target rows fit no class: they lie farther")


@pytest.mark.parametrize(("value", "told"), [(0.39, True), (0.41, False)])
def test_calls_near_chance_are_told(value, told):
    lines = describe_target(500, 0.0, Estimate(value, 0.2, 0.6), 3)
    assert len(lines) == told
    if told:
        assert (
            "hardly better than chance on the target (39 % with 3 classes" in lines[0]
        )
