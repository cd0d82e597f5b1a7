"""Look for the silent mistakes of a set-up, before or after training."""

import os
import warnings

import keras

from tftransfer.checks import check_whole_number
from tftransfer.data.unlabeled import UnlabeledDomain
from tftransfer.diagnosis.batch_norm import (
    find_frozen_statistics,
    find_moved_statistics,
    find_tiny_batches,
)
from tftransfer.diagnosis.case import Case, take
from tftransfer.diagnosis.compiled_state import find_stale_compile
from tftransfer.diagnosis.domains import find_target_labels, find_unbalanced_domains
from tftransfer.diagnosis.duplicates import find_duplicates
from tftransfer.diagnosis.exports import find_export_difference
from tftransfer.diagnosis.features import find_dead_features, find_numbers_not_finite
from tftransfer.diagnosis.finding import ERROR, NotChecked
from tftransfer.diagnosis.imbalance import find_imbalance
from tftransfer.diagnosis.labels import find_label_order, find_permuted_labels
from tftransfer.diagnosis.learning_rates import find_large_steps
from tftransfer.diagnosis.outputs import find_logits_mismatch, find_metric_threshold
from tftransfer.diagnosis.patterns import find_idle_adapters, find_idle_patterns
from tftransfer.diagnosis.pixels import find_channel_order, find_pixel_scale
from tftransfer.diagnosis.randomness import (
    find_random_export,
    find_random_inference,
    find_random_validation,
)
from tftransfer.diagnosis.reading import read_rows
from tftransfer.diagnosis.result import Diagnosis
from tftransfer.diagnosis.serving import check_export
from tftransfer.diagnosis.truncation import find_truncated_texts
from tftransfer.diagnosis.untouched import left_untouched
from tftransfer.models import load_model

_CHECKS = {
    "scale of pixels": find_pixel_scale,
    "order of colors": find_channel_order,
    "frozen BatchNormalization": find_frozen_statistics,
    "statistics against pretraining": find_moved_statistics,
    "BatchNormalization on tiny batches": find_tiny_batches,
    "learning rate of pretrained weights": find_large_steps,
    "trainable after compile": find_stale_compile,
    "rates and exclusions by name": find_idle_patterns,
    "adapters": find_idle_adapters,
    "logits or probabilities": find_logits_mismatch,
    "threshold of accuracy": find_metric_threshold,
    "names of classes": find_label_order,
    "order of classes": find_permuted_labels,
    "duplicates": find_duplicates,
    "class imbalance": find_imbalance,
    "augmented validation": find_random_validation,
    "random predictions": find_random_inference,
    "random export": find_random_export,
    "finite predictions": find_numbers_not_finite,
    "dead features": find_dead_features,
    "balance of domains": find_unbalanced_domains,
    "labels of the target": find_target_labels,
    "truncated texts": find_truncated_texts,
    "export against the live model": find_export_difference,
}
_SYMPTOMS = {  # what follows from another mistake is not told beside it
    "dead_features": {"pixel_scale", "not_finite"},
    "permuted_labels": {"channel_order"},
}


