"""Answers beside the prediction: features, heat maps, and how strange a row is."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tftransfer.calibration.domain_shift import DomainShift, digest_weights
from tftransfer.checks import check_choice
from tftransfer.explanation.explainer import build_explainer
from tftransfer.explanation.maps import resize_heat, to_heat
from tftransfer.export.inputs import IMAGES
from tftransfer.freezing.feature_cut import feature_cut
from tftransfer.freezing.graph import graph_of

FEATURES, EXPLAIN, DOMAIN_SHIFT = "features", "explain", "domain_shift"
NAMES = (EXPLAIN, FEATURES)


@dataclasses.dataclass(frozen=True)
class Extra:
    """One more function of an export.

    Attributes:
        name: Of its signature.
        answer: Function from what the model takes to a dictionary of tensors, each
            with the batch first.
        outputs: Their names.
        about: JSON values for the metadata.
        layers: What it runs.
        takes_classes: Whether `answer` also takes class numbers, int64 `(n,)`.
    """

    name: str
    answer: Callable
    outputs: tuple
    about: dict
    layers: tuple
    takes_classes: bool = False


def build_extras(asked, model, model_input, task, class_names):
    """Build what `export_model(extra_signatures=…)` asks for.

    Args:
        asked: List out of `"features"`, `"explain"` and a `DomainShift`, or `None`.
        model: The `keras.Model`, before views or a temperature.
        model_input: Its `ModelInput`.
        task: Its `Task`.
        class_names: Names of the classes, or of the values.

    Returns:
        List of `Extra`.

    Raises:
        TypeError: If `asked` is no list of those.
        ValueError: If one does not fit the model, or is there twice.
    """
    extras = []
    for each in _read(asked):
        if isinstance(each, DomainShift):
            extras.append(_score_shift(each, model))
        elif each == FEATURES:
            extras.append(_give_features(model))
        else:
            extras.append(_explain(model, model_input, task, class_names))
    names = [extra.name for extra in extras]
    if len(set(names)) < len(names):
        raise ValueError(
            "`extra_signatures` must name each once. "
            f"Received: extra_signatures={names}. Leave the second out."
        )
    return extras


def _read(asked):
    if asked is None:
        return []
    if isinstance(asked, (str, DomainShift)) or not isinstance(asked, (list, tuple)):
        raise TypeError(
            f"`extra_signatures` must be a list of {list(NAMES)} and what "
            f"tft.fit_domain_shift returned. Received: extra_signatures={asked!r}. "
            "Pass a list."
        )
    for each in asked:
        if not isinstance(each, DomainShift):
            advice = "For the score of strange rows pass what tft.fit_domain_shift gave"
            check_choice("extra_signatures", each, NAMES, f"{advice}.")
    return asked


def _give_features(model):
    cut = feature_cut(model)

    def answer(rows):
        return {"features": tf.cast(cut.run_below(rows, training=False), tf.float32)}

    about = {"layer": cut.name, "width": cut.tensor.shape[-1]}
    return Extra(FEATURES, answer, ("features",), about, (cut.model,))


def _explain(model, model_input, task, class_names):
    if model_input.kind != IMAGES:
        raise ValueError(
            '`extra_signatures` must not name "explain" for a model of '
            f"{model_input.kind}, in which there are no places to point at. Received: "
            f"{model.name!r}. Leave it out."
        )
    explainer = build_explainer(model, task=task.name)
    has_size = bool(model_input.image_size)
    outputs = ("maps", "class_id", "label", *(["heat_maps"] if has_size else []))

    def answer(images, class_id):
        maps, classes = explainer(images, class_id)
        classes = tf.cast(classes, tf.int64)
        label = tf.gather(tf.constant(class_names), classes)
        answers = {"maps": maps, "class_id": classes, "label": label}
        if has_size:
            size = tuple(model_input.image_size)
            heat = resize_heat(to_heat(maps), (0, 0, *size), size)
            answers["heat_maps"] = heat
        return answers

    about = {"method": explainer.method, "layer": explainer.cut.name}
    layers = (explainer.cut.model,)
    return Extra(EXPLAIN, answer, outputs, about, layers, takes_classes=True)


def _score_shift(shift, model):
    graph = graph_of(model)
    if shift.cut.model is not getattr(graph, "_functional", graph):
        raise ValueError(
            "`extra_signatures` must hold a score that was fitted on the model that is "
            f"exported. Received: one of {shift.cut.model.name!r} for {model.name!r}. "
            "Call tft.fit_domain_shift(model, train) with this one."
        )
    if shift.digest != digest_weights(shift.cut):
        raise ValueError(
            "`extra_signatures` must hold a score of the model as it is. Received: one "
            "fitted on other weights, so the model has learned since. Call "
            "tft.fit_domain_shift again after training."
        )
    figures = shift.figures
    outputs = ("score",) if figures is None else ("score", "is_shifted")

    def answer(rows):
        score = tf.cast(shift(rows), tf.float32)
        if figures is None:
            return {"score": score}
        return {"score": score, "is_shifted": score > figures.threshold}

    about = {"method": shift.method, **(figures.to_dict() if figures else {})}
    return Extra(DOMAIN_SHIFT, answer, outputs, about, (shift.cut.model, shift.layer))
