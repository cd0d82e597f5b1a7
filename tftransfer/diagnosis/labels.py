"""Classes in another order than the export or the trained model has them."""

import numpy as np

from tftransfer.diagnosis.finding import ERROR, Finding, NotChecked
from tftransfer.diagnosis.scoring import class_of_labels

_FEWEST_ROWS, _GAIN, _AT_LEAST = 24, 0.4, 0.7


def find_label_order(case):
    """Find names of classes in another order than the export has them."""
    if case.export is None or case.class_names is None:
        raise NotChecked("an export, or the names of the data's classes, is missing")
    metadata = case.served.metadata
    if metadata is None:
        raise NotChecked("the export holds no names of classes")
    served = list(metadata["class_names"])
    names = list(case.class_names)
    if served == names or served == [str(x) for x in range(len(served))]:
        return []
    differing = [
        f"{place}: {a!r}, served as {b!r}"
        for place, (a, b) in enumerate(zip(names, served, strict=False))
        if a != b
    ]
    return [
        Finding(
            "label_order",
            ERROR,
            "The export names classes other than the data do.",
            {
                "classes of the data": len(names),
                "classes of the export": len(served),
                "differing": differing[:3],
            },
            "Every prediction of these classes is served under a wrong name.",
            f"tft.export_model(model, path, class_names={names[:4]}"
            f"{' + ...' if len(names) > 4 else ''}, overwrite=True)",
        )
    ]


def find_permuted_labels(case):
    """Find labels that a trained model knows by other numbers.

    A model that puts nearly all rows of each class into one other class has learned
    the classes in another order.
    """
    labels, classify = class_of_labels(case)
    predicted = classify(case.outputs)
    classes = np.unique(labels)
    if len(labels) < _FEWEST_ROWS or len(classes) < 2:
        raise NotChecked("there are too few labeled rows")
    best = {int(k): int(np.bincount(predicted[labels == k]).argmax()) for k in classes}
    right = float(np.mean(predicted == labels))
    renamed = np.array([best[int(k)] for k in labels])
    permuted = float(np.mean(predicted == renamed))
    is_permutation = len(set(best.values())) == len(best)
    if not is_permutation or permuted < _AT_LEAST or permuted - right < _GAIN:
        return []
    order = {k: v for k, v in best.items() if k != v}
    return [
        Finding(
            "permuted_labels",
            ERROR,
            "The model knows the classes by other numbers than the labels have.",
            {
                "accuracy": right,
                "accuracy in another order": permuted,
                "class read as": dict(list(order.items())[:4]),
            },
            "Predictions are right and read as wrong: accuracy and names of classes "
            "mean nothing.",
            "tft.load_folder(path, class_names=names_of_training)",
        )
    ]
