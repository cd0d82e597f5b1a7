"""Predict a whole folder or table into a file, and go on where a kill left it."""

import collections
import contextlib
import dataclasses
import os
from pathlib import Path

from tqdm import tqdm

from tftransfer.checks import check_whole_number
from tftransfer.cluster.ray_cluster import check_cluster
from tftransfer.export.inference import ExportedModel
from tftransfer.export.inputs import IMAGES, TEXTS
from tftransfer.export.loading import load_exported
from tftransfer.export.predictions import build_predictions
from tftransfer.scoring.answering import answer_all
from tftransfer.scoring.journal import Journal
from tftransfer.scoring.outputs import check_output, write_output
from tftransfer.scoring.sources import ROW, SOURCE, list_rows
from tftransfer.writing import check_may_write

ERROR = "error"  # the last column
_ROWS_AT_ONCE = 4096  # of the output, in memory


@dataclasses.dataclass(frozen=True)
class BatchPrediction:
    """What `batch_predict` wrote.

    Attributes:
        output: The file.
        num_rows: Rows in it.
        num_errors: Of these, rows that could not be read.
        num_resumed: Rows that an earlier run, stopped on the way, had answered.
    """

    output: str
    num_rows: int
    num_errors: int
    num_resumed: int

    def __str__(self):
        told = [f"{self.num_rows:,} rows in {self.output}"]
        if self.num_resumed:
            told.append(f"{self.num_resumed:,} of them from a run that was stopped")
        if self.num_errors:
            told.append(f"{self.num_errors:,} could not be read: see the column error")
        return "; ".join(told)


def batch_predict(
    exported,
    rows,
    output,
    *,
    text_column=None,
    image_column=None,
    batch_size=32,
    overwrite=False,
    cluster=None,
    verbose=1,
):
    """Predict all images of a folder, or all rows of a table, into a file.

    A file that is missing or no image, and a text that is missing, get a row that tells
    the error; all others are answered. What has been answered is kept beside `output`,
    in `.partial-<its name>`, until all is done: the same call after a kill goes on from
    there and ends in the same file, byte for byte. Rows keep their order; those in
    memory are one batch.

    Args:
        exported: What `load_exported` returned, or a folder that `export_model` wrote.
        rows: Folder of images, searched to its depth; CSV, TSV or JSON-lines table,
            also packed as `.gz`, `.xz` or `.bz2`; or list of files or texts.
        output: File to write: `.csv`, `.jsonl` or `.parquet` (with PyArrow). Columns:
            `source`, or `row` from 1 for a table or texts; `label` and `probability`,
            for several labels at once `labels`, joined by `;`; `probability of <class>`
            for each class, or the name of each value of a regression (`value of <name>`
            where another column has it); `error`.
        text_column: Column of a table with texts; `None` takes `text`.
        image_column: Column with paths, relative to the table; `None` takes `image`.
        batch_size: Rows computed at once.
        overwrite: Whether a file at `output` is replaced.
        cluster: `RayCluster` whose workers answer, each with the export loaded; what
            they have answered is kept as above. `None`: this process answers.
        verbose: 1 shows progress, 0 nothing.

    Returns:
        A `BatchPrediction`: `print` tells how many rows and errors.

    Raises:
        ValueError: If an argument does not fit the model, or `output` exists or is
            being written by another process.
        FileNotFoundError: If `rows` is not there.
        ImportError: If Parquet is asked for and PyArrow is not installed.
        RuntimeError: If a worker of `cluster` failed.

    Example:

    ```python
    done = tft.batch_predict("saved_models/photos", "photos/", "predictions.csv")
    ```
    """
    path = Path(os.path.abspath(output))
    check_output(path)
    check_may_write(path, overwrite, "output")
    check_whole_number("batch_size", batch_size)
    check_cluster(cluster)
    if not isinstance(exported, ExportedModel):
        exported = load_exported(exported)
    is_text = _check_kind(exported)
    source = list_rows(rows, is_text, text_column, image_column)
    path.parent.mkdir(parents=True, exist_ok=True)
    job = {
        "model": exported.metadata,
        "engine": exported.engine,
        "rows": source.digest,
        "batch_size": batch_size,
    }
    with Journal(path.with_name(f".partial-{path.name}"), job) as journal:
        resumed = _fill(journal, exported, source.rows, batch_size, cluster, verbose)
        counts: collections.Counter = collections.Counter()
        told = _tell(journal, source, exported, counts)
        write_output(path, told, _columns(source, exported))
        journal.remove()
    return BatchPrediction(str(output), len(source.rows), counts["errors"], resumed)


def _check_kind(exported):
    kind = exported.metadata["input"]
    if kind not in (IMAGES, TEXTS):
        raise ValueError(
            "`exported` must take images or texts. "
            f"Received: a model of {kind}. Pass arrays to exported.predict."
        )
    return kind == TEXTS


def _fill(journal, exported, rows, batch_size, cluster, verbose):
    """Answer the batches that are not in the journal yet; return how many rows were."""
    done = min(journal.num_batches * batch_size, len(rows))
    starts = range(done, len(rows), batch_size)
    batches = [rows[start : start + batch_size] for start in starts]
    bar = tqdm(
        total=len(rows), initial=done, unit="row", disable=not verbose, leave=False
    )
    with bar, contextlib.closing(answer_all(exported, batches, cluster)) as answers:
        for batch, answer in zip(batches, answers, strict=True):
            journal.append(answer)
            bar.update(len(batch))
    return done


def _columns(source, exported):
    columns: dict = {source.column: str if source.column == SOURCE else int}
    if exported.task == "multi_label":
        columns["labels"] = str
    elif exported.task == "classification":
        columns |= {"label": str, "probability": float}
    columns |= dict.fromkeys(_output_names(exported), float)
    return columns | {ERROR: str}


def _output_names(exported):
    if exported.task == "regression":
        taken = (SOURCE, ROW, ERROR)
        return [f"value of {x}" if x in taken else x for x in exported.labels]
    return [f"probability of {name}" for name in exported.labels]


def _tell(journal, source, exported, counts):
    """Yield lists of rows of the output; count errors."""
    names, rows = iter(source.names), []
    for answers in journal:
        for answer in answers:
            row = {source.column: next(names)}
            if isinstance(answer, str):
                counts["errors"] += 1
                rows.append(row | {ERROR: answer})
            else:
                rows.append(row | _name_outputs(answer, exported))
        if len(rows) >= _ROWS_AT_ONCE:
            yield rows
            rows = []
    yield rows


def _name_outputs(numbers, exported):
    (found,) = build_predictions([None], [numbers], exported.task, exported.labels)
    named = dict(zip(_output_names(exported), numbers, strict=True))
    if found.labels is not None:
        return {"labels": ";".join(found.labels)} | named
    if found.label is None:
        return named
    return {"label": found.label, "probability": found.probability} | named
