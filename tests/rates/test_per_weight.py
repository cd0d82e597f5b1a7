import keras
import numpy as np
import pytest

from tftransfer.rates.layerwise_rates import LayerwiseRates

RATE = 0.01
LATE, STEPS = 5, 12  # where block1 is opened, and all steps


class InNumpy:
    """Textbook rules in float64, each weight with steps and moments of its own."""

    def __init__(self, weights, rates, decay=0.0):
        self.weights = [x.numpy().astype("float64") for x in weights]
        self.rates, self.decay = rates, decay
        self.steps = [0] * len(weights)
        self.first = [np.zeros(x.shape) for x in self.weights]
        self.second = [np.zeros(x.shape) for x in self.weights]

    def step(self, place, gradient, rate=RATE):
        gradient, rate = np.asarray(gradient, "float64"), rate * self.rates[place]
        self.steps[place] += 1
        self.weights[place] -= rate * self.decay * self.weights[place]
        self.weights[place] -= self.change(place, gradient, rate)


class Adam(InNumpy):
    """Kingma & Ba, 2015, the end of section 2; decay as Loshchilov & Hutter, 2017."""

    def change(self, place, gradient, rate):
        step = self.steps[place]
        self.first[place] += 0.1 * (gradient - self.first[place])
        self.second[place] += 0.001 * (gradient**2 - self.second[place])
        rate *= np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        return rate * self.first[place] / (np.sqrt(self.second[place]) + 1e-7)


class Momentum(InNumpy):
    def change(self, place, gradient, rate):
        self.first[place] = 0.9 * self.first[place] + rate * gradient
        return self.first[place]


RULES = {
    "Adam": (Adam, {}),
    "AdamW": (Adam, {"weight_decay": 0.3}),
    "SGD": (Momentum, {"momentum": 0.9}),
}
RATES = {"block1": 0.1, "block2": 0.5, "block2/bias": 2.0}


@pytest.fixture
def start(build, gradients):
    """A model, our optimizer matched with it and the same in NumPy."""

    def start_(name, **more):
        model = build()
        kind, settings = RULES[name]
        optimizer = getattr(keras.optimizers, name)(RATE, **settings, **more)
        optimizer = LayerwiseRates(optimizer, RATES)
        rates = list(optimizer.match(model).values())
        truth = kind(
            model.trainable_variables, rates, settings.get("weight_decay", 0.0)
        )
        return model.trainable_variables, optimizer, truth

    return start_


def check(variables, truth, atol=1e-6):
    for variable, weight in zip(variables, truth.weights, strict=True):
        np.testing.assert_allclose(variable, weight, 1e-4, atol, err_msg=variable.path)


@pytest.mark.parametrize("name", RULES)
def test_weights_opened_late_and_closed_again_have_steps_of_their_own(
    name, start, gradients
):
    variables, optimizer, truth = start(name)
    for step in range(STEPS):
        # block1 learns from step 5 on, rests at 8 and 9, and goes on.
        first = 0 if LATE <= step and step not in (8, 9) else 2
        optimizer.build(variables[first:])
        drawn = gradients(variables, step)
        optimizer.apply(drawn[first:], variables[first:])
        for place in range(first, len(variables)):
            truth.step(place, drawn[place])
    check(variables, truth)
    assert truth.steps == [5, 5, 12, 12, 12, 12]


@pytest.mark.parametrize("name", RULES)
def test_weights_left_out_of_a_step_are_not_counted(name, start, gradients):
    variables, optimizer, truth = start(name)
    optimizer.build(variables)
    for step in range(STEPS):
        places = range(len(variables)) if step % 3 == 2 else range(2, 6)
        drawn = gradients(variables, step)
        optimizer.apply(
            [drawn[place] for place in places], [variables[place] for place in places]
        )
        for place in places:
            truth.step(place, drawn[place])
    check(variables, truth)


