"""An evaluation as text, word for word."""

import numpy as np

from tftransfer.evaluation.predictions import evaluate_predictions


def test_binary_table():
    found = evaluate_predictions(
        [0, 1, 1, 1], [0.1, 0.8, 0.4, 0.9], class_names=["functional", "defective"]
    )
    assert str(found) == (
        "classification, 4 rows\n"
        "\n"
        "accuracy           0.7500  95 % interval 0.3006 to 0.9544\n"
        "balanced accuracy  0.8333\n"
        "macro F1           0.7333\n"
        "ROC-AUC            1.0000\n"
        "calibration error  0.2500\n"
        "\n"
        "class       precision  recall      F1  rows\n"
        "functional     0.5000  1.0000  0.6667     1\n"
        "defective      1.0000  0.6667  0.8000     3\n"
        "\n"
        "confusion matrix (row: label, column: prediction)\n"
        "               0  1\n"
        "0  functional  1  0\n"
        "1  defective   1  2"
    )


def test_undefined_figures_show_a_dash_and_the_reason():
    text = str(evaluate_predictions([1], [0.9], class_names=["a", "b"]))
    assert "ROC-AUC                 -  all rows are 'b'; it needs both classes" in text
    assert "a              -       -       -     0" in text


def test_regression_table():
    found = evaluate_predictions([1.0, -3.0], [1.5, -2.5], task="regression")
    assert str(found) == (
        "regression, 2 rows\n"
        "\n"
        "MAE   0.5000  95 % interval 0.5000 to 0.5000\n"
        "RMSE  0.5000  95 % interval 0.5000 to 0.5000\n"
        "R2    0.9375  95 % interval 0.9375 to 0.9375\n"
        "\n"
        "class     MAE    RMSE      R2\n"
        "0      0.5000  0.5000  0.9375"
    )


def test_multi_label_table_has_every_column():
    text = str(
        evaluate_predictions(
            [[0, 1], [1, 0]], [[0.2, 0.6], [0.8, 0.7]], task="multi_label"
        )
    )
    assert "all labels right  0.5000  95 % interval" in text
    assert "class  precision  recall      F1  rows  ROC-AUC      AP" in text
    assert "confusion" not in text


def test_many_classes_show_the_weakest_only(rng):
    labels = np.arange(30)
    predicted = np.where(labels == 17, 3, labels)
    lines = str(evaluate_predictions(labels, np.eye(30)[predicted])).splitlines()
    start = lines.index("the 20 weakest of 30:")
    assert lines[start + 2].split()[0] == "17"
    assert len(lines) == start + 2 + 20
