import re

import numpy as np
import pytest

from tftransfer.formats.comparing import compare_outputs, decide, find_fault

LOGITS = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, -1.0], [2.0, 0.0]])


def with_probabilities(logits):
    exponents = np.exp(logits)
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    return {"logits": logits, "probabilities": probabilities}


def test_differences_are_shares_of_the_widest_range_of_an_output():
    served = LOGITS + [[0.0, 0.0], [0.5, 0.0], [0.0, 0.0], [0.0, -0.5]]
    compared = compare_outputs(
        with_probabilities(LOGITS), with_probabilities(served), "classification"
    )
    # Ranges 3 and 5; two of eight values differ by one half.
    assert compared["max_difference"] == 0.5
    assert compared["relative_difference"] == pytest.approx(0.1)
    assert compared["rms_relative_difference"] == pytest.approx(np.sqrt(0.5 / 8) / 5)
    assert compared["equal_decisions"] == 1.0
    assert "accuracy" not in compared


def test_decisions_and_accuracy_by_hand():
    served = LOGITS * [[1, 1], [1, -1], [1, 1], [1, 1]]  # row 1 is now class 0
    compared = compare_outputs(
        with_probabilities(LOGITS),
        with_probabilities(served),
        "classification",
        np.array([1, 0, 1, 0]),
    )
    assert compared["equal_decisions"] == 0.75
    assert compared["live_accuracy"] == 0.5
    assert compared["accuracy"] == 0.75


def test_several_labels_are_decided_one_by_one():
    live = {"probabilities": np.array([[0.6, 0.4, 0.5], [0.1, 0.9, 0.2]])}
    served = {"probabilities": np.array([[0.6, 0.4, 0.4], [0.1, 0.9, 0.2]])}
    labels = np.array([[1, 0, 1], [0, 1, 1]])
    compared = compare_outputs(live, served, "multi_label", labels)
    assert compared["equal_decisions"] == pytest.approx(5 / 6)
    assert compared["live_accuracy"] == pytest.approx(5 / 6)
    assert compared["accuracy"] == pytest.approx(4 / 6)


def test_a_regression_has_errors_and_decides_nothing():
    live, served = (
        {"values": np.array([[1.0], [3.0]])},
        {"values": np.array([[1.0], [2]])},
    )
    labels = np.array([[0.0], [3.0]])
    compared = compare_outputs(live, served, "regression", labels)
    assert compared["relative_difference"] == 0.5
    assert compared["equal_decisions"] is None
    assert compared["live_mean_absolute_error"] == 0.5
    assert compared["mean_absolute_error"] == 1.0


@pytest.mark.parametrize(
    ("live", "served", "expected"),
    [([1.0, 1.0], [1.0, 1.0], 0.0), ([1.0, 1.0], [1.0, 2.0], np.inf)],
)
def test_outputs_without_spread_differ_by_nothing_or_without_bound(
    live, served, expected
):
    live, served = ({"values": np.array(each)[:, None]} for each in (live, served))
    compared = compare_outputs(live, served, "regression")
    assert compared["relative_difference"] == expected


def test_half_a_probability_is_a_present_label():
    assert decide(np.array([[0.5, 0.49]]), "multi_label").tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("precision", "compared", "fault"),
    [
        ("float32", {"relative_difference": 1e-4}, None),
        (
            "float32",
            {"relative_difference": 1.1e-4},
            "differs by 0.00011 of the spread",
        ),
        ("float32", {"relative_difference": np.nan}, "differs by nan"),
        ("float16", {"relative_difference": 5e-3}, None),
        ("float16", {"relative_difference": 6e-3}, "more than 0.005"),
        ("int8", {"equal_decisions": 0.99}, None),
        ("int8", {"equal_decisions": 0.98}, "98.0% equal decisions, fewer than 99%$"),
        (
            "int8",
            {"equal_decisions": 0.5, "accuracy": 0.89, "live_accuracy": 0.9},
            None,
        ),
        (
            "int8",
            {"equal_decisions": 0.5, "accuracy": 0.88, "live_accuracy": 0.9},
            "and 2.0% of accuracy lost",
        ),
        ("int8", {"equal_decisions": None, "rms_relative_difference": 0.01}, None),
        (
            "int8",
            {"equal_decisions": None, "rms_relative_difference": 0.02},
            "differs by 0.02 of the spread .root mean square., more than 0.01",
        ),
    ],
)
def test_each_precision_has_its_bound(precision, compared, fault):
    found = find_fault(compared, precision)
    if fault is None:
        assert found is None
    else:
        assert re.search(fault, found)
