import keras
import numpy as np
from keras import layers

from tftransfer.training.seeding import seed_training


def test_a_seed_restarts_dropout_wherever_it_was(build):
    model = build(dropout=0.5)
    inputs = np.ones((4, 6), "float32")
    drawn = []
    for _ in range(2):
        seed_training(model, 3)
        drawn.append(np.array(model(inputs, training=True)))
    assert np.array_equal(*drawn)
    assert not np.array_equal(drawn[0], model(inputs, training=True))
    seed_training(model, 4)
    assert not np.array_equal(drawn[0], model(inputs, training=True))


def test_each_layer_gets_a_state_of_its_own(build):
    inputs = keras.Input((1000,))
    outputs = [layers.Dropout(0.5)(inputs), layers.Dropout(0.5)(inputs)]
    model = keras.Model(inputs, outputs)
    seed_training(model, 0)
    one, other = model(np.ones((1, 1000), "float32"), training=True)
    assert not np.array_equal(one, other)
