"""What a batch of rows is answered with, in this process or in a worker's."""

import functools
import os

from tftransfer.export.inputs import TEXTS
from tftransfer.export.loading import load_exported

_NOTHING = "is empty in the table"


def answer_batch(exported, batch):
    """Return for each row its outputs, a list of floats, or an error, a str.

    Args:
        exported: `ExportedModel`.
        batch: List of files or texts; `None` where a table holds none.
    """
    there = [row for row in batch if row is not None]
    options = {} if exported.metadata["input"] == TEXTS else {"on_error": "keep"}
    found = exported.predict(there, batch_size=len(batch), **options) if there else ()
    answers = map(_to_plain, found)
    return [_NOTHING if row is None else next(answers) for row in batch]


def answer_all(exported, batches, cluster):
    """Yield what `answer_batch` gives for each batch, in order.

    Args:
        exported: `ExportedModel`, loaded from a folder if there is a cluster.
        batches: List of lists of files or texts.
        cluster: `RayCluster` whose workers answer, `None` for this process.
    """
    if cluster is None:
        return (answer_batch(exported, batch) for batch in batches)
    path = os.path.abspath(exported.path)
    make = functools.partial(_begin, path, exported.engine, exported.metadata)
    if exported.metadata["input"] != TEXTS:  # a worker has another working folder
        batches = [
            [file and os.path.abspath(file) for file in batch] for batch in batches
        ]
    return cluster.map_in_order(make, batches)


def _begin(path, engine, metadata):
    """Load the export in a worker, and see that it is the same."""
    exported = load_exported(path, engine=engine)
    if exported.metadata != metadata:
        raise ValueError(
            f"`exported` must be the same on every machine. Received: {path!r}, which "
            "differs between this worker's machine and the one that calls."
        )
    return functools.partial(answer_batch, exported)


def _to_plain(prediction):
    named = prediction.probabilities or prediction.values or {}
    return prediction.error or list(named.values())
