"""One model out of several, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.trainers.trainer import model_supports_jit

import tftransfer as tft
from tftransfer.ensembles import average_models

LOSSES = {
    "classes": (3, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    "binary": (1, keras.losses.BinaryCrossentropy(from_logits=True)),
    "labels": (3, keras.losses.BinaryCrossentropy(from_logits=True)),
    "values": (2, keras.losses.MeanSquaredError()),
}


def build(size, seed, kind="classes", fixed=False, activation=None):
    keras.utils.set_random_seed(seed)
    num_outputs, loss = LOSSES[kind]
    if activation:
        loss = keras.losses.SparseCategoricalCrossentropy()
    inputs = keras.Input((size, size, 3) if fixed else (None, None, 3))
    x = inputs if fixed else tft.build_resizing(size)(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(0.01)(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    start = keras.initializers.RandomNormal(stddev=3, seed=seed)
    head = keras.layers.Dense(
        num_outputs, kernel_initializer=start, activation=activation
    )
    model = keras.Model(inputs, head(x), name="same_name")
    model.compile(loss=loss)
    return model


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (5, 16, 16, 3)).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(
    ("kind", "squash"),
    [
        ("classes", softmax),
        ("binary", sigmoid),
        ("labels", sigmoid),
        ("values", lambda x: x),
    ],
)
def test_the_mean_of_probabilities_or_values(images, kind, squash, fixed):
    models = [build(16, 0, kind, fixed), build(8, 1, kind, fixed)]
    small = tft.build_resizing(8)(images) if fixed else images
    outputs = [
        np.asarray(model.predict(rows, verbose=0), "float64")
        for model, rows in zip(models, (images, small), strict=True)
    ]
    expected = np.mean([squash(each) for each in outputs], axis=0)
    found = average_models(models).predict(images, verbose=0)
    np.testing.assert_allclose(squash(found), expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 1e-3


def test_probabilities_are_averaged_as_they_are(images):
    models = [build(16, seed, activation="softmax") for seed in (0, 1, 2)]
    expected = np.mean([model.predict(images, verbose=0) for model in models], axis=0)
    found = average_models(models).predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_is_a_model_like_any_other(images, tmp_path):
    model = average_models([build(16, 0), build(8, 1)])
    labels = np.arange(5) % 3
    truth = (model.predict(images, verbose=0).argmax(axis=1) == labels).mean()
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
    found = tft.evaluate(model, data).metrics["accuracy"]
    assert found == pytest.approx(truth)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)
    large = np.random.default_rng(1).integers(0, 256, (2, 31, 20, 3), "uint8")
    about = tft.export_model(
        model, tmp_path / "export", verbose=False, augment=2, examples=large
    )
    assert about["parity"]["max_abs_difference"] < 1e-5
    assert about["image_size"] == [16, 16]
    before = [np.array(weight) for weight in model.trainable_weights]
    model.fit(images, labels, verbose=0)
    after = model.trainable_weights
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_images_of_any_size_are_first_resized_to_the_largest():
    models = [build(16, 0), build(8, 1)]
    large = np.random.default_rng(2).integers(0, 256, (3, 50, 31, 3)).astype("float32")
    resized = tft.build_resizing(16)(large)
    outputs = [softmax(np.asarray(model(resized), "float64")) for model in models]
    found = softmax(np.asarray(average_models(models)(large), "float64"))
    np.testing.assert_allclose(found, np.mean(outputs, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fixed", [False, True])
def test_a_plain_call_does_not_train(images, fixed):
    members = []
    for seed, size in enumerate((16, 8)):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((size, size, 3) if fixed else (None, None, 3))
        x = inputs if fixed else tft.build_resizing(size)(inputs, training=False)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
        member = keras.Model(inputs, keras.layers.Dense(2)(x))
        member.compile(loss=LOSSES["classes"][1])
        members.append(member)
    both = average_models(members)
    before = [np.array(weight) for weight in both.weights]
    np.testing.assert_array_equal(both(images), both(images, training=False))
    for old, weight in zip(before, both.weights, strict=True):
        np.testing.assert_array_equal(old, weight)
    assert not model_supports_jit(both)


def test_texts():
    words = ["good", "bad"]
    models = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        layer = keras.layers.TextVectorization(vocabulary=words, output_mode="count")
        inputs = keras.Input((), dtype="string")
        model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
        model.compile(loss="mse")
        models.append(model)
    texts = tf.constant(["good", "bad bad", ""])
    expected = np.mean([model(texts) for model in models], axis=0)
    np.testing.assert_allclose(average_models(models)(texts), expected, atol=1e-6)


def test_numbers():
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    models = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile(loss="mse")
        models.append(model)
    expected = np.mean([model(rows) for model in models], axis=0)
    np.testing.assert_allclose(average_models(models)(rows), expected, atol=1e-6)


class TestRefusals:
    @pytest.mark.parametrize("wrong", ["model.keras", [1, 2], None])
    def test_no_models(self, wrong):
        with pytest.raises(TypeError, match="must be a list of keras.Model"):
            average_models(wrong)

    def test_too_few(self):
        model = build(8, 0)
        for models in ([model], [model, model], []):
            with pytest.raises(ValueError, match="at least two, each once"):
                average_models(models)

    def test_several_outputs_or_none_to_judge_by(self):
        inputs = keras.Input((4,))
        heads = [keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)]
        two = keras.Model(inputs, heads)
        two.compile(loss=[LOSSES["values"][1]] * 2)
        plain = keras.Model(inputs, heads[0])
        for wrong in (two, plain):
            with pytest.raises(ValueError, match="compiled and have one output of sha"):
                average_models([build(8, 0), wrong])

    def test_shared_layers(self):
        first = build(8, 0)
        features = first.layers[-2].output
        second = keras.Model(first.input, keras.layers.Dense(3)(features))
        second.compile(loss=LOSSES["classes"][1])
        with pytest.raises(ValueError, match="must not share layers"):
            average_models([first, second])

    def test_other_tasks(self):
        with pytest.raises(ValueError, match="same task with the same number of outp"):
            average_models([build(8, 0), build(8, 1, "values")])

    def test_other_inputs(self):
        inputs = keras.Input((4,))
        numbers = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        numbers.compile(loss=LOSSES["classes"][1])
        with pytest.raises(ValueError, match="must take the same one input"):
            average_models([build(8, 0), numbers])
