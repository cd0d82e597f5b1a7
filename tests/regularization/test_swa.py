import keras
import numpy as np
import pytest

import tftransfer as tft


def mean(kept):
    return [
        np.mean([x.astype("float64") for x in w], axis=0)
        for w in zip(*kept, strict=True)
    ]


def test_the_model_ends_with_the_mean_of_the_last_epochs(build, arrays, record):
    model = build()
    average, weights = tft.SWA(2), record()
    model.fit(*arrays, epochs=6, verbose=0, callbacks=[average, weights])
    assert average.num_averaged == 4
    for found, expected in zip(
        model.get_weights(), mean(weights.kept[2:]), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_fit_that_ends_before_keeps_its_weights(build, arrays, record):
    model = build()
    average, weights = tft.SWA(6), record()
    model.fit(*arrays, epochs=6, verbose=0, callbacks=[average, weights])
    assert average.num_averaged == 0
    for found, last in zip(model.get_weights(), weights.kept[-1], strict=True):
        np.testing.assert_array_equal(found, last)


def test_fine_tune_keeps_the_mean_and_not_the_best_epoch(build, arrays, record):
    model = build()
    weights = record()
    tft.fine_tune(
        model,
        arrays,
        validation_data=arrays,
        stages=[
            tft.Stage(1, trainable_depth=0),
            tft.Stage(4, trainable_depth="all", schedule="constant"),
        ],
        callbacks=[tft.SWA(3), weights],
        verbose=0,
    )
    assert len(weights.kept) == 5
    for found, expected in zip(
        model.get_weights(), mean(weights.kept[3:]), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("validates", [False, True])
def test_the_moving_average_of_keras_goes_through_fine_tune(
    build, arrays, record, validates
):
    """What Keras has for EMA: v <- m v + (1 - m) w, from the first weights on."""
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8)
    model, weights = build(optimizer=optimizer), record(of_steps=True)
    average = [w.astype("float64") for w in model.get_weights()]
    stage = tft.Stage(2, learning_rate=0.1, trainable_depth="all", schedule="constant")
    tft.fine_tune(
        model,
        arrays,
        validation_data=arrays if validates else None,
        stages=[stage],
        callbacks=[weights],
        verbose=0,
    )
    for number, kept in enumerate(weights.kept):
        average = [
            w if number == 0 else 0.8 * v + 0.2 * w
            for v, w in zip(average, kept, strict=True)
        ]
    for found, expected in zip(model.get_weights(), average, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_bad_epoch_is_refused():
    with pytest.raises(ValueError, match="Received: start_epoch=-1"):
        tft.SWA(-1)
    with pytest.raises(TypeError, match="Received: start_epoch=0.5 of type float"):
        tft.SWA(0.5)


def test_a_start_that_fine_tune_never_reaches_is_refused(build, arrays):
    match = "SWA with start_epoch=4, and 4 epochs in all stages. Begin earlier"
    with pytest.raises(ValueError, match=match):
        tft.fine_tune(build(), arrays, epochs=3, callbacks=[tft.SWA(4)], verbose=0)
