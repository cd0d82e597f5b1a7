import keras
import numpy as np
import pytest

import tftransfer as tft


def train(model, arrays, probability, record):
    weights = record(of_steps=True)
    start = model.get_weights()
    model.fit(
        *arrays,
        batch_size=5,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[tft.StochasticFreezing(probability, seed=1), weights],
    )
    steps = [start, *weights.kept]
    return [
        [not np.array_equal(a, b) for a, b in zip(one, other, strict=True)]
        for one, other in zip(steps[:-1], steps[1:], strict=True)
    ]


def test_each_step_moves_other_blocks_and_always_the_head(build, arrays, record):
    optimizer = keras.optimizers.Adam(0.01, weight_decay=0.1)  # would move them anyway
    moved = train(build(optimizer=optimizer), arrays, 0.5, record)
    blocks = [(step[0], step[2]) for step in moved]
    assert set(blocks) == {(a, b) for a in (True, False) for b in (True, False)}
    assert all(step[0] == step[1] and step[2] == step[3] for step in moved)
    assert all(step[4] and step[5] for step in moved)


@pytest.mark.parametrize(("probability", "moves"), [(0.0, True), (1.0, False)])
def test_the_ends_of_the_range(build, arrays, record, probability, moves):
    moved = train(build(), arrays, probability, record)
    assert all(step[:4] == [moves] * 4 and all(step[4:]) for step in moved)


def test_probability_zero_is_plain_training(build, arrays):
    weights = []
    for callbacks in ([], [tft.StochasticFreezing(0.0)]):
        model = build()
        model.fit(*arrays, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_bad_probability_is_refused():
    with pytest.raises(ValueError, match="Received: probability=1.5"):
        tft.StochasticFreezing(1.5)
