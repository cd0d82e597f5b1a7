import keras
import numpy as np
import pytest

import tftransfer as tft


@pytest.mark.parametrize("schedule", ["linear", "cosine", "exponential"])
def test_shares_follow_the_schedule(schedule):
    decay = tft.ParameterDecay(0.2, epochs=4, schedule=schedule)
    steps = np.array([0, 0.25, 0.5, 0.75, 1, 1])
    expected = {
        "linear": 1 - 0.8 * steps,
        "cosine": 0.2 + 0.8 * (1 + np.cos(np.pi * steps)) / 2,
        "exponential": 0.2**steps,
    }[schedule]
    shares = [decay.share(epoch) for epoch in range(6)]
    np.testing.assert_allclose(shares, expected, atol=1e-12)


def test_without_learning_the_pretrained_share_is_left(build, arrays, record):
    model = build(optimizer=keras.optimizers.SGD(0.0))
    before = model.get_weights()
    decay, weights = tft.ParameterDecay(0.5, epochs=2), record()
    model.fit(*arrays, epochs=4, verbose=0, callbacks=[decay, weights])
    for epoch, share in enumerate((1.0, 0.75, 0.5, 0.5)):
        for place, (old, new) in enumerate(
            zip(before, weights.kept[epoch], strict=True)
        ):
            fades = place < 4 and old.ndim == 2  # kernels of the backbone
            expected = old.astype("float64") * (share if fades else 1.0)
            np.testing.assert_allclose(new, expected, atol=1e-6)


def test_what_was_learned_does_not_fade(record):
    """A gradient that does not depend on the weights: x = w0 c(t) + all updates."""
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(1, use_bias=False, name="block1"),
            keras.layers.Activation("linear", name="features"),
            keras.layers.Activation("linear", name="head"),
        ]
    )
    model.set_weights([np.array([[4.0]])])
    model.compile(keras.optimizers.SGD(0.1), loss=lambda y, logits: logits)
    decay, weights = tft.ParameterDecay(0.0, epochs=4), record()
    ones = np.ones((1, 1))
    model.fit(ones, ones, epochs=5, verbose=0, callbacks=[decay, weights])
    kept = [float(x[0][0, 0]) for x in weights.kept]
    shares = [1, 0.75, 0.5, 0.25, 0]
    expected = [4 * share - 0.1 * (n + 1) for n, share in enumerate(shares)]
    np.testing.assert_allclose(kept, expected, atol=1e-6)


def test_a_block_that_opens_late_begins_to_fade_late(build, arrays, record):
    model = build(optimizer=keras.optimizers.SGD(1e-9))
    before = model.get_layer("block2").get_weights()[0]
    weights = record()
    tft.fine_tune(
        model,
        arrays,
        epochs=3,
        frozen_epochs=2,
        trainable_depth=1,
        cache=False,
        verbose=0,
        callbacks=[tft.ParameterDecay(0.5, epochs=2), weights],
    )
    shares = [
        float(np.linalg.norm(x[2]) / np.linalg.norm(before)) for x in weights.kept
    ]
    np.testing.assert_allclose(shares, [1, 1, 1, 0.75, 0.5], rtol=1e-5)


def test_a_second_fit_never_brings_back_what_has_faded(build, arrays):
    model = build(optimizer=keras.optimizers.SGD(0.0))
    decay = tft.ParameterDecay(0.5, epochs=1)
    model.fit(*arrays, epochs=2, verbose=0, callbacks=[decay])
    faded = model.get_weights()
    model.fit(*arrays, epochs=2, verbose=0, callbacks=[decay])
    for one, other in zip(faded, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"final_share": 1.5}, "Received: final_share=1.5"),
        ({"epochs": 0}, "Received: epochs=0"),
        ({"schedule": "steps"}, "Received: schedule='steps'"),
        ({"final_share": 0, "schedule": "exponential"}, "Received: final_share=0"),
    ],
)
def test_bad_values_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tft.ParameterDecay(**{"final_share": 0.5, "epochs": 3, **arguments})
