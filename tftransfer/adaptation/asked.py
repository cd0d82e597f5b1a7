"""A few target labels: which rows to ask for, and the result that follows from them."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from tftransfer.adaptation.estimate import Estimate
from tftransfer.adaptation.guard import ADAPTED, IN_PART, KEPT
from tftransfer.adaptation.previews import describe_calls, pick_inputs
from tftransfer.adaptation.spreading import CorrectedModel, correct, spread_labels
from tftransfer.adaptation.troubles import describe_shares
from tftransfer.asking.asking import check_rows, choose_rows
from tftransfer.asking.deciding import CONTROL, decide
from tftransfer.asking.labeling_page import write_labeling_files
from tftransfer.asking.labels_file import read_labels

CORRECTED = "corrected"  # what the labels chose, corrected by them
_NETWORK = "E."  # of the names of candidates whose backbone was trained


def ask(result, count, output, *, inputs, already, seed, overwrite):
    """Draw rows that tell candidates from the control, and write files to label them.

    Args:
        result: `AdaptationResult`.
        count: Number of rows wanted.
        output: Path of the CSV file, or None to write nothing.
        inputs: What the target rows are, or None.
        already: Rows not to be drawn, beside those whose labels were given.
        seed: Whole number >= 0.
        overwrite: Whether files there may be replaced.

    Returns:
        `Question`.

    Raises:
        ValueError: If `output` is no `.csv`, or a file exists already.
    """
    path = None if output is None else _check_output(output)
    control, calls = _calls(result)
    question = choose_rows(
        control, calls, count, already=[*result.asked, *already], seed=seed
    )
    if path is not None and len(question.rows):
        rows, classes = question.rows.tolist(), result.classes.tolist()
        every = {CONTROL: control, **calls}
        if inputs is None:
            previews = [describe_calls(every, row, classes) for row in rows]
        else:
            previews = pick_inputs(inputs, rows, len(control))
        table, page = write_labeling_files(
            path.parent,
            rows,
            classes,
            previews,
            control=[classes[control[row]] for row in rows],
            candidate=[classes[_rival(control, calls, row)] for row in rows],
            data_key=result.data_key,
            name=path.stem,
            overwrite=overwrite,
        )
        question = dataclasses.replace(question, csv=table, page=page)
    print(question)
    return question


def decide_by_labels(result, labels, rows=None):
    """Return the result that follows from a few labels of target rows.

    Args:
        result: `AdaptationResult`.
        labels: Dictionary from row to label, or path of a filled CSV file.
        rows: Rows that were asked, in the order drawn; of a file only.

    Returns:
        `AdaptationResult`.

    Raises:
        TypeError: If `labels` is neither.
        ValueError: If a row does not exist, a label is no class of the source, or the
            file cannot be read.
    """
    origin = result.before or result
    control, calls = _calls(origin)
    answers = read_answers(labels, origin.classes, len(control), result.data_key, rows)
    asked = {**result.asked, **answers}
    truth = _to_numbers(asked, origin.classes)
    fallback = None if origin.choice == CONTROL else origin.choice
    decision = decide(truth, control, calls, fallback=fallback)
    return _build(origin, asked, truth, decision)


def _calls(result):
    """Return the calls of the control, and of each candidate that labels judge."""
    origin = result.before or result
    calls = {
        name: origin.candidates[name].argmax(axis=1)
        for name in (CONTROL, *origin.compared)
    }
    return calls.pop(CONTROL), calls


def _rival(control, calls, row):
    """Return the class, not the control's, that most candidates name."""
    named = [labels[row] for labels in calls.values() if labels[row] != control[row]]
    return int(np.bincount(named).argmax())


def _check_output(output):
    path = Path(output)
    if path.suffix.lower() != ".csv":
        raise ValueError(
            "`output` must be the path of a .csv file. Received: "
            f"output={str(output)!r}. The page to fill it with is written beside it, "
            "as .html."
        )
    return path


def read_answers(labels, classes, num_rows, data_key="", rows=None):
    """Read labels of target rows from where they were given, and check them.

    Args:
        labels: Dictionary from row to label, or path of a filled CSV file.
        classes: Array `(num_classes,)`.
        num_rows: Number of target rows.
        data_key: As of the file.
        rows: Rows that were asked, in the order drawn; of a file only.

    Returns:
        Dictionary from row to one of the classes.

    Raises:
        TypeError: If `labels` is neither.
        ValueError: If a file holds no label or was edited elsewhere, a row does not
            exist, or a label is no class.

    Example:

    >>> from tftransfer.adaptation.asked import read_answers
    >>> read_answers({np.int64(3): "dog"}, np.array(["cat", "dog"]), 20)
    {3: 'dog'}
    """
    if isinstance(labels, (str, Path)):
        path, names = labels, classes.tolist()
        labels = read_labels(path, names, data_key=data_key, rows=rows)
        if not labels:
            raise ValueError(
                "`labels` must be a file with at least one label filled in. Received: "
                f"labels={str(path)!r}, with none. Write classes into its column "
                "'label', or use the page beside it."
            )
    if not isinstance(labels, dict):
        raise TypeError(
            "`labels` must be a dictionary from row to label, or the path of a filled "
            f"CSV file. Received: labels of type {type(labels).__name__}. Rows are "
            "counted from 0, as the target was given."
        )
    places = check_rows("labels", labels, num_rows)
    answers = dict(zip(places.tolist(), labels.values(), strict=True))
    known = classes.tolist()
    unknown = {row: label for row, label in answers.items() if label not in known}
    if unknown:
        raise ValueError(
            f"`labels` must name classes of the source, {known}. Received: labels with "
            f"{dict(list(unknown.items())[:3])}. Leave rows of other classes out."
        )
    return answers