def test_the_first_step_of_a_weight_opened_late_is_one_learning_rate(build, gradients):
    # The first step of Adam is the rate itself, whatever the gradient. Corrected by the
    # steps of the others it would be sqrt(1 - 0.999^5001) 0.1 / sqrt(0.001) = 3.15.
    def first_step(optimizer, built_on):
        weights = build().trainable_variables
        optimizer.build(weights[built_on:])
        optimizer._iterations.assign(5000)
        optimizer.build(weights)
        before = weights[0].numpy()
        optimizer.apply(gradients(weights, 0), weights)
        return np.abs(weights[0].numpy() - before).mean() / RATE

    ours = LayerwiseRates(keras.optimizers.Adam(RATE))
    assert first_step(ours, built_on=4) == pytest.approx(1.0, rel=1e-3)
    bare = keras.optimizers.Adam(RATE)
    assert first_step(bare, built_on=0) == pytest.approx(3.15, rel=1e-2)


def test_multiplier_zero_moves_nothing_and_keeps_nothing(build, gradients):
    model = build()
    optimizer = LayerwiseRates(
        keras.optimizers.AdamW(RATE, weight_decay=0.5), {"block1": 0}
    )
    optimizer.match(model)
    before = [x.numpy() for x in model.weights]
    for step in range(3):
        variables = model.trainable_variables
        optimizer.apply(gradients(variables, step), variables)
    moved = [
        not np.array_equal(a, b) for a, b in zip(before, model.weights, strict=True)
    ]
    assert moved == [False] * 2 + [True] * 4
    assert len(optimizer.variables) == 3 + 2 * 4  # count, rate, leads; two moments


