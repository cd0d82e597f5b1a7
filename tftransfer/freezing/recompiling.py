"""Compile a model again as it was, so that a change of trainable weights counts."""

import keras

from tftransfer.distribution.scope import scope_of

_RATE = "learning_rate"


def recompile(model, *, learning_rate=None):
    """Compile a compiled model, and compiled models in it, again as they were.

    Each gets a new optimizer of the same class and configuration, built on the weights
    that learn now, and its own loss, loss weights, metrics, `run_eagerly`,
    `steps_per_execution` and `jit_compile`, custom objects included. An optimizer that
    can carry on, as `LayerwiseRates`, stays the same object and keeps its state. What
    was never compiled stays so.

    Args:
        model: `keras.Model`.
        learning_rate: Rate or `LearningRateSchedule` of the new optimizer of `model`;
            `None` keeps the current one.

    Raises:
        ValueError: If the optimizer has no single learning rate that could be set.
    """
    with scope_of(model):
        for layer in model._flatten_layers():
            if layer is model or (isinstance(layer, keras.Model) and layer.compiled):
                _compile_again(layer, learning_rate if layer is model else None)


def _compile_again(model, learning_rate):
    if not model.compiled:
        return
    arguments = dict(model._compile_config.config)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    if arguments["optimizer"] is not None:
        optimizer = arguments["optimizer"]
        if carries_on(optimizer):
            plain_optimizer(optimizer).carry_on(model, learning_rate)
            arguments["optimizer"] = _scale_anew(optimizer)
        else:
            arguments["optimizer"] = renew_optimizer(optimizer, learning_rate)
    # Objects that counted before: `fit` does not reset what is compiled but not built.
    model.reset_metrics()
    # The base class: what an overridden `compile` took besides stays on the model.
    keras.Model.compile(model, **arguments, auto_scale_loss=scaled)
    if model.optimizer is not None and model.trainable_variables:
        # Keras warns when it loads a file saved with an optimizer not built yet.
        model.optimizer.build(model.trainable_variables)


def set_optimizer(model, optimizer):
    """Compile a compiled model again with another optimizer and all else as it was.

    Args:
        model: Compiled `keras.Model`.
        optimizer: New plain `keras.optimizers.Optimizer`; its loss is scaled where
            that of the old one was.
    """
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    arguments = {**model._compile_config.config, "optimizer": optimizer}
    model.reset_metrics()
    keras.Model.compile(model, **arguments, auto_scale_loss=scaled)
    if carries_on(optimizer):
        plain_optimizer(optimizer).carry_on(model, None)
    model.optimizer.build(model.trainable_variables)


def renew_optimizer(optimizer, learning_rate=None):
    """Make an optimizer of the same class and configuration, without state.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
        learning_rate: Another rate or schedule; `None` keeps the current one.

    Returns:
        A new optimizer.

    Raises:
        ValueError: If `learning_rate` is given and the optimizer takes none.
    """
    config = optimizer.get_config()
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        del config["inner_optimizer"]
        inner = renew_optimizer(optimizer.inner_optimizer, learning_rate)
        return type(optimizer)(inner, **config)
    if learning_rate is not None:
        own_rate(optimizer)  # refuses an optimizer that has none
    if _RATE in config:
        config[_RATE] = own_rate(optimizer) if learning_rate is None else learning_rate
    renewed = type(optimizer).from_config(config)
    # `exclude_from_weight_decay` leaves these, and they are in no configuration.
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):
        if hasattr(optimizer, name):
            setattr(renewed, name, getattr(optimizer, name))
    return renewed


def plain_optimizer(optimizer):
    """Return the optimizer itself, or the one whose loss it scales."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return plain_optimizer(optimizer.inner_optimizer)
    return optimizer


def carries_on(optimizer):
    """Whether an optimizer keeps its state when other weights learn than before.

    It has a method `carry_on(model, learning_rate)`, which tells it the model and, if
    not `None`, another rate or schedule that begins now.
    """
    return hasattr(plain_optimizer(optimizer), "carry_on")


def _scale_anew(optimizer):
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    config = optimizer.get_config()
    del config["inner_optimizer"]
    return type(optimizer)(_scale_anew(optimizer.inner_optimizer), **config)


def own_rate(optimizer):
    """Return an optimizer's rate: a float, or its schedule or function as it is.

    Raises:
        ValueError: If the optimizer has no rate of its own.
    """
    optimizer = plain_optimizer(optimizer)
    if not carries_on(optimizer) and _RATE not in optimizer.get_config():
        raise ValueError(
            "`optimizer` must have a learning rate of its own. Received: "
            f"{type(optimizer).__name__}. Compile the model with a plain optimizer "
            "such as keras.optimizers.Adam()."
        )
    rate = optimizer._learning_rate
    # A variable on several devices is no number by itself.
    return rate if callable(rate) else float(keras.ops.convert_to_numpy(rate))
