"""Whether a trained classifier recognizes its data better in another form."""

import time

import numpy as np

from tftransfer.diagnosis.finding import NotChecked
from tftransfer.diagnosis.trained import is_head_new
from tftransfer.tasks import infer_task

CLEARLY, ABOVE_CHANCE = 4.0, 0.15
_FEWEST, _WELL, _MOST_SECONDS = 32, 0.9, 15.0


def class_of_labels(case):
    """Class numbers of the labels and of the outputs of a classifier.

    Args:
        case: `Case`.

    Returns:
        Whole array `(rows,)` of labels, and a function from outputs to class numbers.

    Raises:
        NotChecked: If the model is no classifier, its head is new, or there are no
            labels.
    """
    labels = np.asarray(case.labels)
    if is_head_new(case.model):
        raise NotChecked("the head has not been trained yet")
    try:
        task = infer_task(case.model, num_outputs=_width(case))
    except ValueError:
        raise NotChecked("the model's loss does not tell its task") from None
    if task.name != "classification":
        raise NotChecked(f"the task is {task.name}")
    if labels.ndim == 2 and labels.shape[-1] > 1:
        labels = labels.argmax(axis=-1)
    threshold = 0.0 if task.from_logits else 0.5

    def classify(outputs):
        if task.is_binary:
            return (outputs.reshape(len(outputs)) > threshold).astype("int64")
        return outputs.argmax(axis=-1)

    return np.round(labels).astype("int64").reshape(-1), classify


def recognizes_better(case, forms):
    """Find the form of the rows that a trained model recognizes far better.

    Rows that it classifies rightly only in another form are counted against those it
    does only as they are; the difference must be beyond four standard deviations. A
    head that was not trained yet classifies by chance and gives no answer.

    Args:
        case: `Case`.
        forms: List of arrays, each the inputs of the case in another form.

    Returns:
        `(index of the form, evidence)`, or `None`.
    """
    try:
        labels, classify = class_of_labels(case)
        given = classify(case.outputs)
    except NotChecked:
        return None
    if len(labels) < _FEWEST or given.shape != labels.shape:
        return None
    most_frequent = np.bincount(labels - labels.min()).max() / len(labels)
    right = given == labels
    best, start = None, time.monotonic()
    if right.mean() > _WELL:
        return None
    for place, form in enumerate(forms):
        if time.monotonic() - start > _MOST_SECONDS:
            break
        other = classify(case.predict(form.astype("float32"))) == labels
        gained, lost = np.sum(other & ~right), np.sum(right & ~other)
        is_clear = gained - lost > CLEARLY * np.sqrt(max(gained + lost, 1))
        if not is_clear or other.mean() < most_frequent + ABOVE_CHANCE:
            continue
        if best is None or other.mean() > best[1]["accuracy after repair"]:
            accuracies = {
                "accuracy": float(right.mean()),
                "accuracy after repair": float(other.mean()),
            }
            best = place, accuracies
    return best


def _width(case):
    outputs = case.outputs
    if outputs.ndim != 2:
        raise NotChecked("the outputs are not (rows, classes)")
    return outputs.shape[-1]
