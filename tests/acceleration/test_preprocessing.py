"""Models that prepare raw data in a `fit` of their own."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tftransfer.store.listing import list_entries


class Task(keras.Model):
    """Prepares data as KerasHub's tasks do: in `fit`, with `preprocess_samples`."""

    preprocessor = "halves"

    def preprocess_samples(self, x, y=None, sample_weight=None):
        x = tf.cast(x, "float32") / 2.0
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _prepare(self, x, y, batch_size):
        if not isinstance(x, tf.data.Dataset):
            x = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size or 32)
        return x.map(self.preprocess_samples)

    def fit(self, x=None, y=None, batch_size=None, validation_data=None, **kwargs):
        if validation_data is not None:
            validation_data = self._prepare(*validation_data, batch_size)
        x = self._prepare(x, y, batch_size)
        return super().fit(x, validation_data=validation_data, shuffle=False, **kwargs)


def make(build):
    base = build.base()
    base.trainable = False
    inputs = keras.Input((8, 8, 3))
    keras.utils.set_random_seed(2)
    return build.compiled(Task(inputs, layers.Dense(3)(base(inputs))))


def test_a_task_trains_on_prepared_data(build, images):
    weights, losses = [], []
    for accelerated in (False, True):
        model = make(build)
        tft.accelerate(model, accelerated, engine="tensorflow", verbose=False)
        history = model.fit(
            *images, batch_size=8, epochs=2, validation_data=images, verbose=0
        )
        weights.append(build.weights(model))
        losses.append(history.history["val_loss"])
    np.testing.assert_allclose(*weights, rtol=0, atol=1e-6)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert len(list_entries().entries) == 1  # training and validation are the same


def test_another_fit_of_its_own_is_left_alone(build, images, capsys):
    class Own(keras.Model):
        def fit(self, pictures):
            return super().fit(pictures, np.zeros(len(pictures)), verbose=0)

    plain = build.model()
    model = build.compiled(Own(plain.input, plain.output))
    assert tft.accelerate(model) is model
    assert "has its own fit" in capsys.readouterr().out
    assert "fit" not in vars(model)
    assert model.fit(images[0]).epoch == [0]
