"""How right the candidates were, for those who have the target's labels."""

import numpy as np

from tftransfer.columns import align_columns


class OracleEvaluation(dict):
    """A dict from candidate to accuracy in 0..1 on the target, read with its labels.

    Prints as a table with the gain in points against the control.
    """

    def __str__(self):
        rows = [["oracle: target labels were read", "accuracy", "gain"]]
        for name, accuracy in self.items():
            gain = 100 * (accuracy - self["control"])
            rows.append([name, f"{accuracy:.4f}", f"{gain:+.2f}"])
        return "\n".join(align_columns(rows))


def evaluate_candidates(candidates, classes, labels):
    """Return accuracies of candidates.

    Args:
        candidates: Dict from name to float array `(m, num_classes)`.
        classes: Array `(num_classes,)`.
        labels: Sequence `(m,)` of these classes.

    Returns:
        `OracleEvaluation`.

    Raises:
        ValueError: If the labels differ in number from the rows, or are no classes.
    """
    labels = np.asarray(labels).ravel()
    num_rows = len(candidates["control"])
    if len(labels) != num_rows:
        raise ValueError(
            f"`labels` must have one label for each of the {num_rows} target rows. "
            f"Received: labels with {len(labels)}. Give those of the rows that were "
            "adapted to, in their order."
        )
    place = {label: number for number, label in enumerate(classes.tolist())}
    unknown = sorted({x for x in labels.tolist() if x not in place}, key=str)
    if unknown:
        raise ValueError(
            f"`labels` must be classes of the source, {list(place)}. Received: labels "
            f"with {unknown[:5]}. Leave rows of other classes out of the target."
        )
    truth = np.array([place[label] for label in labels.tolist()])
    return OracleEvaluation(
        {
            name: float(np.mean(probabilities.argmax(axis=1) == truth))
            for name, probabilities in candidates.items()
        }
    )
