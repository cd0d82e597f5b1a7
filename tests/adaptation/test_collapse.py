import numpy as np

from tftransfer.adaptation.collapse import (
    changed_share,
    signs_of_collapse,
    vanished_classes,
)

BEFORE = np.repeat([0, 1, 2], [50, 10, 9])


def test_a_class_has_vanished_below_a_fifth_if_it_had_ten_rows():
    after = np.where(BEFORE > 0, 0, BEFORE)
    assert vanished_classes(BEFORE, after, 3) == [1]  # class 2 was too rare to tell
    after[50:52] = 1  # two of ten are left
    assert vanished_classes(BEFORE, after, 3) == []


def test_signs_are_told_by_name():
    all_same = np.zeros(69, int)
    assert signs_of_collapse(BEFORE, all_same, np.array(["a", "b", "c"])) == [
        "class 'b' vanished"
    ]
    turned = (BEFORE + 1) % 3
    assert changed_share(BEFORE, turned) == 1
    assert "100% of the control's calls are changed" in signs_of_collapse(
        BEFORE, turned, [0, 1, 2]
    )
    assert signs_of_collapse(BEFORE, BEFORE, [0, 1, 2]) == []
