"""Adapt a backbone with a new head to a domain without labels, if that helps."""

import dataclasses
import functools

import numpy as np

from tftransfer.adaptation.adapt_features import adapt_features, say_nothing
from tftransfer.adaptation.checks import check_same_classes
from tftransfer.adaptation.domain_batches import CannotTrain, DomainBatches
from tftransfer.adaptation.domain_models import set_head
from tftransfer.adaptation.domain_result import DomainAdaptation
from tftransfer.adaptation.end_to_end import EndToEnd
from tftransfer.adaptation.linear_student import fit_linear_student
from tftransfer.adaptation.network_choice import choose_network
from tftransfer.backbones.catalog import load_backbone
from tftransfer.checks import check_positive
from tftransfer.data.unlabeled import UnlabeledDomain
from tftransfer.features.extract_features import extract_features
from tftransfer.models import build_transfer_model
from tftransfer.pacing import Clock


def adapt_domain(
    backbone,
    source,
    target,
    *,
    methods="auto",
    engine="auto",
    time_budget=None,
    trainable_depth=None,
    seed=0,
    verbose="auto",
):
    """Adapt to images or texts without labels where that helps, else stay put.

    The backbone's features of both domains are computed once, in the fastest engine,
    and stored; `adapt_features` decides on them, without a single target label. What
    it chose becomes the head of an ordinary Keras model: read off exactly where it is
    linear, else distilled into a linear layer on the target rows, and `agreement`
    tells what that costs.

    With a time budget, copies of the backbone are then trained on both domains as far
    as it reaches, each starting from the control: BatchNormalization statistics of each
    domain (`E.adabn`), minimum class confusion (`E.mcc`), and that with a conditional
    domain discriminator (`E.cdan`). They are judged as all others, without labels, and
    one is chosen only where the gates are open, the judge sides with it against the
    control and against what was chosen on features, it shows no sign of collapse, and
    it knows the source. `ask` and `decide` can choose it too. What was not tried for
    lack of time is told in `notes`.

    Args:
        backbone: What `load_backbone` takes or returns. It is not trained; copies are.
        source: Batched `tf.data.Dataset` of `(inputs, labels)`, or a tuple of arrays;
            labels are whole numbers from 0. Its `class_names`, which our loaders give,
            name the classes in the result and where labels are asked.
        target: The same without labels; labels that come along are dropped unread, with
            a line.
        methods: As of `adapt_features`.
        engine: As of `extract_features`.
        time_budget: Seconds for everything, above 0; `None` trains no network. Features
            and the candidates on them are computed in any case; no more than that is
            begun where the rest would take longer. Which networks are trained, and for
            how many steps, depends on the machine where the budget is short.
        trainable_depth: How much of the copies learns, see `set_trainable_depth`;
            `None` for half of the parameters, or all where the network has no blocks.
        seed: Whole number >= 0.
        verbose: 0 for silence, 1 or `"auto"` for progress and the verdict.

    Returns:
        `DomainAdaptation`.

    Raises:
        ValueError: If the source has no labels, the target's `class_names` name others
            than the source's, the budget is not above 0, or as `adapt_features`.
        TypeError: If an argument has the wrong type.

    Example:

    >>> body = keras.Sequential(
    ...     [keras.Input((3,)), keras.layers.Activation("linear", name="features")]
    ... )
    >>> draw = np.random.default_rng(0).normal
    >>> labels = np.arange(120) % 2
    >>> source = (draw(size=(120, 3)) + 4.0 * labels[:, None]).astype("float32")
    >>> found = tft.adapt_domain(body, (source, labels), source + 1.5, verbose=0)
    >>> found.model.predict(source[:2] + 1.5, verbose=0).argmax(axis=1).tolist()
    [0, 1]
    """
    clock = _start(time_budget)
    report = print if verbose in (1, "auto") else say_nothing
    class_names, missing = _compare_classes(source, target)
    target = UnlabeledDomain(target)
    backbone = load_backbone(backbone)
    options = {"engine": engine, "verbose": verbose}
    rows, labels = extract_features(backbone, source, **options)
    own = np.asarray(extract_features(backbone, target.data, **options).features)
    rows, labels = np.asarray(rows), _read_labels(labels)
    options = {"trainable_depth": trainable_depth, "seed": seed, "report": report}
    trials, notes = _start_trials(
        backbone, source, target, (rows, own), labels, clock, **options
    )
    methods = _join(methods, trials)
    result = adapt_features(
        rows, labels, own, methods=methods, seed=seed, verbose=verbose
    )
    result = dataclasses.replace(result, notes=[*missing, *result.notes, *notes])
    networks = {}
    if trials is not None:
        result, networks = choose_network(result, trials), trials.models
    if result.choice in networks:
        report(f"{result.verdict}: {result.reasons[0]}")
    columns, num_classes = result.classes.astype(int), int(labels.max()) + 1
    if class_names is not None:
        result = dataclasses.replace(result, classes=np.array(class_names)[columns])
    settings = backbone, num_classes, columns, networks, own, target.data, seed
    return _assemble(*settings, class_names, result)


def _compare_classes(source, target):
    """Return the source's class names or None, and what the target lacks, as notes."""
    names, others = (getattr(data, "class_names", None) for data in (source, target))
    if not names:
        return None, []
    missing = check_same_classes(names, others) if others else []
    return list(names), [f"the target has nothing called {missing}"] if missing else []


def _start(time_budget):
    if time_budget is None:
        return None
    advice = "It is in seconds; leave it out to train no network."
    check_positive("time_budget", time_budget, advice)
    return Clock(time_budget)


def _start_trials(backbone, source, target, features, labels, clock, **options):
    """Return `EndToEnd`, or None where nothing can be trained, and notes."""
    if clock is None:
        return None, []
    try:
        num_rows = tuple(map(len, features))
        domains = DomainBatches(source, target, num_rows, options["seed"])
    except CannotTrain as reason:
        return None, [f"no end-to-end candidates: {reason}"]
    trials = EndToEnd(backbone, domains, features, labels, clock, **options)
    return trials, []


def _join(methods, trials):
    """Add what trains networks to methods that are what they should be."""
    if trials is None or not isinstance(methods, (str, list, tuple)):
        return methods
    if isinstance(methods, str):
        return trials.methods if methods == "auto" else methods
    return [*methods, *trials.methods]


def _read_labels(labels):
    if labels is None:
        raise ValueError(
            "`source` must give (inputs, labels). Received: inputs alone. Pass the "
            "domain that has labels first."
        )
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            "`source` must have labels that are whole numbers from 0, shape (rows,). "
            f"Received: labels of shape {labels.shape} and dtype {labels.dtype}. Of "
            "one-hot rows take argmax."
        )
    return labels


def _assemble(
    backbone, num_classes, columns, networks, rows, target, seed, class_names, result
):
    """Return `DomainAdaptation` with the model of what a result chose."""
    settings = backbone, num_classes, columns, networks, rows, target, seed, class_names
    again = functools.partial(_assemble, *settings)
    if result.choice in networks:
        model, agreement = networks[result.choice], 1.0
    else:
        model = build_transfer_model(backbone, num_classes=num_classes, seed=seed)
        kernel, bias, agreement = fit_linear_student(
            result.model.predict_proba,
            rows,
            # Of asked rows what the model says, not what was answered.
            result.candidates[result.choice],
        )
        set_head(model, kernel, bias, columns)
    found = model, result, agreement, networks, target, class_names
    return DomainAdaptation(*found, again)
