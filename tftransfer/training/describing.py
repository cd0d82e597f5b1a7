"""A strategy written out: the lines of code it stands for."""

from tftransfer.data.labeled_domains import pair_labeled_domains
from tftransfer.training.preparing import takes_lora_rates
from tftransfer.training.stages import Stage
from tftransfer.training.strategies import MIXING, plan_strategy
from tftransfer.training.strategy import STRATEGIES, read_strategy

_SHOWN = ("learning_rate", "trainable_depth", "batch_norm")


def describe_strategy(strategy, model, epochs=5):
    """Write out what `fine_tune(model, train, strategy=..., epochs=...)` does.

    The lines do the same by hand, for a model and data of the names `model`, `train`
    and `source`: to be copied and changed.

    Args:
        strategy: Name or `Strategy`, see there.
        model: Compiled model that it would train.
        epochs: Epochs in all.

    Returns:
        Python code, a str.

    Raises:
        ValueError: As `fine_tune` with this strategy.
        TypeError: If `strategy` is neither a name nor a `Strategy`.

    Example:

    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((4,)),
    ...         keras.layers.Dense(8, name="block1"),
    ...         keras.layers.Activation("relu", name="features"),
    ...         keras.layers.Dense(3),
    ...     ]
    ... )
    >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    >>> print(tft.describe_strategy("discriminative", model, epochs=8))
    # the head first, then everything, each block slower than the one above it
    new = type(model.optimizer).from_config(model.optimizer.get_config())
    optimizer = tft.LayerwiseRates(new, layer_decay=0.75)
    model.compile(optimizer, model.loss)
    stages = [
        tft.Stage(2, trainable_depth=0),
        tft.Stage(6, trainable_depth='all'),
    ]
    tft.fine_tune(model, train, stages=stages)
    """
    strategy = read_strategy(strategy)
    plan = plan_strategy(strategy, model, epochs)
    lines = [f"# {STRATEGIES[strategy.name]}", *_preparation(model, plan)]
    if plan.virtual_rows:
        return "\n".join([*lines, *_virtual_rows(plan)])
    domains = plan.domains if "source" in plan.domains else ("",) * len(plan.stages)
    lines += ["stages = ["]
    lines += [
        f"    tft.Stage({_arguments(stage, domain)}),"
        for stage, domain in zip(plan.stages, domains, strict=True)
    ]
    trained = "shared" if plan.private_depth is not None else "model"
    return "\n".join([*lines, "]", f"tft.fine_tune({trained}, train, stages=stages)"])


def _preparation(model, plan):
    if plan.from_scratch:
        yield "tft.draw_weights_anew(model)"
    rates = None
    if plan.layer_decay is not None:
        rates = f"layer_decay={plan.layer_decay}"
    elif takes_lora_rates(model, plan.stages):
        rates = "tft.lora_rates(model)"
    if rates is not None:
        yield "new = type(model.optimizer).from_config(model.optimizer.get_config())"
        yield f"optimizer = tft.LayerwiseRates(new, {rates})"
        yield f"model.compile(optimizer, model.loss{_metrics(model)})"
    aligns = getattr(model, "alignment", None) is not None
    if plan.private_depth is not None:
        yield from _sharing(plan.private_depth, aligns)
    elif aligns and plan.strategy.source is not None:
        yield "model.labels_both = True"
    if plan.domains[0] in MIXING and not plan.virtual_rows:
        mix = pair_labeled_domains if aligns else MIXING[plan.domains[0]]
        share = f"source_weight={plan.strategy.source_weight}"
        yield f"train = tft.{mix.__name__}(source, train, {share})"
    elif aligns and plan.strategy.source is not None:
        yield "source, train = ("
        yield "    tft.pair_labeled_domains(source, train, source_weight=x, epoch=name)"
        yield "    for x, name in ((1, 'source'), (0, 'target'))"
        yield ")"


def _sharing(depth, aligns):
    if not aligns:
        yield f"shared = tft.HybridSharing(model, private_depth={depth!r})"
        return
    yield f"shared = tft.HybridSharing(model.model, {depth!r}, model.alignment)"
    yield "shared.compile_from_config(model.get_compile_config())"


def _metrics(model):
    """Write out the metrics a model is compiled with, where words say them."""
    metrics = (model.get_compile_config() or {}).get("metrics")
    is_plain = isinstance(metrics, list) and all(isinstance(x, str) for x in metrics)
    return f", metrics={metrics}" if metrics and is_plain else ""


def _virtual_rows(plan):
    share = f"source_weight={plan.strategy.source_weight}"
    yield "tft.set_trainable_depth(model, 0)"
    yield "x, y = map(np.asarray, tft.extract_features(model, train))"
    yield f"more_x, more_y = tft.draw_virtual_features(x, y, {plan.virtual_rows})"
    yield "target = np.concatenate([x, more_x]), np.concatenate([y, more_y])"
    yield "others = tuple(map(np.asarray, tft.extract_features(model, source)))"
    yield f"train = tft.join_domains(others, target, {share})"
    yield 'head = keras.Model(model.get_layer("features").output, model.output)'
    yield "head.compile_from_config(model.get_compile_config())"
    yield f"tft.fine_tune(head, train, epochs={plan.stages[0].epochs}, frozen_epochs=0)"


def _shorten(value):
    # A rate that an optimizer kept in float32 reads 0.0010000000474974513.
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _arguments(stage, domain):
    usual = Stage(stage.epochs)
    given = [
        f"{name}={_shorten(getattr(stage, name))!r}"
        for name in _SHOWN
        if getattr(stage, name) != getattr(usual, name)
    ]
    given += ["data=source"] if domain == "source" else []
    return ", ".join([str(stage.epochs), *given])
