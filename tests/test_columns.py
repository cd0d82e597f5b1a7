from tftransfer.columns import align_columns


def test_columns_are_aligned():
    assert align_columns([["a", "x", "1"], ["bb", "", "22"]], left=2) == [
        "a   x   1",
        "bb     22",
    ]


def test_each_column_can_be_set_to_the_right():
    rows = [["a", "1", "x"], ["bb", "22", "yy"]]
    assert align_columns(rows, right=[True, False, True]) == [
        " a  1    x",
        "bb  22  yy",
    ]
