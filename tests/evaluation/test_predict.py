"""`predict` and `evaluate` over views, against a loop in NumPy over the plain model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.data.pipelines import Preparation, make_dataset
from tftransfer.evaluation.predict import predict
from tftransfer.tasks import Task, build_loss

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build(width=3, activation=None, loss=LOGITS, size=(12, 12), shape=(None, None, 3)):
    inputs = keras.Input(shape)
    x = tft.build_resizing(size)(inputs, training=False) if size else inputs
    x = keras.layers.Conv2D(6, 5, strides=3, activation="relu")(x)
    x = keras.layers.Rescaling(1 / 99)(x)
    x = keras.layers.GlobalMaxPooling2D(name="features")(x)
    outputs = keras.layers.Dense(width, activation=activation)(x)
    model = keras.Model(inputs, outputs)
    model.compile(loss=loss)
    return model


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (10, 12, 12, 3)).astype("uint8")


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def dihedral(images):
    """All symmetries of a square, by NumPy."""
    turned = [np.rot90(images, k, (1, 2)) for k in range(4)]
    return turned + [np.flip(images, 2) for images in turned]


def mean(model, views, activation):
    return np.mean([activation(model.predict(x, verbose=0)) for x in views], axis=0)


@pytest.mark.parametrize(
    ("task", "activation"),
    [
        (Task("classification", 3), softmax),
        (Task("multi_label", 3), sigmoid),
        (Task("regression", 2), lambda values: values),
    ],
)
def test_probabilities_or_values_are_averaged_over_views(images, task, activation):
    model = build(task.num_outputs, loss=build_loss(task))
    one, eight = predict(model, images), predict(model, images, augment=8)
    assert one.dtype == eight.dtype == "float32"
    np.testing.assert_allclose(one, mean(model, [images], activation), atol=1e-6)
    np.testing.assert_allclose(eight, mean(model, dihedral(images), activation), 1e-5)
    assert np.abs(one - eight).max() > 1e-3


def test_one_logit_gives_two_columns(images):
    model = build(1, loss=build_loss(Task("classification", 1)))
    views = [images, np.flip(images, 2), np.flip(images, 1), np.flip(images, (1, 2))]
    positive = mean(model, views, sigmoid)
    found = predict(model, images, augment=4)
    np.testing.assert_allclose(found, np.hstack([1 - positive, positive]), rtol=1e-5)


def test_models_that_end_in_softmax_are_averaged_alike(images):
    logits, sure = build(), build(3, "softmax", "sparse_categorical_crossentropy")
    sure.set_weights(logits.get_weights())
    found = predict(sure, images, augment=["flip", "zoom", "shift_up"])
    expected = predict(logits, images, augment=["flip", "zoom", "shift_up"])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_views_are_of_the_resized_image_so_oblong_files_can_be_turned(rng):
    model = build()
    images = rng.integers(0, 256, (4, 9, 20, 3)).astype("uint8")
    resized = tft.build_resizing((12, 12))(images.astype("float32")).numpy()
    expected = mean(model, dihedral(resized), softmax)
    np.testing.assert_allclose(predict(model, images, augment=8), expected, atol=1e-6)


def test_kinds_of_data_give_the_same(images):
    model, labels = build(), np.arange(10) % 3
    expected = predict(model, images, augment=2)
    rows = tf.data.Dataset.from_tensor_slices((images, labels))
    for data in ((images, labels), rows.batch(4), rows.batch(4).map(lambda x, y: x)):
        found = predict(model, data, augment=2, batch_size=3)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_loaders_training_set_is_read_in_the_order_of_its_rows(images):
    preparation = Preparation(batch_size=4, image_size=12, augment=("flip_vertical",))
    train = make_dataset(
        tf.data.Dataset.from_tensor_slices((np.arange(10), np.arange(10) % 3)),
        lambda number: tf.constant(images)[number],
        preparation,
        training=True,
    )
    model = build()
    np.testing.assert_allclose(
        predict(model, train, augment=2), predict(model, images, augment=2), atol=1e-5
    )


def test_aligned_and_subclassed_models_are_averaged(images):
    plain = build()
    aligned = tft.AlignedModel(plain, tft.CORAL())
    aligned.compile(loss=LOGITS)

    class Own(keras.Model):
        def call(self, inputs):
            return plain(inputs)

    own = Own()
    own.compile(loss=LOGITS)
    expected = predict(plain, images, augment=8)
    for model in (aligned, own):
        found = predict(model, images, augment=8)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_evaluate_measures_what_predict_gives(images):
    model, labels = build(), np.arange(10) % 3
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    found = tft.evaluate(model, data, augment=8)
    expected = predict(model, images, augment=8)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    right = float((expected.argmax(1) == labels).mean())
    assert found.metrics["accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("engine", ["auto", "tensorflow"])
def test_an_engine_gives_the_same(images, engine):
    model, labels = build(), np.arange(10) % 3
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    views = ["rotate90", "flip+zoom"]
    plain = predict(model, data, augment=views)
    fast = predict(model, data, augment=views, engine=engine)
    np.testing.assert_allclose(fast, plain, atol=1e-5)
    measured = tft.evaluate(model, data, augment=views, engine=engine)
    np.testing.assert_allclose(measured.probabilities, plain, atol=1e-5)
    np.testing.assert_array_equal(measured.labels, labels)


def test_each_view_is_stored_once(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path))
    model = build()
    predict(model, images, augment=["flip"], engine="tensorflow")
    assert capsys.readouterr().out.count("rows of features") == 2
    predict(model, images, augment=["flip", "zoom"], engine="tensorflow")
    assert capsys.readouterr().out.count("rows of features") == 1


def test_shuffled_data_go_through_keras_in_one_pass(images):
    model, labels = build(), np.arange(10)
    rows = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(10).batch(4)
    with pytest.raises(RuntimeError, match="Received: data that are shuffled. Leave"):
        predict(model, rows, augment=2, engine="tensorflow")
    model10 = build(10)
    found = tft.evaluate(model10, rows, augment=2, engine="auto")
    expected = predict(model10, images, augment=2)[found.labels]
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)


class Unused(keras.Model):
    """A model that must not be run."""

    def call(self, inputs):
        raise RuntimeError("called")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augment": 5}, "Received: augment=5"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"task": "ranking"}, "Received: task='ranking'"),
        ({"augment": 8}, "12 x 9 pixels.*rotate90, rotate270, transpose, transverse."),
    ],
)
def test_bad_arguments_are_refused_before_any_row_is_read(options, message):
    def rows():
        pytest.fail("refuse before reading")
        yield

    spec = tf.TensorSpec((None, 12, 9, 3))
    data = tf.data.Dataset.from_generator(rows, output_signature=spec)
    model = build(size=None, shape=(12, 9, 3))
    with pytest.raises(ValueError, match=message):
        predict(model, data, **options)


def test_oblong_batches_of_a_model_for_any_size_are_refused_before_it_runs(rng):
    model = Unused()
    images = rng.normal(size=(2, 6, 9, 3))
    with pytest.raises(ValueError, match="6 x 9 pixels, which are no squares. Receive"):
        predict(model, images, augment=8, task="regression")


def test_texts_and_tables_have_no_views():
    texts = keras.Model(
        x := keras.Input((), dtype="string"), keras.layers.Identity()(x)
    )
    with pytest.raises(
        ValueError, match=r"augment=\['flip'\] for inputs of shape \(None,\)"
    ):
        predict(texts, np.array(["a"]), augment=2, task="classification")
    table = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    data = tf.data.Dataset.from_tensor_slices((np.eye(4), [0, 1, 0, 1])).batch(2)
    with pytest.raises(ValueError, match=r"for inputs of shape \(None, 4\). Leave it"):
        tft.evaluate(table, data, augment=2, task="classification")
    assert predict(table, np.eye(4), task="classification").shape == (4, 2)


def test_data_that_cannot_be_predicted_are_refused(images):
    model = build()
    rows = tf.data.Dataset.from_tensor_slices(images)
    with pytest.raises(ValueError, match="finite. Received: an endless dataset. Rem"):
        predict(model, rows.batch(4).repeat())
    with pytest.raises(ValueError, match="at least one batch. Received: none. Check"):
        predict(model, rows.batch(4).take(0))
    with pytest.raises(ValueError, match=r"Received: a batch of shape \(12, 12, 3\)"):
        predict(model, rows)
    with pytest.raises(TypeError, match="Received: model of type function"):
        predict(lambda inputs: inputs, images)


@pytest.mark.slow
def test_views_are_averaged_under_the_jax_backend(run_under_jax):
    printed = run_under_jax(
        """
import keras, numpy as np, tftransfer as tft
keras.utils.set_random_seed(0)
inputs = keras.Input((8, 8, 3))
x = keras.layers.Conv2D(4, 3, strides=2)(inputs)
model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
images = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype("float32")
found = tft.predict(model, images, augment=["flip", "rotate90"], task="regression")
views = [images, np.flip(images, 2), np.rot90(images, 1, (1, 2))]
expected = np.mean([model.predict(v, verbose=0) for v in views], axis=0)
print(np.abs(found - expected).max() < 1e-5)
"""
    )
    assert printed.strip().endswith("True")
