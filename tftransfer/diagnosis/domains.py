"""Batches of two domains out of balance, and target labels within reach."""

import keras
import numpy as np

from tftransfer.diagnosis.finding import ERROR, WARNING, Finding, NotChecked
from tftransfer.diagnosis.reading import read_batches

UNBALANCED, FEW = 4.0, 4
_SHARE = 0.01


def find_unbalanced_domains(case):
    """Find batches in which one domain has many times the rows of the other."""
    if case.train is None or not case.takes_pairs:
        raise NotChecked("the training data are no pairs of domains")
    source, target = (len(x) for x in _first_batch(case.train))
    ratio = max(source, target) / max(min(source, target), 1)
    if ratio < UNBALANCED:
        return []
    return [
        Finding(
            "unbalanced_domains",
            WARNING,
            f"A batch holds {source} rows of the source and {target} of the target.",
            {"source rows": source, "target rows": target, "ratio": ratio},
            "Statistics of the smaller domain are noise, a domain classifier learns "
            "the larger one, and alignment follows neither.",
            "tft.pair_domains(source.rebatch(32), target.rebatch(32))",
        )
    ]


def find_target_labels(case):
    """Find labels of the target domain where adaptation could read them."""
    found = []
    if case.target is not None:
        found += _labels_beside(case.target)
        found += _rows_in_training(case)
    elif case.train is None or not case.takes_pairs:
        raise NotChecked("no target domain was given")
    if case.train is not None and case.takes_pairs:
        found += _labels_in_batch(case.train)
    return found


def _first_batch(rows):
    return next(iter(read_batches(rows.name, rows.source, rows.usual_batch)))[0]


def _labels_beside(target):
    labels = target.all_labels
    if labels is None:
        return []
    numbers = np.asarray(labels)
    masked = numbers.dtype.kind in "if" and np.all((numbers < 0) | np.isnan(numbers))
    if masked:
        return []
    evidence = {"labeled rows of the target": len(labels)}
    return [
        _finding(
            WARNING,
            "The target domain comes with its labels.",
            evidence,
            "tft.UnlabeledDomain(target)  # or target.map(lambda x, y: x)",
        )
    ]


def _rows_in_training(case):
    if case.train is None or case.takes_pairs or case.train.all_labels is None:
        return []
    known = set(case.train.digests)
    count = sum(digest in known for digest in case.target.digests)
    share = count / len(case.target.digests)
    if count < 2 or share < _SHARE:
        return []
    return [
        _finding(
            ERROR,
            f"{count} rows of the target are in the training data, with labels.",
            {"rows": count, "share of the target": share},
            "data = the source alone",
        )
    ]


def _labels_in_batch(train):
    """Labels for more rows than the source has."""
    labels = train.labels
    if labels is None:
        return []
    counts = [len(x) for x in keras.tree.flatten(labels)]
    source = len(train.inputs[0])
    several = keras.tree.is_nested(labels)
    if not several and counts[0] <= source:
        return []
    return [
        _finding(
            ERROR,
            "Batches hold labels for the target as well as for the source.",
            {"rows of the source": source, "labels": sum(counts)},
            "data.map(lambda x, y: (x, y[0]))  # labels of the source alone",
        )
    ]


def _finding(severity, message, evidence, repair):
    return Finding(
        "target_labels",
        severity,
        message,
        evidence,
        "What is trained or chosen by them is not unsupervised: figures on the target "
        "are not those of a target without labels.",
        repair,
    )
