import keras
from keras import layers

from tftransfer.freezing.flags import read_flags, restore_flags, set_trainable


def build():
    model = keras.Sequential([layers.Dense(3), layers.BatchNormalization()])
    outer = keras.Sequential([model, layers.Dense(2)])
    outer.build((None, 4))
    return outer


def test_a_flag_reaches_what_was_set_one_by_one():
    model = build()
    model.layers[0].layers[0].trainable = False
    set_trainable(model, True)
    assert model.layers[0].layers[0].kernel.trainable
    model.layers[0].layers[0].kernel.trainable = False
    set_trainable(model, True)
    assert model.layers[0].layers[0].kernel.trainable


def test_keras_skips_a_flag_that_is_already_set():
    # The reason for `set_trainable`; when this fails, Keras has learned it.
    layer = layers.Dense(2)
    layer.build((None, 3))
    layer.kernel.trainable = False
    layer.trainable = True
    assert not layer.kernel.trainable


def test_flags_read_are_restored_after_any_change():
    model = build()
    batch_norm = model.layers[0].layers[1]
    batch_norm.trainable = False
    batch_norm.gamma.trainable = True
    flags = read_flags(model)
    expected = [x.trainable for x in model.weights]
    for value in (False, True):
        set_trainable(model, value)
        restore_flags(flags)
        assert [x.trainable for x in model.weights] == expected
        assert not batch_norm.trainable
        assert model.layers[0].trainable
