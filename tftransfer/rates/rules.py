"""The rule of an optimizer: how a gradient becomes a step, and what is kept for it."""

import contextlib

import keras

from tftransfer.freezing.recompiling import plain_optimizer, renew_optimizer
from tftransfer.freezing.while_training import list_slots

SHARED = (  # what is done for all variables together, outside of the rule
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
_OFF = {
    "use_ema": False,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}
_WHOLE_STEP = ("apply", "_backend_apply_gradients", "_backend_update_step")


class Rule:
    """A copy of an optimizer that makes steps and keeps slots, and nothing else.

    Clipping, accumulation, averages and the number of steps belong to whoever uses
    the rule and tells it the rate and the number for each variable.

    Args:
        optimizer: What `copy_bare` made, the rule's own from now on.
        variables: List of `keras.Variable` to keep slots for.

    Raises:
        ValueError: If the optimizer keeps what belongs to no single variable.
    """

    def __init__(self, optimizer, variables):
        self._optimizer = optimizer
        self._optimizer.build(variables)
        self._lists = list(list_slots(self._optimizer, len(variables)).values())
        self._check_slots()

    def slots(self, variable):
        """List what is kept for a variable, in an order of the optimizer's class."""
        place = self._optimizer._get_variable_index(variable)
        kept = [slots[place] for slots in self._lists]
        return [slot for slot in kept if slot is not None]

    def decay_weights(self, variables, rate):
        """Decay weights as the optimizer does at a learning rate."""
        with _borrow(self._optimizer, _learning_rate=rate):
            self._optimizer._apply_weight_decay(variables)

    def step(self, gradient, variable, rate, iterations, product=None):
        """Make one step.

        Args:
            gradient: Gradient of the variable.
            variable: One of the variables, or its backend's own.
            rate: Learning rate.
            iterations: Whole number of steps made for this variable before.
            product: For Nadam the product of its factors up to this step.
        """
        counts = {"_iterations": iterations}
        if product is not None:
            counts["_u_product"] = product
        with _borrow(self._optimizer, **counts):
            self._optimizer.update_step(gradient, variable, rate)

    def _check_slots(self):
        optimizer = self._optimizer
        known = {id(slot) for slots in self._lists for slot in slots}
        known |= {id(optimizer._iterations), id(optimizer._learning_rate)}
        if is_nadam(optimizer):
            known.add(id(optimizer._u_product))
        others = [each.path for each in optimizer.variables if id(each) not in known]
        if others:
            raise ValueError(
                "`optimizer` must keep its variables in lists with one entry for each "
                f"weight. Received: {type(optimizer).__name__}, which keeps "
                f"{others[0]!r}. Write it as the docstring of "
                "keras.optimizers.Optimizer shows."
            )


def copy_bare(optimizer):
    """Copy an optimizer without state and without what is done for all together."""
    copy = renew_optimizer(optimizer)
    for name, value in _OFF.items():
        setattr(copy, name, value)
    return copy


def is_nadam(optimizer):
    """Whether an optimizer multiplies up a factor of each step."""
    return isinstance(optimizer, keras.optimizers.Nadam)


def can_be_layerwise(optimizer):
    """Whether an optimizer's rule can be used variable by variable."""
    try:
        check_optimizer(renew_optimizer(plain_optimizer(optimizer)))
    except (TypeError, ValueError):
        return False
    return True


def check_optimizer(optimizer):
    """Return an optimizer whose rule can be used variable by variable.

    Args:
        optimizer: `keras.optimizers.Optimizer` or the name of one.

    Raises:
        TypeError: If it is something else.
        ValueError: If it wraps others, has been built, or does more in a step than
            `update_step`.
    """
    if isinstance(optimizer, str):
        optimizer = keras.optimizers.get(optimizer)
    name = type(optimizer).__name__
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise TypeError(
            "`optimizer` must be a keras.optimizers.Optimizer. Received: optimizer of "
            f"type {name}. Pass for example keras.optimizers.Adam(1e-3)."
        )
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "`optimizer` must be a plain optimizer. Received: LossScaleOptimizer. Wrap "
            "the other way round; compile() does so by itself under mixed_float16."
        )
    wraps = isinstance(optimizer, keras.optimizers.MultiOptimizer)
    if wraps or hasattr(optimizer, "carry_on"):
        raise ValueError(
            f"`optimizer` must be a plain optimizer. Received: {name}. Pass one "
            "optimizer for all layers, such as keras.optimizers.Adam(1e-3)."
        )
    if optimizer.built:
        raise ValueError(
            "`optimizer` must be new. Received: optimizer that has been built, whose "
            "state would be lost. Pass one made with the same settings."
        )
    _check_plain_step(optimizer)
    return optimizer


def _check_plain_step(optimizer):
    for kind in type(optimizer).__mro__:
        own = [name for name in _WHOLE_STEP if name in vars(kind)]
        if own and kind.__module__.partition(".")[0] not in ("keras", "builtins"):
            raise ValueError(
                "`optimizer` must do all of its step in `update_step`, variable by "
                f"variable. Received: {kind.__name__}, whose class defines {own[0]}(). "
                "Move it to `update_step`."
            )


@contextlib.contextmanager
def _borrow(optimizer, **values):
    # Past `__setattr__`, which would track the values as the optimizer's own.
    own = vars(optimizer)
    before = {name: own[name] for name in values}
    own.update(values)
    try:
        yield
    finally:
        own.update(before)
