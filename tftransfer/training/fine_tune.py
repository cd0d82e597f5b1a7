"""Fine-tuning in stages with plain `fit`: the head first, then the backbone."""

import functools

import keras

from tftransfer.acceleration.budget import CacheSettings
from tftransfer.acceleration.fast_path import FastPath
from tftransfer.checkpoints.resume import Resume
from tftransfer.checks import check_whole_number
from tftransfer.distribution.copies import share_seed
from tftransfer.distribution.replicas import prepare_replicas
from tftransfer.distribution.scope import scope_of
from tftransfer.freezing.depth import check_depth
from tftransfer.freezing.flags import read_flags
from tftransfer.freezing.recompiling import own_rate
from tftransfer.training.batches import read_data
from tftransfer.training.checkpointing import (
    RunCheckpoints,
    describe_run,
    run_with_checkpoints,
)
from tftransfer.training.class_weights import complete_class_weight
from tftransfer.training.data_checks import check_compiled, check_data
from tftransfer.training.preparing import check_preparable, prepared, take_domains
from tftransfer.training.running import run_stages
from tftransfer.training.seeding import seed_training
from tftransfer.training.solving import check_head_solver
from tftransfer.training.stages import check_own_rate, check_stages, plan_stages
from tftransfer.training.strategies import plan_strategy
from tftransfer.training.strategy import read_strategy
from tftransfer.training.virtual_rows import run_on_features

_SHORT_FORM = {  # what `stages` replaces, with the defaults
    "epochs": 5,
    "frozen_epochs": 1,
    "trainable_depth": None,
    "learning_rate": "auto",
}


