import keras
import numpy as np
import pytest

import tftransfer as tft
from tftransfer.pruning.channels import trace_channels
from tftransfer.pruning.masks import Masks

Adam = keras.optimizers.Adam
GONE = [0, 3, 5]


@pytest.fixture
def masked(build_mlp):
    """Build a model that trains under masks of three of its hidden units."""

    def masked_(optimizer=None, wrap=lambda model: model):
        model = wrap(build_mlp(optimizer))
        channels = trace_channels(model)
        units = channels.units_of(channels.named("head_dense_1", "units"))
        masks = Masks(channels, units)
        masks.install(model)
        masks.set(model, units[GONE])
        return model, masks

    return masked_


def read(model):
    return getattr(model, "model", model).get_layer("logits").get_weights()[0]


def regularized(model):
    aligned = tft.AlignedModel(model, regularization=[tft.L2SP(0.1)])
    aligned.compile("adam", model.loss, steps_per_execution=4)
    return aligned


@pytest.mark.parametrize(
    ("optimizer", "wrap"),
    [
        (lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=1.0), None),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (lambda: keras.optimizers.SGD(0.1, 0.9, nesterov=True), None),
                (lambda: Adam(0.01, gradient_accumulation_steps=2), None),
                (lambda: tft.LayerwiseRates(Adam(0.01), {"head": 2.0}), None),
                (lambda: keras.optimizers.LossScaleOptimizer(Adam()), None),
                (lambda: None, regularized),
            )
        ),
    ],
)
def test_no_optimizer_brings_units_back(masked, arrays, optimizer, wrap):
    model, masks = masked(optimizer(), *([wrap] if wrap else []))
    before = read(model)
    assert not before[GONE].any()
    model.fit(*arrays, epochs=2, verbose=0)
    after = read(model)
    assert not after[GONE].any()
    left = np.delete(np.arange(16), GONE)
    assert (after[left] != before[left]).any(axis=1).sum() > 6  # others were silent
    masks.remove(model)
    assert all(weight.constraint is None for weight in model.weights)
    model.fit(*arrays, verbose=0)
    assert read(model)[GONE].any()


def test_a_constraint_of_the_layers_own_still_holds(build_mlp, arrays):
    model = build_mlp(keras.optimizers.SGD(1.0), run_eagerly=True)
    own = keras.constraints.MaxNorm(0.3, axis=0)
    model.get_layer("logits").kernel.constraint = own
    channels = trace_channels(model)
    units = channels.units_of(channels.named("head_dense_1", "units"))
    masks = Masks(channels, units)
    masks.install(model)
    masks.set(model, units[GONE])
    model.fit(*arrays, verbose=0)
    assert not read(model)[GONE].any()
    np.testing.assert_array_less(np.linalg.norm(read(model), axis=0), 0.3 + 1e-5)
    masks.remove(model)
    assert model.get_layer("logits").kernel.constraint is own


@pytest.mark.slow
def test_masks_change_without_another_trace(masked, arrays):
    model, masks = masked()
    model.fit(*arrays, verbose=0)
    traced = model.train_function
    channels = trace_channels(model)
    units = channels.units_of(channels.named("head_dense_1", "units"))
    masks.set(model, units[:8])
    model.fit(*arrays, verbose=0)
    assert model.train_function is traced
    assert not read(model)[:8].any()
