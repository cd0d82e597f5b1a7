"""A result in plain JSON values."""

import dataclasses


def summarize(result):
    """Return what a result says, without arrays and models.

    Args:
        result: `AdaptationResult`.

    Returns:
        Dictionary of plain JSON values.
    """
    asked = zip(result.asked, result.asked.values(), strict=True)
    return {
        "verdict": result.verdict,
        "choice": result.choice,
        "reasons": list(result.reasons),
        "notes": list(result.notes),
        "estimated_accuracy": {
            name: dataclasses.asdict(estimate)
            for name, estimate in result.estimated_accuracy.items()
        },
        "scores": {name: float(value) for name, value in result.scores.items()},
        "table": [dict(row) for row in result.table],
        "classes": result.classes.tolist(),
        "num_target_rows": len(result.candidates["chosen"]),
        "asked": [[int(row), _to_plain(label)] for row, label in asked],
        "labels_needed": result.labels_needed,
    }


def _to_plain(label):
    return label.item() if hasattr(label, "item") else label