def _to_numbers(asked, classes):
    place = {label: number for number, label in enumerate(classes.tolist())}
    return {row: place[label] for row, label in asked.items()}


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """What the labels chose, and what they say of further rows."""

    name: str
    verdict: str
    probabilities: np.ndarray
    model: Any  # `FeatureModel`
    reasons: list


def _build(origin, asked, truth, decision):
    answered, labels = np.array(list(truth), int), np.array(list(truth.values()), int)
    outcome = _choose(origin, answered, labels, decision)
    probabilities = outcome.probabilities.copy()
    probabilities[answered] = np.eye(probabilities.shape[1])[labels]
    called = origin.candidates[decision.chosen][answered].argmax(axis=1)
    corrected = np.sum(called != labels) / len(probabilities)
    score = decision.scores.get(decision.chosen)
    before, after = (
        describe_shares(origin.source_counts, each.argmax(axis=1), origin.classes)
        for each in (origin.candidates["chosen"], probabilities)
    )
    found = {outcome.name: outcome.probabilities, "chosen": probabilities}
    models = {outcome.name: outcome.model, "chosen": outcome.model}
    return dataclasses.replace(
        origin,
        model=outcome.model,
        verdict=outcome.verdict,
        reasons=[*outcome.reasons, *_explain(origin, decision)],
        table=origin.table.with_scores(decision.scores),
        estimated_accuracy={
            **origin.estimated_accuracy,
            "chosen": _estimate(origin.estimated_accuracy[CONTROL], score, corrected),
        },
        candidates={**origin.candidates, **found},
        models={**origin.models, **models},
        notes=[note for note in origin.notes if note not in before] + after,
        asked=asked,
        choice=outcome.name,
        labels_needed=decision.labels_needed,
        before=origin,
    )


def _choose(origin, answered, labels, decision):
    """Return what the labels chose, corrected where they prove good at that too."""
    name, reasons = decision.chosen, [decision.reason.removesuffix(".")]
    probabilities, model = origin.candidates[name], origin.models[name]
    verdict = origin.verdict if name == origin.choice else ADAPTED
    verdict = KEPT if name == CONTROL else verdict
    # A network is served as it is: nothing can be added to its calls.
    if not name.startswith(_NETWORK) and len(answered) > 1:
        found = spread_labels(origin.neighborhood, probabilities, answered, labels)
        if found.right > found.right_before:
            called = probabilities.argmax(axis=1)
            probabilities = correct(probabilities, found.amounts)
            corrected = CorrectedModel(
                model.probabilities_of, origin.neighborhood, found.amounts
            )
            model = dataclasses.replace(model, probabilities_of=corrected)
            count = np.sum(probabilities.argmax(axis=1) != called)
            reasons.append(
                f"the labels, spread to rows beside them, correct {count} of "
                f"{len(called)} calls: of {len(labels)} asked rows, each left out in "
                f"turn, {found.right} are right instead of {found.right_before}"
            )
            name, verdict = CORRECTED, IN_PART if verdict == KEPT else verdict
    return _Outcome(name, verdict, probabilities, model, reasons)


def _explain(origin, decision):
    reasons = []
    if decision.num_ignored:
        reasons.append(
            f"{decision.num_ignored} of the labels tell nothing: nobody differs from "
            "the control there"
        )
    if not decision.proven:
        reasons.append(
            f"about {decision.labels_needed} labels more would settle it"
            if decision.labels_needed
            else "no further labels can settle it"
        )
    return [*reasons, f"without labels: {origin.verdict}, {'; '.join(origin.reasons)}"]


def _estimate(control, score, corrected):
    """Add the gain and the rows now known to the estimate for the control."""
    gain, spread = 0.0, 0.0
    if score is not None:
        gain, spread = score.gain / 100, (score.high - score.low) / 200
    known = math.hypot(
        max(control.high - control.value, control.value - control.low), spread
    )
    value = min(max(control.value + gain + corrected, 0.0), 1.0)
    return Estimate(value, max(value - known, 0.0), min(value + known, 1.0))
