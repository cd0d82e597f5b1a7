"""Adapt a classifier of features to rows without labels, if that helps."""

from collections.abc import Sequence

from tftransfer.adaptation.checks import (
    check_target_rows,
    check_widths,
    read_features,
    read_labels,
    split_target,
)
from tftransfer.adaptation.domain_figure import project_domains
from tftransfer.adaptation.estimate import estimate_accuracies
from tftransfer.adaptation.gates import competence, domain_auc
from tftransfer.adaptation.guard import decide
from tftransfer.adaptation.judge import fit_judge
from tftransfer.adaptation.reduction import find_reduction
from tftransfer.adaptation.result import AdaptationResult, FeatureModel
from tftransfer.adaptation.table import make_table
from tftransfer.adaptation.troubles import describe_troubles
from tftransfer.checks import check_choice, check_whole_number
from tftransfer.methods.candidates import fit_recipe
from tftransfer.methods.control import fit_control
from tftransfer.methods.problem import Problem


def adapt_features(
    source_features,
    source_labels,
    target_features,
    *,
    methods="auto",
    seed=0,
    verbose="auto",
):
    """Adapt to a target without labels where that helps, and stay put where not.

    Fits a control on the source alone and, beside it, per-domain standardization,
    class-balanced self-training, minimum class confusion, label propagation and
    information maximization, the target in units of the source and in its own. A guard
    then decides without a single target label: all candidates together where the
    target's own clusters side with them, single calls where cautious witnesses agree,
    else the control, which is what most published adaptation runs fall below.

    Features constant on the source are left out. Sparse features, and dense ones wider
    than 4,096, are reduced by truncated SVD of both domains. Both are told in
    `result.notes`.

    Args:
        source_features: Array-like or SciPy sparse `(n, width)` of finite numbers.
        source_labels: Sequence `(n,)` of at least two classes, any hashable values.
        target_features: As the source, `(m, width)`, `m >= 20`. Of a tuple of features
            and labels the labels are dropped unread.
        methods: `"auto"`, or a sequence of functions `method(problem, control)` that
            return a `Candidate`, or None for want of time or use: fitted and shown
            beside those above, which always run, but not chosen.
        seed: Whole number >= 0, of folds and halvings. Same seed, same result.
        verbose: 0 for silence, 1 or `"auto"` for a line at each step and the verdict.

    Returns:
        `AdaptationResult`: `.verdict`, `.reasons`, `.labels`, `.model` for further
        rows, `.table`, `.estimated_accuracy`.

    Raises:
        ImportError: If scikit-learn, which brings SciPy, is missing.
        TypeError: If features are no numbers or `methods` no functions.
        ValueError: If widths differ, the target has fewer than 20 rows, entries are NaN
            or infinite, source labels are missing or of one class, or all features are
            constant.

    Example:

    >>> from tftransfer.adaptation.adapt_features import adapt_features
    >>> draw = np.random.default_rng(0).normal
    >>> names = np.array(["cat", "dog"])[np.arange(200) % 2]
    >>> source = draw(size=(200, 4)) + 4.0 * (names == "dog")[:, None]
    >>> target = draw(size=(200, 4)) + 4.0 * (names == "dog")[:, None] + 1.5
    >>> result = adapt_features(source, names, target, verbose=0)
    >>> result.verdict
    'adapted'
    >>> result.evaluate(names)["chosen"] > result.evaluate(names)["control"]
    True
    >>> result.predict(target[:2]).tolist()
    ['cat', 'dog']
    """
    check_whole_number("seed", seed, minimum=0)
    check_choice("verbose", verbose, [0, 1, "auto"])
    _check_methods(methods)
    report = print if verbose in (1, "auto") else _say_nothing
    problem, reduction, classes, width, notes = _read(
        source_features, source_labels, target_features, seed
    )
    for note in notes:
        report(note)
    found = _fit(problem, () if isinstance(methods, str) else methods, report)
    result = _collect(problem, reduction, classes, width, notes, found)
    report(f"{result.verdict}: {'; '.join(result.reasons)}")
    return result


def _say_nothing(line):
    """Take a line and drop it."""


def _check_methods(methods):
    if isinstance(methods, str):
        check_choice("methods", methods, ["auto"])
    elif not isinstance(methods, Sequence) or not all(map(callable, methods)):
        raise TypeError(
            "`methods` must be 'auto' or a sequence of functions (problem, control) "
            f"that return a Candidate. Received: methods={methods!r}. Leave it out for "
            "the recipe."
        )


def _read(source_features, source_labels, target_features, seed):
    """Return problem, reduction, classes, width of the raw features, and notes."""
    target_features, had_labels = split_target(target_features)
    source = read_features("source_features", source_features)
    target = read_features("target_features", target_features)
    check_widths(source, target)
    check_target_rows(target)
    classes, labels = read_labels(source_labels, source.shape[0])
    if hasattr(source, "tocsr") != hasattr(target, "tocsr"):
        source, target = (
            rows.toarray() if hasattr(rows, "tocsr") else rows
            for rows in (source, target)
        )
    reduction, notes = find_reduction(source, target, seed)
    if had_labels:
        notes.insert(0, "labels came with the target: dropped unread")
    problem = Problem(reduction(source), labels, reduction(target), len(classes), seed)
    return problem, reduction, classes, source.shape[1], notes


def _fit(problem, methods, report):
    """Return control, candidates, judge and decision."""
    report("control: source only, its penalty cross-validated")
    control = fit_control(problem)
    recipe = fit_recipe(problem, control, report)
    tried = [method(problem, control) for method in methods]
    extra = [candidate for candidate in tried if candidate is not None]
    report("judge and gates")
    judge = fit_judge(problem, control)
    decision = decide(
        control,
        recipe.ensemble,
        recipe.witnesses,
        judge,
        auc=domain_auc(problem),
        competence=competence(control, problem.labels),
    )
    candidates = [*recipe.single.values(), *recipe.witnesses[1:], recipe.ensemble]
    return control, candidates + extra, judge, decision


def _collect(problem, reduction, classes, width, notes, found):
    control, candidates, judge, decision = found
    every = {each.name: each for each in (control, *candidates)}
    models = {
        name: FeatureModel(classes, width, reduction, each.predict)
        for name, each in every.items()
    }
    models["chosen"] = FeatureModel(classes, width, reduction, decision.predict)
    probabilities = {name: each.probabilities for name, each in every.items()}
    probabilities["chosen"] = decision.probabilities
    troubles = describe_troubles(problem.labels, decision.labels, classes)
    return AdaptationResult(
        model=models["chosen"],
        verdict=decision.verdict,
        reasons=decision.reasons,
        table=make_table(control, candidates, judge, classes),
        estimated_accuracy=estimate_accuracies(
            problem, control, probabilities, decision.verdict
        ),
        control=models["control"],
        classes=classes,
        candidates=probabilities,
        models=models,
        notes=notes + troubles,
        scores=decision.scores,
        projection=project_domains(problem),
    )