@pytest.mark.parametrize(
    "clip", [{"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.5}]
)
def test_gradients_are_clipped_before_rates_count(clip, start, gradients):
    variables, optimizer, truth = start("SGD", **clip)
    for step in range(3):
        drawn = gradients(variables, step)
        optimizer.apply(drawn, variables)
        for place, gradient in enumerate(_clip(drawn, **clip)):
            truth.step(place, gradient)
    check(variables, truth)


def _clip(gradients, clipnorm=None, clipvalue=None, global_clipnorm=None):
    gradients = [np.asarray(x, "float64") for x in gradients]
    if clipvalue:
        return [np.clip(x, -clipvalue, clipvalue) for x in gradients]
    if clipnorm:
        return [x * min(1, clipnorm / np.linalg.norm(x)) for x in gradients]
    norm = np.sqrt(sum((x**2).sum() for x in gradients))
    return [x * min(1, global_clipnorm / norm) for x in gradients]


def test_accumulated_gradients_count_as_one_step(start, gradients):
    variables, optimizer, truth = start("Adam", gradient_accumulation_steps=3)
    for step in range(9):
        optimizer.apply(gradients(variables, step), variables)
    for step in (0, 3, 6):
        several = [gradients(variables, step + more) for more in range(3)]
        for place, parts in enumerate(zip(*several, strict=True)):
            truth.step(place, np.mean(parts, axis=0))
    check(variables, truth)
    assert int(optimizer.iterations) == 3


def test_accumulation_counts_steps_of_what_is_opened_late(start, gradients):
    variables, optimizer, truth = start("Adam", gradient_accumulation_steps=2)
    for step in range(8):
        first = 0 if step >= 4 else 2
        optimizer.build(variables[first:])
        optimizer.apply(gradients(variables, step)[first:], variables[first:])
    for step in (0, 2, 4, 6):
        several = [gradients(variables, step), gradients(variables, step + 1)]
        for place, parts in enumerate(zip(*several, strict=True)):
            if place >= 2 or step >= 4:
                truth.step(place, np.mean(parts, axis=0))
    check(variables, truth)


def test_averages_begin_with_the_first_step_of_each_weight(start, gradients):
    variables, optimizer, truth = start("SGD", use_ema=True, ema_momentum=0.8)
    averages = [None] * len(variables)
    for step in range(STEPS):
        first = 0 if step >= LATE else 2
        optimizer.build(variables[first:])
        drawn = gradients(variables, step)
        optimizer.apply(drawn[first:], variables[first:])
        for place in range(first, len(variables)):
            truth.step(place, drawn[place])
            weight, old = truth.weights[place], averages[place]
            averages[place] = weight + 0 if old is None else 0.8 * old + 0.2 * weight
    check(variables, truth)
    optimizer.finalize_variable_values(variables)
    truth.weights = averages
    check(variables, truth)


def test_schedules_are_followed_and_may_begin_again(start, gradients):
    schedule = keras.optimizers.schedules.PolynomialDecay(0.4, 8, 0.0)
    variables, optimizer, truth = start("Adam")
    rates = []
    for step in range(STEPS):
        if step in (0, 5):
            optimizer._begin(schedule)
        if step == 9:
            optimizer._begin(0.25)
        rates.append(float(optimizer.learning_rate))
        drawn = gradients(variables, step)
        optimizer.apply(drawn, variables)
        for place, gradient in enumerate(drawn):
            truth.step(place, gradient, rates[-1])
    falling = [0.4, 0.35, 0.3, 0.25, 0.2]
    np.testing.assert_allclose(rates, falling + falling[:4] + [0.25] * 3, rtol=1e-6)
    check(variables, truth, atol=1e-5)


def test_the_rate_can_be_set(start, gradients):
    variables, optimizer, truth = start("SGD")
    for step, rate in enumerate([RATE, 0.5]):
        optimizer.learning_rate = rate
        drawn = gradients(variables, step)
        optimizer.apply(drawn, variables)
        for place, gradient in enumerate(drawn):
            truth.step(place, gradient, rate)
    check(variables, truth)


def test_excluded_weights_do_not_decay(build, gradients):
    model = build()
    optimizer = LayerwiseRates(keras.optimizers.AdamW(RATE, weight_decay=10.0))
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    variables = model.trainable_variables
    for x in variables:
        x.assign(keras.ops.ones_like(x))
    optimizer.apply([keras.ops.zeros_like(x) for x in variables], variables)
    for x in variables:
        np.testing.assert_allclose(x, 1.0 if x.name == "bias" else 0.9, rtol=1e-6)
    with pytest.raises(ValueError, match="Received: an optimizer that has been built"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_constraints_hold(gradients):
    layer = keras.layers.Dense(3, kernel_constraint="non_neg")
    layer.build((None, 6))
    optimizer = LayerwiseRates(keras.optimizers.SGD(1.0))
    variables = layer.trainable_variables
    optimizer.apply(gradients(variables, 0), variables)
    assert float(keras.ops.min(layer.kernel)) == 0.0


@pytest.mark.parametrize("name", ["Adam", "Nadam", "Adafactor"])
def test_the_state_of_one_optimizer_serves_another(name, build, gradients):
    def run(optimizer, model, steps):
        for step in steps:
            variables = model.trainable_variables
            optimizer.apply(gradients(variables, step), variables)

    make = getattr(keras.optimizers, name)
    one, other = build(), build()
    first, second = LayerwiseRates(make(RATE)), LayerwiseRates(make(RATE))
    first.build(one.trainable_variables[4:])
    first.apply(gradients(one.trainable_variables[4:], 0))
    first.build(one.trainable_variables)  # two rules, one after the other
    run(first, one, range(3))
    other.set_weights(one.get_weights())
    second.build(other.trainable_variables)  # one rule for all
    second.set_weights([x.numpy() for x in first.variables])
    run(first, one, range(3, 6))
    run(second, other, range(3, 6))
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=a.path)


def test_an_unknown_weight_is_refused(build, gradients):
    variables = build().trainable_variables
    optimizer = LayerwiseRates("sgd")
    optimizer.build(variables[2:])
    with pytest.raises(ValueError, match="Received: 'block1/kernel', which is new"):
        optimizer.apply(gradients(variables, 0), variables)


def test_something_must_move(build):
    model = build()
    optimizer = LayerwiseRates("sgd", {"head": 0})
    optimizer.match(model)
    with pytest.raises(ValueError, match="Received: multiplier 0 for all 2 weights"):
        optimizer.build(model.trainable_variables[4:])
