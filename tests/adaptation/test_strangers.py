import numpy as np
import pytest

from tftransfer.adaptation.strangers import share_of_strangers
from tftransfer.methods.problem import Problem

CENTERS = 9 * np.eye(6)


def draw(labels, seed):
    return CENTERS[labels] + np.random.default_rng(seed).normal(size=(len(labels), 6))


def build(labels, known=3):
    source = np.arange(300) % known
    return Problem(draw(source, 0), source, draw(labels, 1), known)


def test_alike_domains_have_hardly_any():
    assert share_of_strangers(build(np.arange(300) % 3)) < 0.04


def test_a_missing_class_makes_none():
    assert share_of_strangers(build(np.repeat([0, 1], [150, 100]))) < 0.04


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_rows_of_unknown_classes_are_found(share):
    count = int(400 * share)
    labels = np.concatenate([np.arange(400 - count) % 3, 3 + np.arange(count) % 3])
    assert share_of_strangers(build(labels)) > 0.5 * share


def test_of_many_rows_some_are_drawn(monkeypatch):
    problem = build(np.arange(300) % 5)
    monkeypatch.setattr("tftransfer.adaptation.strangers._MOST_ROWS", 120)
    assert 0.1 < share_of_strangers(problem) < 0.7
    assert share_of_strangers(problem) == share_of_strangers(problem)
