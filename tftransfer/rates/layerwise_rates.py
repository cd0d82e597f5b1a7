"""Each layer its own learning rate, with any Keras optimizer."""

import keras

from tftransfer.rates.calling import calling_model
from tftransfer.rates.matching import check_rates, match_rates
from tftransfer.rates.per_weight import PerWeight
from tftransfer.rates.rules import check_optimizer


@keras.saving.register_keras_serializable(package="tftransfer")
class LayerwiseRates(PerWeight):
    """An optimizer with a multiplier of the learning rate for each layer.

    Early layers of a pretrained network hold what serves any task and should move
    less than a new head. Scaling their gradients would do nothing under Adam, which
    divides by the gradients' size; here each weight is updated as the given optimizer
    alone would do it at `multiplier * learning_rate`, weight decay included. The
    gradients of all weights together are clipped, accumulated and averaged as the
    optimizer says.

    The multiplier of a weight is the rate of the name in `rates` that covers it, of
    several the one that covers fewest weights; where no name does, `layer_decay ** n`
    in the n-th block below the head, see `set_trainable_depth`, and 1 in the head. A
    weight of multiplier 0 does not move.

    Steps are counted for each weight. What is opened later, by `fine_tune` or
    `set_trainable_depth`, joins in with moments and a bias correction of its own, and
    the others keep theirs: the same optimizer goes on. After opening layers by hand
    compile again and call `optimizer.build(model.trainable_variables)`.

    Names are looked up in the model that is trained, when `fit` begins or a `.keras`
    file is loaded; in a training loop of your own call `match` first. Load such a file
    with `tft.load_model`.

    Args:
        optimizer: `keras.optimizers.Optimizer` or the name of one, not used before.
            Its learning rate or schedule is the rate of multiplier 1.
        rates: Dict from names to multipliers >= 0: blocks, layers, `"head"`, weights by
            their path or neighboring words of it, as `"block1/bias"` or `"bias"`.
        layer_decay: Factor in (0, 1] from each block to the one below it; `None` is 1.
        name: Name of the optimizer.

    Raises:
        ValueError: If a rate or the optimizer is not acceptable; at the beginning of
            `fit`, if a name has no weights in the model or nothing would move.
        TypeError: If an argument has the wrong type.

    Example:

    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((4,)),
    ...         keras.layers.Dense(8, name="block1"),
    ...         keras.layers.Dense(8, name="block2"),
    ...         keras.layers.Activation("relu", name="features"),
    ...         keras.layers.Dense(3, name="logits"),
    ...     ],
    ...     name="small",
    ... )
    >>> optimizer = tft.LayerwiseRates("adam", {"block1/bias": 0}, layer_decay=0.5)
    >>> optimizer.match(model)["small/block1/kernel"]
    0.25
    >>> model.compile(optimizer, "mse")
    >>> history = model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)

    Reference:
        Discriminative fine-tuning, section 3.2 of
        [Howard & Ruder, 2018](https://arxiv.org/abs/1801.06146).
    """

    def __init__(self, optimizer, rates=None, layer_decay=None, *, name=None):
        optimizer = check_optimizer(optimizer)
        check_rates(rates, layer_decay)
        super().__init__(optimizer, name)
        self.rates = dict(rates or {})
        self.layer_decay = layer_decay

    def match(self, model):
        """Look up the names of `rates` in a model.

        Args:
            model: `keras.Model` that will be trained.

        Returns:
            Dict from the path of each weight to its multiplier.

        Raises:
            ValueError: If a name has no weights in the model.
        """
        found = match_rates(model, self.rates, self.layer_decay)
        multipliers = {self._var_key(x): found[id(x)] for x in model.weights}
        self._slots.multipliers = multipliers
        return {x.path: found[id(x)] for x in model.weights}

    def carry_on(self, model, learning_rate=None):
        """Go on with a model of which other weights may learn now; `recompile` asks.

        Args:
            model: `keras.Model`.
            learning_rate: Another rate, or a schedule that begins now; `None` goes on
                with the old one.
        """
        self.match(model)
        if learning_rate is not None:
            self._begin(learning_rate)

    def build(self, variables):
        """Make slots for what learns now; what has some keeps them.

        Args:
            variables: List of `keras.Variable`.

        Raises:
            ValueError: If nothing would move, a name has no weights, or names must be
                looked up and no model is at hand.
        """
        self._look_up(list(variables))
        super().build(variables)

    def _look_up(self, variables):
        keys = [self._var_key(variable) for variable in variables]
        if set(keys) <= set(self._slots.multipliers):
            return
        model = calling_model(variables)
        if model is not None:
            self.match(model)
        elif self.rates or self.layer_decay is not None:
            raise ValueError(
                "`variables` must be weights of a model whose fit() is running, or "
                f"names cannot be looked up. Received: {len(keys)} variables, the "
                f"first of them {variables[0].path!r}. In a training loop of your own "
                "call optimizer.match(model) first."
            )
        else:
            self._slots.multipliers.update(dict.fromkeys(keys, 1.0))

    def get_config(self):
        """Return what makes an equal optimizer, at the rate of now, without state."""
        optimizer = keras.saving.serialize_keras_object(self._slots.optimizer)
        optimizer["config"]["learning_rate"] = super().get_config()["learning_rate"]
        return {
            "optimizer": optimizer,
            "rates": dict(self.rates),
            "layer_decay": self.layer_decay,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Make an optimizer of a configuration."""
        optimizer = keras.saving.deserialize_keras_object(
            config["optimizer"], custom_objects=custom_objects
        )
        return cls(**{**config, "optimizer": optimizer})
