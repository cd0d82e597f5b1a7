"""What was given, read and checked before anything is fitted."""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np

from tftransfer.adaptation.checks import (
    check_target_rows,
    check_widths,
    read_features,
    split_target,
)
from tftransfer.adaptation.reduction import find_reduction
from tftransfer.adaptation.sources import Source, read_source
from tftransfer.methods.problem import Problem


@dataclasses.dataclass(frozen=True)
class Domains:
    """Both domains as they are fitted on, and what leads there.

    Attributes:
        problem: `Problem`.
        reduction: Function from raw rows to those of the problem.
        source: `Source`, raw.
        notes: List of str to tell.
        data_key: `str` that tells these target rows from others.
    """

    problem: Problem
    reduction: Callable
    source: Source
    notes: list
    data_key: str


def read_domains(source_features, source_labels, target_features, seed):
    """Read and check both domains, and reduce their features.

    Args:
        source_features: As of `adapt_features`.
        source_labels: As of `adapt_features`.
        target_features: As of `adapt_features`.
        seed: Whole number >= 0.

    Returns:
        `Domains`.

    Raises:
        TypeError: If features are no numbers.
        ValueError: As of `adapt_features`.
    """
    target_features, had_labels = split_target(target_features)
    source = read_source(source_features, source_labels)
    target = read_features("target_features", target_features)
    check_widths(source.features, target)
    check_target_rows(target)
    rows, data_key = source.features, _identify(target)
    if hasattr(rows, "tocsr") != hasattr(target, "tocsr"):
        rows, target = (
            each.toarray() if hasattr(each, "tocsr") else each
            for each in (rows, target)
        )
    reduction, notes = find_reduction(rows, target, seed)
    if had_labels:
        notes.insert(0, "labels came with the target: dropped unread")
    num_classes = len(source.classes)
    problem = Problem(
        reduction(rows), source.labels, reduction(target), num_classes, seed
    )
    return Domains(problem, reduction, source, notes, data_key)


def _identify(rows):
    """Return what tells target rows from others: a file of labels belongs to one."""
    if hasattr(rows, "tocsr"):
        rows = np.concatenate([rows.data, rows.indices, rows.indptr, rows.shape])
    content = np.ascontiguousarray(rows, "float64").data
    return hashlib.sha256(content).hexdigest()[:16]
