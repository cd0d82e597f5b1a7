"""Weights of classes in the loss."""

import numbers

import tensorflow as tf

from tftransfer.checks import check_number
from tftransfer.tasks import infer_task


def complete_class_weight(model, data, class_weight):
    """Check `class_weight` and give classes left out the weight 1.

    `fit` does the latter for arrays; for datasets it would fail in the middle of
    training.

    Args:
        model: Compiled classifier.
        data: `TrainingData`.
        class_weight: Dict from class number to weight, or `None`.

    Returns:
        Dict with all classes, or `None`.

    Raises:
        ValueError: If the model is no classifier, a class is not among its classes, a
            weight is negative or not finite, or the data have sample weights.
        TypeError: If `class_weight` is no dict of numbers.
    """
    if class_weight is None:
        return None
    num_classes = _num_classes(model)
    _check_keys(class_weight, num_classes)
    for number, weight in class_weight.items():
        check_number(f"class_weight[{number}]", weight, 0)
    spec = data.source.element_spec if isinstance(data.source, tf.data.Dataset) else ()
    if len(data.source if data.is_arrays else spec) == 3:
        raise ValueError(
            "`class_weight` must be None for data with sample weights. Received: "
            "class_weight and data of (x, y, sample_weight). Multiply the class "
            "weights into the sample weights."
        )
    return {
        number: float(class_weight.get(number, 1.0)) for number in range(num_classes)
    }


def _num_classes(model):
    try:
        task = infer_task(model)
    except ValueError:
        task = None
    if task is None or task.name != "classification":
        raise ValueError(
            "`class_weight` must be None unless the model is a classifier with one "
            f"output. Received: class_weight for task {getattr(task, 'name', None)}. "
            "Give each example a weight instead: data of (x, y, sample_weight)."
        )
    return task.num_classes


def _check_keys(class_weight, num_classes):
    if not isinstance(class_weight, dict):
        raise TypeError(
            "`class_weight` must be a dict from class number to weight. Received: "
            f"class_weight of type {type(class_weight).__name__}. Give classes "
            "left out the weight 1.0, rare ones more."
        )
    wrong = [
        key
        for key in class_weight
        if not isinstance(key, numbers.Integral) or int(key) not in range(num_classes)
    ]
    if wrong:
        raise ValueError(
            f"`class_weight` must have class numbers from 0 to {num_classes - 1} as "
            f"keys. Received: {wrong}. Use the places of the names in class_names."
        )
