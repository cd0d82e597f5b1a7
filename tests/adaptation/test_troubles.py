import numpy as np

from tftransfer.adaptation.troubles import describe_troubles

SOURCE = np.arange(300) % 3


def test_equal_shares_are_not_worth_a_line():
    assert describe_troubles(SOURCE, SOURCE, ["a", "b", "c"]) == []


def test_shares_that_differ_and_missing_classes_are_told():
    target = np.repeat([0, 1], [80, 120])
    lines = describe_troubles(SOURCE, target, np.array(["a", "b", "c"]))
    assert lines == [
        "class shares seem to differ: 'b' 33 % of the source, 60 % of the target as "
        "predicted",
        "may be missing in the target: 'c' (or the model does not find it there)",
    ]


def test_few_rows_are_told():
    (line,) = describe_troubles(SOURCE, SOURCE[:99], [1, 2, 3])
    assert line == "only 99 target rows: whether to adapt is decided on little"
