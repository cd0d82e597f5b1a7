"""The folder that `tftransfer adapt` writes, and goes on from with labels."""

import csv
import importlib.util
import json
import pathlib
import shutil

import tftransfer as tft
from tftransfer.writing import check_may_write, write_json

JSON_FILE, CALLS_FILE, LAYER_FILE = "adaptation.json", "calls.csv", "model.npz"
FIGURE_FILE = "figure.png"
_QUESTION = "to_label"


def read_earlier(output, labels, given, *, overwrite):
    """Return what an earlier run wrote that this one goes on from.

    Args:
        output: Folder to write.
        labels: Path of a filled CSV file, or None.
        given: Dictionary of words of the command that must be the same.
        overwrite: Whether an earlier run may be replaced.

    Returns:
        Dictionary, empty without labels.

    Raises:
        ValueError: If the folder is something else, is there already, or was written
            with other words; or there is no such file of labels.
    """
    output = pathlib.Path(output)
    check_may_write(output, overwrite=True)
    file = output / JSON_FILE
    is_ours = file.is_file()
    if output.exists() and not is_ours and (output.is_file() or any(output.iterdir())):
        raise ValueError(
            "`--output` must be new or an earlier output of adapt, so that nothing "
            f"else is lost. Received: {str(output)!r}, which is something else. Choose "
            "another folder."
        )
    if labels is None:
        if is_ours and not overwrite:
            raise ValueError(
                "`--output` must not exist yet, unless --overwrite or --labels is "
                f"given. Received: {str(output)!r}, which exists. Choose another "
                "folder, or add one of them."
            )
        return {}
    if not pathlib.Path(labels).is_file():
        raise ValueError(
            "`--labels` must be the CSV file that --ask wrote, filled. Received: "
            f"{str(labels)!r}, which is no file. Download it from the page."
        )
    if not is_ours:
        raise ValueError(
            "`--output` must be the folder of the run that asked for the labels. "
            f"Received: {str(output)!r}, which holds no {JSON_FILE}. Run the same with "
            "--ask first."
        )
    earlier = json.loads(file.read_text(encoding="utf-8"))
    _check_same(earlier["arguments"], given)
    return earlier


def _check_same(before, given):
    for name, value in given.items():
        if before.get(name) != value:
            flag = name.upper() if name in ("source", "target") else _to_flag(name)
            raise ValueError(
                f"`{flag}` must be that of the run that asked for the labels, "
                f"{before.get(name)!r}. Received: {value!r}. Repeat its words, with "
                "--labels added."
            )


def _to_flag(name):
    return f"--{name.replace('_', '-')}"


def decide_on(result, labels, earlier):
    """Return the result that follows from labels given earlier and now.

    Args:
        result: `AdaptationResult` without labels.
        labels: Path of a filled CSV file, or None.
        earlier: Of `read_earlier`.
    """
    if earlier.get("asked"):
        result = result.decide({row: label for row, label in earlier["asked"]})
    if labels is None:
        return result
    rows = earlier.get("questions", {}).get(pathlib.Path(labels).name)
    return result.decide(labels, rows=rows)


def name_question(output):
    """Return a name for a file of labels that the folder does not have yet."""
    names = [_QUESTION, *(f"{_QUESTION}_{number}" for number in range(2, 1000))]
    return next(
        f"{name}.csv" for name in names if not (output / f"{name}.csv").exists()
    )


def carry_questions(output, folder):
    """Copy files of labels, which may be filled, from the old folder to the new."""
    for kind in ("csv", "html"):
        for file in pathlib.Path(output).glob(f"{_QUESTION}*.{kind}"):
            shutil.copy2(file, folder / file.name)


def write_report(folder, result, names, about):
    """Write the verdict with its figures, the calls, and the drawing.

    Args:
        folder: Where.
        result: `AdaptationResult`.
        names: List of what to call each target row, or None.
        about: Dictionary of further content of the JSON file.
    """
    write_json(folder / JSON_FILE, {**result.to_dict(), **about})
    probabilities = result.predict_proba().max(axis=1)
    control = result.classes[result.candidates["control"].argmax(axis=1)]
    # Names of files may hold bytes that are no UTF-8.
    with open(
        folder / CALLS_FILE, "w", encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        writer = csv.writer(file)
        writer.writerow(["row", "input", "label", "probability", "control"])
        columns = zip(result.labels, probabilities, control, strict=True)
        for row, (label, probability, before) in enumerate(columns):
            name = names[row] if names else ""
            writer.writerow([row, name, label, f"{probability:.4f}", before])
    if importlib.util.find_spec("matplotlib") is not None:
        result.figure().savefig(folder / FIGURE_FILE)


def write_layer(folder, result, rows):
    """Write a model of features as plain arrays: no pickle, no program.

    Args:
        folder: Where; it is made.
        result: `AdaptationResult`.
        rows: Target rows, float array `(m, width)`.

    Returns:
        A `str` that says what was written.
    """
    import numpy as np  # not at the top: help must not wait for it

    kernel, bias, agreement = result.linear_layer(rows)
    folder.mkdir()
    np.savez(folder / LAYER_FILE, kernel=kernel, bias=bias, classes=result.classes)
    return (
        f"{LAYER_FILE} calls classes[argmax(features @ kernel + bias)], which is what "
        f"was chosen in {agreement:.1%} of the target rows"
    )


def write_network(folder, found, class_names, dataset, about):
    """Write the export and the Keras file of a network.

    Args:
        folder: Where; it is made.
        found: `DomainAdaptation`.
        class_names: List of `str`, of the source.
        dataset: Target rows, for the proof of the export.
        about: Dictionary kept in the export.

    Returns:
        A `str` that says what was written.
    """
    proof = tft.export_model(
        found.model,
        folder,
        class_names=class_names[: found.model.output_shape[-1]],
        examples=dataset.take(1),
        metadata=about,
        verbose=False,
    )
    found.model.save(folder / "model.keras")
    difference = proof["parity"]["max_abs_difference"]
    return (
        "a SavedModel, whose answers in a fresh process differ from the live model's "
        f"by at most {difference:.1e}; it calls what was chosen in "
        f"{found.agreement:.1%} of the target rows"
    )
