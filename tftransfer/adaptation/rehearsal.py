"""A first pass over the target: what passes take, and whether its order is fixed."""

import dataclasses

import numpy as np

from tftransfer.distribution.predicting import predict_batch


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """What a network made of the target, and how long it took.

    Attributes:
        logits: Float array `(rows, num_outputs)`, or None where time was too short.
        starting: Seconds that the first batch took more than a later one.
        batch: Seconds that a batch takes.
        row: Seconds that a row takes.
    """

    logits: np.ndarray | None
    starting: float
    batch: float
    row: float

    def seconds(self, num_rows):
        """Return what a pass over some rows takes, the start included."""
        return self.starting + num_rows * self.row


def rehearse(model, batches, clock, reserve=0.0):
    """Run a network over batches in their order, as long as time is left.

    Args:
        model: `keras.Model`.
        batches: Iterable of what it takes.
        clock: `Clock`.
        reserve: Seconds of it that must stay.

    Returns:
        `Rehearsal`.
    """
    logits: list = []
    begun, first, num_rows = clock.spent, 0.0, 0
    for batch in batches:
        if clock.left - reserve <= 0:
            spent = clock.spent - begun
            return Rehearsal(None, first or spent, spent, spent)
        if not logits:
            predict_batch(model, batch)  # makes the graph
            first, begun = clock.spent - begun, clock.spent
        logits.append(predict_batch(model, batch))
        num_rows += len(logits[-1])
    spent = clock.spent - begun
    each = spent / len(logits)
    return Rehearsal(
        np.concatenate(logits), max(first - each, 0.0), each, spent / num_rows
    )