def fine_tune(
    model,
    train,
    *,
    validation_data=None,
    epochs=5,
    frozen_epochs=1,
    trainable_depth=None,
    learning_rate="auto",
    stages=None,
    strategy=None,
    callbacks=None,
    class_weight=None,
    cache="auto",
    cache_bytes=None,
    augmented_views=1,
    engine="auto",
    head_solver=None,
    seed=None,
    checkpoint=None,
    checkpoint_every="auto",
    verbose="auto",
):
    """Fine-tune a compiled model in stages: the head first, then what shall learn.

    A new head first learns on the frozen backbone, then backbone and head together at
    a tenth of the rate: large gradients of an untrained head would undo what the
    backbone knows. Each stage is one call of `model.fit`, compiled once with the
    model's own optimizer class and configuration, loss and metrics; within a stage the
    rate falls to zero as a cosine. A model whose backbone stays frozen anyway gets one
    stage of `frozen_epochs + epochs`. For other rates, schedules, patience or
    BatchNormalization policies give `stages`.

    With `validation_data` a stage ends early when the validation loss has not
    improved for some epochs, the next stage begins from its best weights, and at last
    the model has the weights of the epoch with the lowest validation loss of all. This
    holds as well when training is interrupted or fails; then the error goes on to the
    caller. Afterwards the model is compiled as it was, at its own rate, with a new
    optimizer; the depth stays that of the last stage. `LayerwiseRates` is never
    replaced: all stages go on with its moments, each at its whole rate if `"auto"`.
    Adapters of `add_lora` learn at the whole rate too, see `lora_rates`.

    What lies below the first layer that learns gives the same features in every epoch:
    it runs once, in the fastest engine at hand, and the epochs run on the stored
    features (the fast path). The model, its callbacks and its history are as without.
    Where the features would differ from epoch to epoch (augmentation, dropout or a
    training BatchNormalization below), one line says so and the whole model runs.

    A callback that stops training ends the whole run; a Keras `EarlyStopping` ends the
    stage. Callbacks see one `fit` per stage, with epochs that count on: give
    `CSVLogger` `append=True`.

    Args:
        model: Compiled `keras.Model`, functional, a wrapper with a functional `.model`,
            or any model with `frozen_epochs=0` and no depth.
        train: Batched `tf.data.Dataset` or `keras.utils.PyDataset` of `(x, y)` or
            `(x, y, sample_weight)`, or a tuple of such arrays (batches of 32).
        validation_data: The same for validation, or `None`.
        epochs: Epochs of the last stage, at least 1.
        frozen_epochs: Epochs before it in which only the head learns, at least 0.
        trainable_depth: How much of the backbone learns in the last stage, see
            `set_trainable_depth`; `None` takes what learns in the model as it is.
        learning_rate: Rate of all stages at their beginning; `"auto"` is the rate the
            model was compiled with, and a tenth of it where the backbone learns.
        stages: List of `Stage` instead of the four arguments above.
        strategy: Name of a strategy or a `Strategy`, instead of all of them but
            `epochs`, which it divides among its stages; `describe_strategy` shows
            which. What it does besides is undone afterwards.
        callbacks: List of Keras callbacks.
        class_weight: Dict from class number to weight in the loss, for classification;
            classes left out weigh 1.
        cache: `"auto"` stores features where that changes nothing but the time, in the
            folder `TFTRANSFER_CACHE` or the platform's cache folder; a path is another
            folder; `False` never stores; `True` insists: layers that draw at random
            below run in inference mode, and data are taken as they first come.
        cache_bytes: The most bytes of features to store for a stage; where they would
            take more, the cut moves towards the input, or nothing is stored. `None`
            is half of what the store may still hold.
        augmented_views: Where examples or layers below draw at random: how many passes
            to store, which take turns from epoch to epoch. 1 does not store then.
        engine: Engine for the frozen part, see `extract_features`.
        head_solver: `"lbfgs"` sets a linear head to its optimum at once, in an epoch
            of its own, wherever nothing else learns in a stage; an L2 regularizer of
            the layer counts as in `fit`, without one scikit-learn's default does: see
            `solve_linear_head`. `None` trains it.
        seed: Seed of all random generators and of the model's dropout. Equal weights,
            data and seed give equal weights to the bit on one machine; a shuffled
            dataset has its own seed, and every look into it changes its next order.
        checkpoint: Folder for checkpoints of this run, see `Resume`; the same call in a
            new process goes on exactly where a killed one was: stage, epoch and batch.
            Where the run is over it gives the model its end. `None` writes none.
        checkpoint_every: Batches from one checkpoint to the next, or `"auto"` for one
            percent of the time.
        verbose: As in `fit`; 0 also silences the fast path.

    Returns:
        `keras.callbacks.History` of all stages: `.history` with one value for each
        epoch, `.epoch`, and `.stages`, the first epoch of each stage, from 0.

    Raises:
        ValueError: If arguments do not fit together or to the model, the model is not
            compiled, or the first batch shows that the data do not fit. All before
            training begins.
        TypeError: If an argument has the wrong type.

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
    >>> train = np.eye(4).repeat(8, axis=0), np.arange(32) % 3
    >>> history = tft.fine_tune(model, train, epochs=2, trainable_depth=1, verbose=0)
    >>> history.epoch, history.stages
    ([0, 1, 2], [0, 1])

    Reference:
        [Transfer learning guide](https://keras.io/guides/transfer_learning/).
    """
    check_compiled(model)
    short = (epochs, frozen_epochs, trainable_depth, learning_rate)
    given = dict(zip(_SHORT_FORM, short, strict=True))
    flags = read_flags(model) if stages is None and strategy is None else None
    plan = _read_plan(model, strategy, stages, given)
    stages = plan.stages if plan else _read_stages(model, stages, given)
    callbacks = _read_callbacks(callbacks, stages)
    if seed is not None:
        check_whole_number("seed", seed, 0)
    settings = CacheSettings(cache, cache_bytes, augmented_views, engine)
    check_head_solver(model, head_solver, cache)
    data = read_data("train", train)
    check_data(model, data, several_classes=True)
    if plan:
        data, stages = take_domains(model, plan, data)
    class_weight = complete_class_weight(model, data, class_weight)
    validation = None
    if validation_data is not None:
        validation = read_data("validation_data", validation_data)
        check_data(model, validation, several_classes=False)
    run = functools.partial(
        _run,
        *(model, plan, stages, validation),
        settings=settings,
        flags=flags,
        callbacks=callbacks,
        class_weight=class_weight,
        head_solver=head_solver,
        verbose=verbose,
    )
    if checkpoint is None:
        return run(data, share_seed(model, seed))
    described = describe_run(
        *(model, stages, data, validation, class_weight, plan), settings=str(settings)
    )
    checkpoints = RunCheckpoints(
        *(model, checkpoint, checkpoint_every, described), seed=seed, verbose=verbose
    )
    return run_with_checkpoints(model, run, data, stages, checkpoints)


