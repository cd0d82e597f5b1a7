import numpy as np
import pytest

from tftransfer.adaptation.oracle import evaluate_candidates

CLASSES = np.array(["cat", "dog"])
CANDIDATES = {"control": np.eye(2)[[0, 0, 1, 1]], "chosen": np.eye(2)[[0, 1, 1, 1]]}


def test_accuracies_and_gains_are_marked_as_an_oracles():
    found = evaluate_candidates(CANDIDATES, CLASSES, ["cat", "dog", "dog", "cat"])
    assert found == {"control": 0.5, "chosen": 0.75}
    assert str(found).splitlines() == [
        "oracle: target labels were read  accuracy    gain",
        "control                            0.5000   +0.00",
        "chosen                             0.7500  +25.00",
    ]


def test_labels_must_be_as_many_as_rows():
    with pytest.raises(ValueError, match="4 target rows. Received: labels with 3"):
        evaluate_candidates(CANDIDATES, CLASSES, ["cat"] * 3)


def test_labels_must_be_classes_of_the_source():
    with pytest.raises(ValueError, match=r"Received: labels with \['bird'\]"):
        evaluate_candidates(CANDIDATES, CLASSES, ["cat", "dog", "dog", "bird"])
