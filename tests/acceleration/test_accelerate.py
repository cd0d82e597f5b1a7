"""`accelerate`: anybody's model, no other line changed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tftransfer.store.listing import list_entries


@pytest.fixture
def twins(build):
    """Two equal models, the second one accelerated."""

    def make(**options):
        plain, fast = build.model(**options), build.model(**options)
        return plain, tft.accelerate(fast, engine="tensorflow", verbose=False)

    return make


@pytest.mark.slow
def test_evaluate_and_predict_give_the_same(twins, images, train, store):
    plain, fast = twins()
    for data in (images[0], train, train.map(lambda x, y: x)):
        expected = plain.predict(data, verbose=0)
        np.testing.assert_allclose(fast.predict(data, verbose=0), expected, atol=1e-6)
    weights = np.linspace(0, 2, 26)
    for arguments in ({"x": train}, {"x": images[0], "y": images[1]}):
        if "y" in arguments:
            arguments |= {"sample_weight": weights, "batch_size": 7}
        expected = plain.evaluate(**arguments, verbose=0, return_dict=True)
        result = fast.evaluate(**arguments, verbose=0, return_dict=True)
        np.testing.assert_allclose(*(list(x.values()) for x in (result, expected)))
    assert len(list_entries().entries) == 4


@pytest.mark.slow
def test_fit_takes_all_it_takes(twins, images, build):
    plain, fast = twins()
    settings = {
        "batch_size": 4,
        "epochs": 3,
        "shuffle": False,
        "validation_split": 0.25,
        "class_weight": {0: 2.0, 1: 1.0, 2: 0.5},
        "initial_epoch": 1,
        "validation_freq": 2,
        "verbose": 0,
    }
    histories = [model.fit(*images, **settings) for model in (plain, fast)]
    for name, values in histories[0].history.items():
        np.testing.assert_allclose(histories[1].history[name], values, rtol=1e-4)
    assert histories[0].epoch == histories[1].epoch == [1, 2]
    np.testing.assert_allclose(build.weights(fast), build.weights(plain), atol=1e-5)
    assert fast.history is histories[1]


def test_it_is_undone(twins, images):
    _, fast = twins()
    assert tft.accelerate(fast, False) is fast
    fast.predict(images[0], verbose=0)
    assert list_entries().entries == ()
    assert "fit" not in vars(fast)


@pytest.mark.slow
def test_freezing_may_change_in_between(twins, images, capsys):
    _, model = twins()
    tft.accelerate(model, engine="tensorflow")
    model.fit(*images, verbose=2)
    tft.set_trainable_depth(model, 1)
    model.fit(*images, verbose=2)
    lines = [x for x in capsys.readouterr().out.splitlines() if "Fast path" in x]
    assert "'features'" in lines[0] and "'block1_relu'" in lines[1]


def test_what_cannot_be_helped_says_so_and_runs(images, capsys, build):
    inputs = keras.Input((8, 8, 3))
    outputs = layers.Dense(3)(layers.Flatten()(inputs))
    model = build.compiled(keras.Model(inputs, outputs))
    assert tft.accelerate(model) is model
    assert capsys.readouterr().out == (
        "Fast path: nothing to store as the model is now: nothing with weights is "
        "frozen below the first layer that learns.\n"
    )
    assert model.fit(*images, verbose=0).epoch == [0]

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(keras.ops.mean(inputs, axis=(1, 2)))

    model = tft.accelerate(build.compiled(Subclassed()))
    assert "not functional" in capsys.readouterr().out
    assert model.fit(*images, verbose=0).epoch == [0]


def test_steps_per_epoch_runs_as_before(twins, train, capsys):
    _, model = twins()
    tft.accelerate(model)
    model.fit(train.repeat(), steps_per_epoch=2, shuffle=False, verbose=2)
    assert "steps_per_epoch is given" in capsys.readouterr().out
    assert model.optimizer.iterations.numpy() == 2


def test_silent_calls_print_nothing(twins, images, capsys):
    _, model = twins()
    tft.accelerate(model)
    model.fit(*images, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("batch_sizes", [(32, 8), (4, 16)])
def test_batches_are_those_of_this_call(build, images, batch_sizes):
    """What is stored does not say how it is batched."""
    for batch_size in batch_sizes:
        model = tft.accelerate(build.model(), verbose=False)
        model.fit(*images, batch_size=batch_size, verbose=0)
        assert model.optimizer.iterations.numpy() == -(-26 // batch_size)
        model = tft.accelerate(build.model(), verbose=False)
        batches = tf.data.Dataset.from_tensor_slices(images).batch(batch_size)
        model.fit(batches, shuffle=False, verbose=0)
        assert model.optimizer.iterations.numpy() == -(-26 // batch_size)


def test_views_are_for_training_only(build, images):
    base = build.base()
    base.trainable = False
    inputs = keras.Input((8, 8, 3))
    x = base(layers.RandomBrightness(0.8, seed=1)(inputs))
    model = build.compiled(keras.Model(inputs, layers.Dense(3)(x)))
    expected = model.predict(images[0], verbose=0)
    tft.accelerate(model, augmented_views=2, verbose=False)
    for _ in range(2):
        found = model.predict(images[0], verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_vectors_with_a_validation_split_and_traces_of_before(rng):
    features, labels = rng.normal(size=(640, 6)), np.arange(640) % 2
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    tft.accelerate(model, verbose=False)
    model.evaluate(features, labels, verbose=0)
    history = model.fit(features, labels, epochs=40, validation_split=0.25, verbose=0)
    expected = model.evaluate(features[480:], labels[480:], verbose=0)
    np.testing.assert_allclose(history.history["val_loss"][-1], expected, rtol=1e-5)
    assert model.optimizer.iterations.numpy() == 40 * 15


def test_a_callback_may_predict_while_fine_tune_runs(build, images, train):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.predict(images[0], verbose=0))

    model = tft.accelerate(build.model(), engine="tensorflow", verbose=False)
    settings = {"epochs": 2, "frozen_epochs": 0, "engine": "tensorflow", "verbose": 0}
    tft.fine_tune(model, train, callbacks=[Look()], **settings)
    tft.accelerate(model, False)
    np.testing.assert_allclose(seen[1], model.predict(images[0], verbose=0), atol=1e-5)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # by Keras, rightly
def test_what_cannot_be_read_runs_as_before(build, images, capsys):
    def generate():
        for _ in range(2):
            yield images[0][:8], images[1][:8]

    model = tft.accelerate(build.model())
    history = model.fit(generate(), shuffle=False, verbose=2)
    assert "Received: generator. Make a dataset of it." in capsys.readouterr().out
    assert history.epoch == [0] and model.optimizer.iterations.numpy() >= 2


def test_a_custom_train_step_runs_as_before(build, train):
    class Doubled(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = 2.0 * self.compute_loss(y=y, y_pred=self(x, training=True))
            variables = self.trainable_variables
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return {"loss": loss}

    weights = []
    for accelerated in (False, True):
        plain = build.model()
        model = Doubled(plain.input, plain.output)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.05), loss)
        tft.accelerate(model, accelerated, engine="tensorflow", verbose=False)
        model.fit(train, epochs=2, shuffle=False, verbose=0)
        weights.append(build.weights(model))
    np.testing.assert_array_equal(*weights)
    assert list_entries().entries == ()  # the step may use the inputs


@pytest.mark.slow
def test_text_models_with_several_inputs(build):
    """Token ids and their mask, as KerasHub has them; the encoder is one layer."""
    rng = np.random.default_rng(0)
    inputs = {
        "token_ids": rng.integers(1, 20, (12, 6)),
        "padding_mask": (np.arange(6) < rng.integers(1, 7, (12, 1))).astype("int32"),
    }

    def make():
        keras.utils.set_random_seed(1)
        given = {name: keras.Input((6,), dtype="int32", name=name) for name in inputs}
        x = layers.Embedding(20, 4)(given["token_ids"])
        x *= keras.ops.expand_dims(keras.ops.cast(given["padding_mask"], x.dtype), -1)
        encoder = keras.Model(given, keras.ops.sum(x, axis=1), name="encoder")
        encoder.trainable = False
        outputs = layers.Dense(3)(encoder(given))
        return build.compiled(keras.Model(given, outputs))

    labels = rng.integers(0, 3, 12)
    weights = []
    for accelerated in (False, True):
        model = tft.accelerate(make(), accelerated, verbose=False)
        model.fit(inputs, labels, batch_size=5, epochs=2, shuffle=False, verbose=0)
        weights.append(build.weights(model))
    np.testing.assert_allclose(*weights, atol=1e-6)
    assert len(list_entries().entries) == 1


def test_wrong_arguments_are_refused(build):
    with pytest.raises(TypeError, match="Received: model of type str"):
        tft.accelerate("model")
    with pytest.raises(ValueError, match="Received: cache=False"):
        tft.accelerate(build.model(), cache=False)
    with pytest.raises(ValueError, match="Received: engine='quick'"):
        tft.accelerate(build.model(), engine="quick")
