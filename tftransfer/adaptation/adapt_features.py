"""Adapt a classifier of features to rows without labels, if that helps."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tftransfer.adaptation.asked import read_answers
from tftransfer.adaptation.domain_figure import project_domains
from tftransfer.adaptation.estimate import estimate_accuracies, estimate_left
from tftransfer.adaptation.gates import competence, domain_auc
from tftransfer.adaptation.guard import Decision, Evidence, decide
from tftransfer.adaptation.judge import Judge, fit_judge
from tftransfer.adaptation.label_free import label_free_scores
from tftransfer.adaptation.reading import read_domains
from tftransfer.adaptation.result import AdaptationResult, FeatureModel
from tftransfer.adaptation.shares import compare_shares
from tftransfer.adaptation.sources import fit_sources
from tftransfer.adaptation.strangers import share_of_strangers
from tftransfer.adaptation.table import make_table
from tftransfer.adaptation.troubles import describe_shares, describe_target
from tftransfer.checks import check_choice, check_whole_number
from tftransfer.methods.candidates import fit_recipe
from tftransfer.methods.control import Control, fit_control
from tftransfer.methods.problem import Candidate

COMPARED = ("E10", "eD", "adabn", "S.cbst", "D.cbst", "D.mcc", "D.lp", "D.shot")
GUARDED = "guarded"  # what the guard chose, where that is no candidate as a whole


def adapt_features(
    source_features,
    source_labels,
    target_features,
    *,
    asked_labels=None,
    methods="auto",
    seed=0,
    verbose="auto",
):
    """Adapt to a target without labels where that helps, and stay put where not.

    Fits a control on the source alone and, beside it, per-domain standardization,
    class-balanced self-training, minimum class confusion, label propagation and
    information maximization, the target in units of the source and in its own. A guard
    then decides without a single target label, from what the control seems to have lost
    and whether class shares look the same: several candidates together, single calls
    where cautious witnesses agree, or the control, which is what most published
    adaptation runs fall below.

    A few labels of target rows decide better than any of this: `result.ask` says which
    rows to look at, `result.decide`, or `asked_labels` here, what follows from them.

    Several sources are pooled for the control. Each of them alone, and all of them with
    each domain in its own units, are further candidates: shown, and chosen where asked
    labels say so.

    Features constant on the source are left out. Sparse features, and dense ones wider
    than 4,096, are reduced by truncated SVD of both domains. Both are told in
    `result.notes`.

    Args:
        source_features: Array-like or SciPy sparse `(n, width)` of finite numbers; or a
            list of them, one for each source.
        source_labels: Sequence `(n,)` of at least two classes, any hashable values; or
            a list of them.
        target_features: As the source, `(m, width)`, `m >= 20`. Of a tuple of features
            and labels the labels are dropped unread.
        asked_labels: Dict from target row to label, or the path of a filled CSV file:
            see `AdaptationResult.decide`. The only target labels that are read.
        methods: `"auto"`, or a sequence of functions `method(problem, control)` that
            return a `Candidate`, or None for want of time or use: fitted and shown
            beside those above, which always run, and chosen only where asked labels
            say so.
        seed: Whole number >= 0, of folds and halvings. Same seed, same result.
        verbose: 0 for silence, 1 or `"auto"` for a line at each step and the verdict.

    Returns:
        `AdaptationResult`: `.verdict`, `.reasons`, `.labels`, `.model` for further
        rows, `.table`, `.estimated_accuracy`.

    Raises:
        ImportError: If scikit-learn, which brings SciPy, is missing.
        TypeError: If features are no numbers or `methods` no functions.
        ValueError: If widths differ, the target has fewer than 20 rows, entries are NaN
            or infinite, source labels are missing or of one class, all features are
            constant, or asked labels are no classes or of rows that do not exist.

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
    report = print if verbose in (1, "auto") else say_nothing
    domains = read_domains(source_features, source_labels, target_features, seed)
    answers = None
    if asked_labels is not None:
        classes, rows = domains.source.classes, len(domains.problem.target)
        answers = read_answers(asked_labels, classes, rows, domains.data_key)
    for note in domains.notes:
        report(note)
    found = _fit(domains, () if isinstance(methods, str) else methods, report)
    result = _collect(domains, found)
    if answers is not None:
        result = result.decide(answers)
    report(f"{result.verdict}: {'; '.join(result.reasons)}")
    return result


