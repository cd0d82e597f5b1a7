"""A cross-validation as text, word for word."""


def test_table(make_result):
    result = make_result(
        [{"accuracy": 0.8, "roc_auc": 0.9}, {"accuracy": 0.6, "roc_auc": None}]
    )
    assert str(result) == (
        "classification, 10 rows, 2 folds, seed 0\n"
        "\n"
        "            mean  std. dev.\n"
        "accuracy  0.7000     0.1414  95 % interval 0.0000 to 1.0000\n"
        "ROC-AUC   0.9000          -  undefined in 1 of 2 folds\n"
        "\n"
        "seed  fold  rows  accuracy  ROC-AUC\n"
        "   0     0     5    0.8000   0.9000\n"
        "   0     1     5    0.6000        -"
    )


def test_many_folds_show_the_weakest_only(make_result):
    figures = [{"accuracy": 0.5 + number / 100} for number in range(30)]
    lines = str(make_result(figures[::-1], num_rows=150)).splitlines()
    start = lines.index("the 20 weakest of 30 folds:")
    assert lines[start + 2].split() == ["0", "29", "5", "0.5000"]
    assert len(lines) == start + 2 + 20


def test_of_errors_the_largest_are_the_weakest(make_result):
    figures = [{"mean_absolute_error": float(number)} for number in range(30)]
    lines = str(make_result(figures, "regression", num_rows=150)).splitlines()
    start = lines.index("the 20 weakest of 30 folds:")
    assert lines[start + 2].split() == ["0", "29", "5", "29.0000"]