def _run(
    model, plan, stages, validation, data, seed, checkpoints=None, *, settings, **given
):
    if seed is not None:
        seed_training(model, seed)
    through = run_stages
    if plan and plan.virtual_rows:
        through = functools.partial(run_on_features, strategy=plan.strategy)
    report = print if given["verbose"] else None
    with scope_of(model), prepared(model, plan, stages) as trained:
        prepare_replicas(trained)
        stores = settings.cache is not False
        path = FastPath(trained, settings, report) if stores else None
        return through(
            *(trained, stages, data, validation),
            fast_path=path,
            seed=seed,
            checkpoints=checkpoints,
            **given,
        )


def _read_plan(model, strategy, stages, given):
    """Return the `Plan` of a strategy, `None` without one."""
    if strategy is None:
        return None
    others = [
        name for name in list(_SHORT_FORM)[1:] if given[name] != _SHORT_FORM[name]
    ]
    if stages is not None or others:
        found = ", ".join([*(["stages"] if stages is not None else []), *others])
        raise ValueError(
            "`strategy` must be given without what its stages say themselves. "
            f"Received: strategy and {found}. Leave one of them out; "
            "describe_strategy shows the stages, to be changed at will."
        )
    plan = plan_strategy(read_strategy(strategy), model, given["epochs"])
    check_preparable(model, plan)
    check_own_rate(own_rate(model.optimizer), plan.stages)
    return plan


def _read_stages(model, stages, short):
    if stages is None:
        stages = plan_stages(model, **short)
    else:
        others = [name for name, x in short.items() if x != _SHORT_FORM[name]]
        if others:
            raise ValueError(
                "`stages` must be given alone, without what each Stage says itself. "
                f"Received: stages and {', '.join(others)}. Put it into the stages."
            )
        check_stages(stages)
    for stage in stages:
        check_depth(model, stage.trainable_depth)
    check_own_rate(own_rate(model.optimizer), stages)
    return stages


def _read_callbacks(callbacks, stages):
    callbacks = keras.tree.flatten(callbacks if callbacks is not None else [])
    epochs = sum(stage.epochs for stage in stages)
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(
                "`callbacks` must be a list of keras.callbacks.Callback. Received: "
                f"one of type {type(callback).__name__}. Pass instances, not classes."
            )
        first = getattr(callback, "start_epoch", 0)
        if getattr(callback, "sets_weights", False) and first >= epochs:
            raise ValueError(
                "`start_epoch` must be below the number of epochs, or nothing is "
                f"averaged. Received: {type(callback).__name__} with start_epoch="
                f"{first}, and {epochs} epochs in all stages. Begin earlier, or train "
                "for longer."
            )
        if isinstance(callback, Resume):
            raise ValueError(
                "`callbacks` must not hold Resume, which knows no stages. Received: "
                "Resume. Pass checkpoint=directory instead."
            )
        # It swaps back only when the next epoch of the same `fit` begins.
        if len(stages) > 1 and getattr(callback, "swap_on_epoch", False):
            raise ValueError(
                "`callbacks` must not swap weights at each epoch over several stages. "
                f"Received: {type(callback).__name__}(swap_on_epoch=True) and "
                f"{len(stages)} stages. Take tft.SWA(), or one stage."
            )
    return callbacks