@dataclasses.dataclass(frozen=True)
class _Found:
    control: Control
    recipe: list  # of `Candidate`
    extra: list  # of `Candidate` that the guard does not know
    judge: Judge
    decision: Decision
    notes: list

    @property
    def candidates(self):
        """All but the control, with the guard's choice where it is none of them."""
        guarded = []
        if self.choice == GUARDED:
            made = self.decision
            guarded = [Candidate(GUARDED, made.probabilities, made.predict)]
        return [*self.recipe, *guarded, *self.extra]

    @property
    def choice(self):
        """Name of what the guard chose."""
        for each in (self.control, *self.recipe):
            if each.probabilities is self.decision.probabilities:
                return each.name
        return GUARDED

    @property
    def neighborhood(self):
        """`Neighborhood` of the target rows in their own units."""
        (spread,) = (each for each in self.recipe if each.name == "D.lp")
        return spread.predict.neighborhood


def say_nothing(line):
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


def _fit(domains, methods, report):
    problem, origins = domains.problem, domains.source.origins
    report("control: source only, its penalty cross-validated")
    control = fit_control(problem)
    recipe = fit_recipe(problem, control, report)
    tried = [method(problem, control) for method in methods]
    extra, notes = [candidate for candidate in tried if candidate is not None], []
    if origins.max() > 0:
        report("each source alone, and each in its own units")
        alone, notes = fit_sources(problem, control, origins)
        extra = [*alone, *extra]
    report("judge and gates")
    judge = fit_judge(problem, control)
    decision = decide(control, recipe, judge, _gather(problem, control, recipe))
    return _Found(control, list(recipe.values()), extra, judge, decision, notes)


def _gather(problem, control, recipe):
    probabilities = {each.name: each.probabilities for each in recipe.values()}
    probabilities["control"] = control.probabilities
    return Evidence(
        auc=domain_auc(problem),
        competence=competence(control, problem.labels),
        left=estimate_left(problem, control, probabilities),
        shares=compare_shares(problem, control),
    )


def _collect(domains, found):
    problem, classes = domains.problem, domains.source.classes
    control, decision, choice = found.control, found.decision, found.choice
    every = {each.name: each for each in (control, *found.candidates)}
    every["chosen"] = every[choice]
    probabilities = {name: each.probabilities for name, each in every.items()}
    width = domains.source.features.shape[1]
    models = {
        name: FeatureModel(classes, width, domains.reduction, each.predict)
        for name, each in every.items()
    }
    estimates = estimate_accuracies(problem, control, probabilities, decision.verdict)
    judged = (*COMPARED, choice, *(each.name for each in found.extra))
    scores = label_free_scores(problem, control, found.candidates)
    return AdaptationResult(
        model=models["chosen"],
        verdict=decision.verdict,
        reasons=decision.reasons,
        table=make_table(control, found.candidates, found.judge, classes, scores),
        estimated_accuracy=estimates,
        control=models["control"],
        classes=classes,
        candidates=probabilities,
        models=models,
        notes=_describe(domains, found, estimates),
        scores=decision.scores,
        projection=project_domains(problem),
        choice=choice,
        compared=tuple(name for name in every if name in judged),
        source_counts=np.bincount(problem.labels),
        data_key=domains.data_key,
        neighborhood=found.neighborhood,
    )


def _describe(domains, found, estimates):
    """Return what was left out, reduced, or looks odd."""
    problem, classes = domains.problem, domains.source.classes
    strangers = share_of_strangers(problem)
    counts, labels = np.bincount(problem.labels), found.decision.labels
    return [
        *domains.notes,
        *found.notes,
        *describe_target(len(labels), strangers, estimates["control"], len(classes)),
        *describe_shares(counts, labels, classes),
    ]
