"""The sections of a model card, from what lies in the export's folder."""

from tftransfer.card.blocks import Code, Figure, Points, Section, Table, Text

MEASURED_ON = "measured_on"  # in the metadata of an export: on which data, and how so
_FEW_ROWS = 30  # of a class, for a figure of its own
_UNSURE = 0.05  # calibration error above which probabilities are no shares
_TASKS = {
    "classification": "one of {n} classes",
    "multi_label": "any of {n} labels at once",
    "regression": "{n} value{s}",
}
_MOST_NAMED = 20


def build_sections(export):
    """Return the sections of a card.

    Args:
        export: `Export`.

    Returns:
        List of `Section`; those of which nothing is known are left out.
    """
    sections = (
        Section("What it is", _describe(export)),
        Section("How good it is", _measure(export)),
        Section("Right and wrong", _show(export.figures)),
        Section("How it was trained", _tell_training(export)),
        Section("What was proven", _prove(export)),
        Section("Limits", [Points(list_limits(export))]),
        Section("How to use it", _tell_use(export)),
    )
    return [section for section in sections if section.blocks]


def summarize(about):
    """Return one sentence that says what goes in and what comes out."""
    names = about["class_names"]
    task = _TASKS[about["task"]].format(n=len(names), s="s" if len(names) > 1 else "")
    shown = ", ".join(names[:_MOST_NAMED]) + (", …" if names[_MOST_NAMED:] else "")
    return f"From {about['input']} to {task}: {shown}."


def _describe(export):
    about, own = export.about, export.about.get("metadata") or {}
    size = about.get("image_size")
    taken = {
        "Input": about["input"]
        + (f", seen at {size[0]} × {size[1]} pixels" if size else ""),
        **{
            name.replace("_", " ").capitalize(): own[name]
            for name in own
            if name != MEASURED_ON
        },
        "Needs where it is served": ", ".join(
            ["TensorFlow", *(about.get("requires") or [])]
        ),
        "Averaged over views": ", ".join(about.get("augment") or []) or None,
        "Temperature of the logits": _to_temperature(about),
        "Made with": ", ".join(
            f"{name} {about[name]}" for name in ("tftransfer", "keras", "tensorflow")
        ),
        "Made on": about["created"],
        "SHA-256 of the weights": about.get("weights_sha256"),
        **_describe_data(about.get("training_data") or {}),
    }
    rows = [[name, _to_cell(value)] for name, value in taken.items() if value]
    return [Table(["", ""], rows)]


def _describe_data(told):
    count = told.get("num_examples")
    return {
        "Learned from": f"{count:,} examples" if count else None,
        "SHA-256 of what it learned from": told.get("fingerprint"),
        "License of the data": told.get("license"),
    }


def _to_temperature(about):
    value, found = about.get("temperature", 1), about.get("calibration")
    if value == 1:
        return None
    if found is None:
        return value
    before, after = found["figures"]["expected_calibration_error"]
    rows = (
        f"{found['num_measured']:,} {'other ' if found['measured_apart'] else ''}rows"
    )
    return f"{value:.3g}, calibration error {before:.4f} to {after:.4f} on {rows}"


