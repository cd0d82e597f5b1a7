"""An optimizer that steps each weight at its own rate and counts its steps."""

from typing import Any

import keras
from keras import ops

from tftransfer.freezing.recompiling import own_rate
from tftransfer.rates.rules import SHARED, is_nadam
from tftransfer.rates.slots import Earlier, Slots


class PerWeight(keras.optimizers.Optimizer):
    """Updates each weight by the rule of another optimizer, as if it were alone.

    What concerns all weights together is done here as Keras does it: rate and
    schedule, clipping, accumulation, averages. A multiplier must be in
    `_slots.multipliers` for each weight before `build`.

    `iterations` counts the steps of the optimizer; a weight that was opened later, or
    left out of some, has made fewer: `iterations + lead`. Leads change only when
    weights are left out, so counting costs two operations a step.

    Args:
        optimizer: `keras.optimizers.Optimizer` as `check_optimizer` returns it.
        name: Name of the optimizer.
    """

    _learning_rate: Any

    def __init__(self, optimizer, name=None):
        shared = {setting: getattr(optimizer, setting) for setting in SHARED}
        super().__init__(own_rate(optimizer), name=name, **shared)
        self._leads: Any = None
        self._products: Any = None  # of Nadam's factors
        self._slots = Slots(optimizer)

    def build(self, variables):
        """Make slots for what learns now; what has some keeps them.

        Args:
            variables: List of `keras.Variable`.

        Raises:
            ValueError: If nothing would move.
        """
        variables = list(variables)
        keys = [self._var_key(variable) for variable in variables]
        if self.built and keys == self._keys():
            return
        self._slots.add_rules(keys, variables)
        self._remember()
        self._trainable_variables_indices.clear()
        super().build(variables)
        self._bring_back(keys)

    def _keys(self):
        return [self._var_key(variable) for variable in self._trainable_variables]

    def _begin(self, learning_rate):
        """Begin another rate or schedule, as if at the first step, with all slots."""
        if self.built:
            steps = self._count_steps()
            self._iterations.assign(0)
            self._leads.assign(steps)
            if self.gradient_accumulation_steps:
                self._backend_reset_gradient_accumulators()
        if callable(learning_rate):
            self.learning_rate = learning_rate
        elif isinstance(self._learning_rate, keras.Variable):
            self._learning_rate.assign(learning_rate)
        else:
            self._learning_rate = self.add_variable(
                (), keras.initializers.Constant(learning_rate), name="learning_rate"
            )

    def _remember(self):
        if not self.built:
            return
        nothing = [None] * len(self._trainable_variables)
        kept = zip(
            self._keys(),
            map(int, self._count_steps()),
            nothing if self._products is None else map(float, self._products.numpy()),
            self._model_variables_moving_average if self.use_ema else nothing,
            self._accumulated_gradients
            if self.gradient_accumulation_steps
            else nothing,
            strict=True,
        )
        self._slots.earlier.update({key: Earlier(*parts) for key, *parts in kept})

    def _count_steps(self):
        counted = ops.convert_to_numpy(self.iterations)
        return counted + ops.convert_to_numpy(self._leads)

    def _bring_back(self, keys):
        fresh = Earlier(0, 1.0, None, None)
        earlier = [self._slots.earlier.get(key, fresh) for key in keys]
        # The first time may be inside a traced function, where nothing has a value.
        now = int(ops.convert_to_numpy(self.iterations)) if self._slots.earlier else 0
        self._leads = self._renew(self._leads, [x.steps - now for x in earlier], "int")
        if is_nadam(self._slots.optimizer):
            products = [x.product for x in earlier]
            self._products = self._renew(self._products, products, None)
        for place, one in enumerate(earlier):
            if one.average is not None:
                self._replace(self._model_variables_moving_average, place, one.average)
            if one.accumulator is not None:
                self._replace(self._accumulated_gradients, place, one.accumulator)

    def _renew(self, old, values, dtype):
        """A vector with a value for each weight in place of an old one."""
        usual = 0 if dtype == "int" else 1
        vector = self.add_variable(
            (len(values),),
            keras.initializers.Constant(usual),
            dtype=dtype,
            aggregation="only_first_replica",
            name="leads" if dtype == "int" else "products",
        )
        if set(values) != {usual}:
            vector.assign(values)
        if old is not None:
            self._untrack_variable(old)
        return vector

    def _replace(self, made, place, earlier):
        self._untrack_variable(made[place])
        made[place] = earlier

    @property
    def variables(self):
        """The state: counts and rate, then for each weight all that is kept for it."""
        if not self.built:
            return super().variables
        own = [self._iterations, self._learning_rate, self._leads, self._products]
        for place, variable in enumerate(self._trainable_variables):
            if self.use_ema:
                own.append(self._model_variables_moving_average[place])
            if self.gradient_accumulation_steps:
                own.append(self._accumulated_gradients[place])
            own += self._slots.of(self._var_key(variable), variable)
        return [each for each in own if isinstance(each, keras.Variable)]

    def set_weights(self, weights):
        """Set the state.

        Args:
            weights: List of arrays, one for each of `variables`.
        """
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)

    def apply(self, grads, trainable_variables=None):
        """Make one step, as any Keras optimizer does.

        Args:
            grads: List of gradients.
            trainable_variables: List of `keras.Variable` that they belong to, all or
                some of those the optimizer was built on.

        Raises:
            ValueError: If the optimizer was not built on one of them.
        """
        if self.built and trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            known = set(self._keys())
            for variable in trainable_variables:
                if self._var_key(variable) not in known:
                    raise ValueError(
                        "`trainable_variables` must be what the optimizer was built "
                        f"on. Received: {variable.path!r}, which is new. Call "
                        "optimizer.build(model.trainable_variables) after opening "
                        "layers by hand."
                    )
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Update one weight at its own rate and its own number of steps.

        Args:
            gradient: Its gradient.
            variable: The weight.
            learning_rate: The rate of multiplier 1.
        """
        key = self._var_key(variable)
        multiplier = self._slots.multipliers[key]
        if not multiplier:
            return
        place = self._get_variable_index(variable)
        product = None
        if self._products is not None:
            product = self._shared("products", lambda: ops.unstack(self._products))
        self._slots.rules[key].step(
            gradient,
            variable,
            self._rate(multiplier, learning_rate),
            self._shared("steps", lambda: ops.unstack(self._steps()))[place],
            product and product[place],
        )

    def _steps(self):
        return ops.add(self.iterations, self._leads)

    def _rate(self, multiplier, learning_rate):
        if multiplier == 1:
            return learning_rate
        return self._shared(multiplier, lambda: ops.multiply(learning_rate, multiplier))

    def _shared(self, name, make):
        """A tensor that all updates of one step share: one operation, not hundreds."""
        made = {} if self._slots.made is None else self._slots.made
        if name not in made:
            made[name] = make()
        return made[name]

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        updated = {self._var_key(variable) for variable in trainable_variables}
        left_out = [int(key not in updated) for key in self._keys()]
        if self._products is not None:
            self._multiply_products(left_out)
        self._slots.made = {}
        try:
            super()._backend_update_step(grads, trainable_variables, learning_rate)
        finally:
            self._slots.made = None
        if any(left_out):
            missed = ops.convert_to_tensor(left_out, self._leads.dtype)
            self.assign_sub(self._leads, missed)

    def _multiply_products(self, left_out):
        # As `Nadam` does for all weights at once.
        beta, products = self._slots.optimizer.beta_1, self._products
        step = ops.cast(self._steps() + 1, products.dtype)
        factors = products * beta * (1.0 - 0.5 * ops.power(0.96, step))
        self.assign(products, ops.where(left_out, products, factors))

    def _apply_weight_decay(self, variables):
        groups: dict = {}
        for variable in variables:
            key = self._var_key(variable)
            if self._slots.multipliers[key]:
                group = self._slots.rules[key], self._slots.multipliers[key]
                groups.setdefault(group, []).append(variable)
        for (rule, multiplier), group in groups.items():
            rule.decay_weights(group, self._rate(multiplier, self.learning_rate))

    def _update_model_variables_moving_average(self, trainable_variables):
        # As Keras does, but a weight's average begins with its own first step.
        averages = self._model_variables_moving_average
        steps = ops.unstack(self._steps())
        for weight, average, step in zip(
            trainable_variables, averages, steps, strict=True
        ):
            if average is not None:
                begun = ops.cast(ops.greater(step, 0), weight.dtype)
                momentum = ops.multiply(begun, self.ema_momentum)
                rest = ops.multiply(ops.subtract(1, momentum), weight)
                average.assign(ops.add(ops.multiply(momentum, average), rest))

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Exclude weights from weight decay; call it before training.

        Args:
            var_list: List of `keras.Variable`.
            var_names: List of what occurs in their names.

        Raises:
            ValueError: If the optimizer has been built.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay` must be called before training. Received: "
                "an optimizer that has been built. Call it before `fit`."
            )
        self._slots.exclude_from_weight_decay(var_list, var_names)
