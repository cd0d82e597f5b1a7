import keras
import numpy as np
import pytest
from keras import layers


@pytest.fixture
def build_cnn():
    """A small network with the layers of a MobileNet: same seed, same weights."""

    def build(classes=3, seed=0, compiled=True, **convolution):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(16, 3, use_bias=False, name="stem_conv")(inputs)
        x = layers.BatchNormalization(name="stem_bn")(x)
        x = layers.ReLU(name="stem_relu")(x)
        for block in ("block1", "block2"):
            x = layers.DepthwiseConv2D(3, padding="same", name=f"{block}_dwconv")(x)
            x = layers.Conv2D(16, 1, name=f"{block}_conv", **convolution)(x)
            x = layers.BatchNormalization(name=f"{block}_bn")(x)
        x = layers.GlobalAveragePooling2D(name="features")(x)
        model = keras.Model(inputs, layers.Dense(classes, name="logits")(x))
        if compiled:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(0.01), loss)
            model.optimizer.build(model.trainable_variables)
        return model

    return build


@pytest.fixture
def images(rng):
    return rng.random((12, 8, 8, 3), dtype="float32")


@pytest.fixture
def labels():
    return np.arange(12) % 3


@pytest.fixture
def move():
    """Give all factors of a model values of a size that shows."""

    def move(model):
        generator = np.random.default_rng(1)
        for variable in model.weights:
            if variable.name == "adapter_b":
                values = generator.normal(size=variable.shape, scale=0.3)
                variable.assign(values.astype("float32"))

    return move