def _to_cell(value):
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_to_cell(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_to_cell, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _measure(export):
    evaluation, figures = export.evaluation, export.figures
    if evaluation is None:
        return []
    data = (export.about.get("metadata") or {}).get(MEASURED_ON)
    on = f", {data}" if data else ""
    rows = [
        [name.replace("_", " "), _to_figure(value), _to_interval(evaluation, name)]
        for name, value in evaluation["metrics"].items()
    ]
    blocks = [
        Text(f"On {evaluation['num_rows']:,} rows{on}."),
        Table(["figure", "value", "95 % interval"], rows),
    ]
    notes = [f"{name}: {note}" for name, note in evaluation["notes"].items()]
    if export.about.get("temperature", 1) != 1:
        notes.append(
            "Calibration error, log loss, Brier score and the figure of how sure it "
            "was are of the model before its temperature; classes are the same after."
        )
    if notes:
        blocks.append(Points(notes))
    if evaluation["per_class"]:
        head = list(evaluation["per_class"][0])
        cells = [
            [_to_figure(row.get(name)) for name in head]
            for row in evaluation["per_class"]
        ]
        blocks.append(Table([name.replace("_", " ") for name in head], cells))
    for name, caption in (
        ("confusion", "Which class is taken for which."),
        ("reliability", "How often it is right against how sure it was."),
    ):
        if name in figures:
            blocks.append(Figure(figures[name], caption))
    return blocks


def _to_figure(value):
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _to_interval(evaluation, name):
    ends = evaluation["intervals"].get(name)
    return f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else ""


def _show(figures):
    captions = {
        "examples": "Right ones, and the wrong ones it was most sure of.",
        "heat_maps": "Where it found the class it named.",
    }
    return [
        Figure(figures[name], caption)
        for name, caption in captions.items()
        if name in figures
    ]


def _tell_training(export):
    if export.history is None:
        return []
    epochs = max(map(len, export.history.values()), default=0)
    blocks: list = [Text(f"{epochs} epochs.")]
    if "history" in export.figures:
        caption = "Loss and metrics after each epoch."
        blocks.append(Figure(export.figures["history"], caption))
    return blocks


def _prove(export):
    parity = export.about.get("parity")
    if parity is None:
        return []
    blocks = [
        Text(
            f"The SavedModel was served by a {parity['where']}; its answers differed "
            f"from the live model's by {parity['max_abs_difference']:.1e} at most."
        )
    ]
    if export.parity:
        blocks.append(_tabulate_formats(export.parity["formats"]))
    return blocks


def _tabulate_formats(formats):
    known: dict = {}
    for proof in formats.values():
        known |= {name: None for name, x in proof.items() if _is_plain(x)}
    rows = [
        [name, *(_to_cell(proof.get(key, "–")) for key in known)]
        for name, proof in formats.items()
    ]
    return Table(["format", *(name.replace("_", " ") for name in known)], rows)


def _is_plain(value):
    return isinstance(value, (bool, int, float, str))


def list_limits(export):
    """Return what a user must not expect, as a list of sentences."""
    about, found = export.about, export.evaluation
    limits = []
    if found is None:
        limits.append("Nothing here says how good it is: no evaluation lies beside it.")
    else:
        limits.append(
            f"The figures hold for data like the {found['num_rows']:,} rows they were "
            "measured on. Elsewhere it may be wrong, and as sure."
        )
        rare = [
            str(row.get("name", row.get("class", place)))
            for place, row in enumerate(found["per_class"])
            if isinstance(row.get("support"), int) and row["support"] < _FEW_ROWS
        ]
        if rare:
            limits.append(
                f"Fewer than {_FEW_ROWS} rows were measured of: {', '.join(rare)}."
            )
        error = _find_calibration_error(about, found)
        if error is not None and error > _UNSURE:
            limits.append(
                f"Probabilities are off by {100 * error:.0f} points in the mean: rank "
                "by them, but do not read them as shares."
            )
    if about["task"] == "classification":
        limits.append(
            "Whatever goes in, one of its classes comes out, also of things that are "
            "none of them."
        )
    if about["input"] == "images":
        limits.append("Pixels are taken as stored: a camera's turn is not applied.")
    limits.append(
        "Weights and data keep their own licenses; the terms of both bind who uses it."
    )
    return limits


def _find_calibration_error(about, evaluation):
    """Return the error of the probabilities as they are served, `None` if unknown."""
    if about.get("temperature", 1) == 1:
        return evaluation["metrics"].get("expected_calibration_error")
    found = about.get("calibration")
    return found and found["figures"]["expected_calibration_error"][1]


def _tell_use(export):
    name = export.folder.name
    given = {"images": "photo.jpg", "texts": '"some text"'}.get(export.about["input"])
    python = (
        "import tftransfer as tft\n\n"
        f'model = tft.load_exported("{name}")\n'
        "print(model.predict(rows))"
    )
    blocks = [Code("python", python)]
    if given:
        blocks.insert(0, Code("bash", f"tftransfer predict {name} {given}"))
    return blocks