def diagnose(
    model,
    data=None,
    *,
    validation=None,
    test=None,
    target=None,
    export=None,
    pretrained=None,
    class_names=None,
    lora_targets=None,
    batch_size=32,
):
    """Look for silent mistakes in a model and its data.

    Mistakes are told by what they do, not by names: by the activations that pixels
    give against the statistics of pretraining, by what moves in a step of training, by
    the same rows predicted twice. What cannot be judged is listed as not checked; where
    there is doubt there is no finding. The model, whether it is compiled, and Python's,
    NumPy's and TensorFlow's random states are left as they are. (A dataset that
    shuffles is opened, so its next epochs come in another order.)

    Takes seconds for small networks and below a minute for usual ones on two cores: a
    few passes over 96 rows spread over the data, and one over at most 20,000 rows, or
    6 seconds, for labels and duplicates.

    Args:
        model: Any built `keras.Model`, or the path of a `.keras` file. Compile it as
            for training; a model that was not is checked in other respects.
        data: Training data as `fit` takes them: a batched `tf.data.Dataset` or
            `keras.utils.PyDataset`, or a tuple of arrays. `None` checks the model
            alone.
        validation: Validation data, as `data`.
        test: Test data, as `data`.
        target: Data of a target domain, for adaptation without its labels.
        export: Folder that `export_model` or `model.export` wrote of this model.
        pretrained: Model with the weights from before training, the same in its
            BatchNormalization, to compare statistics with.
        class_names: Names of the classes in the order of the labels; `None` takes those
            of the datasets of our loaders.
        lora_targets: Names or patterns of layers that adapters were meant for, or a
            list of them.
        batch_size: Rows in a batch where arrays are given.

    Returns:
        `Diagnosis`, true where something is wrong: print it, or read its `findings`.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If there is no model at a path or it is not built, or data are
            empty, not batched or do not fit the model.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(3, activation="softmax")]
    ... )
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("adam", loss)
    >>> diagnosis = tft.diagnose(model, (np.eye(4, dtype="float32"), np.arange(4) % 3))
    >>> diagnosis.names, bool(diagnosis)
    (['logits_mismatch'], True)
    >>> print(diagnosis.findings[0].repair)
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=False)
    """
    check_whole_number("batch_size", batch_size)
    model = _read_model("model", model)
    _check_built("model", model)
    if export is not None:
        check_export(export)
    given = {"data": data, "validation": validation, "test": test, "target": target}
    with left_untouched(model), warnings.catch_warnings():
        # What Keras warns of is among what is looked for.
        warnings.simplefilter("ignore")
        rows = {
            name: read_rows(name, _unlabeled(part), batch_size)
            for name, part in given.items()
            if part is not None
        }
        case = Case(
            model=model,
            train=rows.get("data"),
            validation=rows.get("validation"),
            test=rows.get("test"),
            target=rows.get("target"),
            export=export,
            pretrained=None
            if pretrained is None
            else _read_model("pretrained", pretrained),
            class_names=_read_names(class_names, given),
            lora_targets=_read_targets(lora_targets),
        )
        _check_fits(case)
        return _run_checks(case)


def _run_checks(case):
    findings, checked, skipped = [], [], {}
    for name, check in _CHECKS.items():
        try:
            findings += check(case)
            checked.append(name)
        except NotChecked as reason:
            skipped[name] = str(reason)
    names = {finding.name for finding in findings}
    findings = [x for x in findings if not names & _SYMPTOMS.get(x.name, set())]
    findings.sort(key=lambda finding: finding.severity != ERROR)
    return Diagnosis(tuple(findings), tuple(checked), skipped)


def _read_model(name, model):
    if isinstance(model, keras.Model):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            f"`{name}` must be a keras.Model or the path of a .keras file. Received: "
            f"{name} of type {type(model).__name__}. Pass the model itself."
        )
    return load_model(model)


def _check_built(name, model):
    if not model.built:
        raise ValueError(
            f"`{name}` must be built. Received: {name}={model.name!r} of class "
            f"{type(model).__name__}, which is not. Call it once on a batch, model(x)."
        )


def _unlabeled(data):
    return data.data if isinstance(data, UnlabeledDomain) else data


def _read_names(class_names, given):
    if class_names is not None:
        return list(class_names)
    for data in given.values():
        names = getattr(data, "class_names", None)
        if names:
            return list(names)
    return None


def _read_targets(lora_targets):
    return [lora_targets] if isinstance(lora_targets, str) else lora_targets


def _check_fits(case):
    """Raise `ValueError` where the model cannot take the rows."""
    for rows in (case.train, case.validation, case.test):
        if rows is None:
            continue
        part = Case(case.model, train=rows)
        try:
            case.plain(take(part.inputs, slice(0, 2)), training=False)
        except Exception as error:  # of any layer: Keras has no one kind for it
            shapes = keras.tree.map_structure(lambda x: x.shape, part.inputs)
            raise ValueError(
                f"`{rows.name}` must fit the model. Received: {rows.name} with inputs "
                f"of shape {shapes}, of which the model says: "
                f"{' '.join(str(error).split())[:300]}. Prepare the data as the model "
                "was built."
            ) from error
