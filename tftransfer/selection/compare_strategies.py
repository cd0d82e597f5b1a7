"""Strategies of fine-tuning side by side, always against training from scratch."""

import math
import time

from tftransfer.branches.residual_adapter import (
    add_residual_adapters,
    has_residual_adapters,
)
from tftransfer.branches.side_network import add_side_network, has_side_network
from tftransfer.checks import check_whole_number
from tftransfer.evaluation.evaluate import evaluate
from tftransfer.selection.cross_validate import check_seeds
from tftransfer.selection.fresh_models import FreshModels
from tftransfer.selection.memory import memory_given_back
from tftransfer.selection.running import retracing_expected
from tftransfer.selection.strategy_comparison import CONTROL, StrategyComparison
from tftransfer.training.fine_tune import fine_tune
from tftransfer.training.preparing import check_preparable
from tftransfer.training.strategies import plan_strategy
from tftransfer.training.strategy import read_strategy

_PREPARED = {  # strategies that add layers: whether a model has them, what adds them
    "residual_adapter": (has_residual_adapters, add_residual_adapters),
    "feature_extractor_network": (has_side_network, add_side_network),
}


def compare_strategies(
    build,
    train,
    held_out,
    strategies=("head_only", "head_then_all", "gradual_unfreezing", "discriminative"),
    *,
    seeds=(0, 1, 2),
    epochs=5,
    validation_data=None,
    class_names=None,
    verbose=1,
    **fit,
):
    """Fine-tune with each strategy, for as many epochs, and measure each.

    Training from random weights is always among them: a strategy that stays below it
    is negative transfer, and is told as such. All see the same seeds, data and number
    of epochs, and share one store of features: what one of them had to compute for a
    frozen backbone, the next one finds.

    **The test split has no place here.** Measure on rows of the training split that
    take no part in training, take the best strategy, and read the test split once. The
    figure of the best of many is a little too good.

    Args:
        build: Function that returns a new compiled model at each call; one that takes
            an argument gets the seed.
        train: Training data, as of `fine_tune`, or a function that returns those of
            a seed, such as another draw of few labeled rows.
        held_out: Labeled rows to measure on, a batched `tf.data.Dataset` of `(x, y)`.
        strategies: Names, or `Strategy` objects; of one name at most once.
        seeds: Whole numbers, one run of each strategy for each.
        epochs: Epochs of each run in all its stages.
        validation_data: Data that end stages early and choose the epoch, as of
            `fine_tune`; other rows than `held_out`.
        class_names: One str for each class.
        verbose: 1 prints a line for each run, 0 nothing.
        fit: Further arguments of `fine_tune`, such as `cache` or `class_weight`.

    Returns:
        A `StrategyComparison`: figures with intervals over seeds, minutes, and the
        number of parameters that learn.

    Raises:
        ValueError: If an argument is out of range, a strategy is named twice, or
            `build` gives no new compiled model.
        TypeError: If an argument has the wrong type.

    Example:

    >>> def build():
    ...     inputs = keras.Input((4,))
    ...     x = keras.layers.Dense(8, activation="relu", name="features")(inputs)
    ...     model = keras.Model(inputs, keras.layers.Dense(2)(x))
    ...     loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ...     model.compile(keras.optimizers.Adam(0.01), loss)
    ...     return model
    >>> rows = np.eye(4).repeat(8, axis=0), np.arange(32) // 16
    >>> held_out = tf.data.Dataset.from_tensor_slices(rows).batch(8)
    >>> result = tft.compare_strategies(
    ...     build, rows, held_out, ["full"], seeds=(0, 1), epochs=2, verbose=0
    ... )
    >>> sorted(row["strategy"] for row in result.rows), result.metric
    (['from_scratch', 'full'], 'accuracy')
    """
    seeds = check_seeds(seeds)
    check_whole_number("epochs", epochs)
    chosen = _read_strategies(strategies)
    models = FreshModels(build)
    _check_all(models.build(seeds[0]), chosen, epochs)
    runs = []
    for seed in seeds:
        for strategy in chosen:
            with memory_given_back(), retracing_expected():
                runs.append(
                    _run(
                        models,
                        strategy,
                        seed,
                        (train, held_out, class_names),
                        {**fit, "epochs": epochs, "validation_data": validation_data},
                    )
                )
            if verbose:
                print(_tell(runs[-1]), flush=True)
    return StrategyComparison(runs=runs, seeds=seeds, epochs=epochs)


def _read_strategies(strategies):
    if isinstance(strategies, str) or not isinstance(strategies, (list, tuple)):
        raise TypeError(
            "`strategies` must be a list of names or Strategy objects. Received: "
            f"strategies={strategies!r}. Pass for example ['head_only', 'full']."
        )
    chosen = [read_strategy(strategy) for strategy in strategies]
    names = [strategy.name for strategy in chosen]
    if len(set(names)) < len(names):
        raise ValueError(
            "`strategies` must have each name once. Received: "
            f"{names}. Compare two settings of one strategy in two calls."
        )
    if CONTROL not in names:
        chosen.append(read_strategy(CONTROL))
    return chosen


def _check_all(model, strategies, epochs):
    """Raise what any of the strategies would, before the first has trained."""
    for strategy in strategies:
        if strategy.name not in _PREPARED:
            check_preparable(model, plan_strategy(strategy, model, epochs))


def _run(models, strategy, seed, data, fit):
    train, held_out, class_names = data
    train = train(seed) if callable(train) else train
    model = _prepare(models.build(seed), strategy)
    started = time.perf_counter()
    fine_tune(model, train, strategy=strategy, seed=seed, verbose=0, **fit)
    minutes = (time.perf_counter() - started) / 60
    models.remember(model)
    found = evaluate(model, held_out, class_names=class_names)
    metric = next(iter(found.metrics))
    return {
        "strategy": strategy.name,
        "seed": seed,
        "metric": metric,
        "value": found.metrics[metric],
        "minutes": minutes,
        "trainable_parameters": sum(
            math.prod(w.shape) for w in model.trainable_weights
        ),
        "num_rows": found.num_rows,
    }


def _prepare(model, strategy):
    if strategy.name not in _PREPARED:
        return model
    has_layers, add_layers = _PREPARED[strategy.name]
    return model if has_layers(model) else add_layers(model)


def _tell(run):
    return (
        f"seed {run['seed']}, {run['strategy']}: {run['metric']} {run['value']:.4f}, "
        f"{run['minutes']:.1f} minutes"
    )
