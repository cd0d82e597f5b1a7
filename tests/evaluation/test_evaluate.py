"""`evaluate` on every kind of model and dataset, and its refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.evaluation.evaluate import evaluate
from tftransfer.evaluation.predictions import evaluate_predictions


@pytest.fixture
def rows(rng):
    labels = rng.integers(0, 3, 50)
    return (rng.normal(size=(50, 4)) + labels[:, None]).astype("float32"), labels


def batched(inputs, labels, size=16):
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(size)


def dense_model(width, activation=None, **options):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(width, activation=activation)]
    )
    model.compile(**options)
    return model


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def same_figures(one, other):
    one, other = one.to_dict(), other.to_dict()
    assert one.pop("metrics") == pytest.approx(other.pop("metrics"), abs=1e-6)
    assert one == other


def test_logits_and_softmax_models_give_the_same_figures(rows):
    logits = dense_model(
        3, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    sure = dense_model(3, "softmax", loss="sparse_categorical_crossentropy")
    sure.set_weights(logits.get_weights())
    found = evaluate(logits, batched(*rows))
    same_figures(found, evaluate(sure, batched(*rows)))
    expected = softmax(logits.predict(rows[0], verbose=0))
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    np.testing.assert_array_equal(found.labels, rows[1])
    same_figures(found, evaluate_predictions(rows[1], expected))


def test_accuracy_equals_keras_evaluate(rows):
    model = dense_model(
        3,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    expected = model.evaluate(batched(*rows), verbose=0)[1]
    found = evaluate(model, batched(*rows))
    assert found.metrics["accuracy"] == pytest.approx(expected, abs=1e-6)


def test_one_logit_is_binary_and_agrees_with_keras(rows):
    inputs, labels = rows[0], rows[1] % 2
    model = dense_model(
        1,
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0), keras.metrics.AUC()],
    )
    found = evaluate(model, batched(inputs, labels))
    accuracy = model.evaluate(batched(inputs, labels[:, None]), verbose=0)[1]
    assert found.metrics["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert found.probabilities.shape == (50, 2)


def test_one_hot_labels_equal_class_numbers(rows):
    model = dense_model(3, loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    one_hot = np.eye(3)[rows[1]]
    same_figures(
        evaluate(model, batched(rows[0], one_hot)), evaluate(model, batched(*rows))
    )


def test_multi_label_model(rows):
    labels = np.stack([rows[1] > 0, rows[1] > 1, rows[1] == 1], axis=1)
    model = dense_model(3, loss=keras.losses.BinaryCrossentropy(from_logits=True))
    found = evaluate(model, batched(rows[0], labels.astype("float32")))
    assert found.task == "multi_label"
    logits = model.predict(rows[0], verbose=0)
    np.testing.assert_allclose(
        found.probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6
    )


def test_regression_model_with_flat_labels(rows):
    model = dense_model(1, loss="mse", metrics=["mae"])
    labels = rows[1].astype("float32")
    found = evaluate(model, batched(rows[0], labels))
    expected = model.evaluate(batched(rows[0], labels[:, None]), verbose=0)[1]
    assert found.metrics["mean_absolute_error"] == pytest.approx(expected, rel=1e-5)


def test_batch_size_does_not_change_the_figures(rows):
    model = dense_model(3, "softmax", loss="sparse_categorical_crossentropy")
    same_figures(
        evaluate(model, batched(*rows, size=7)),
        evaluate(model, batched(*rows, size=50)),
    )


def test_a_shuffled_dataset_is_read_once_so_rows_stay_together(rows):
    model = dense_model(3, "softmax", loss="sparse_categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices(rows).shuffle(50).batch(16)
    same_figures(evaluate(model, data), evaluate(model, batched(*rows)))


def test_class_names_of_the_dataset_are_used_and_can_be_overruled(rows):
    model = dense_model(3, "softmax", loss="sparse_categorical_crossentropy")
    data = batched(*rows)
    data.class_names = ["cat", "dog", "owl"]
    assert evaluate(model, data).class_names == ("cat", "dog", "owl")
    assert evaluate(model, data, class_names="abc").class_names == ("a", "b", "c")


class Subclassed(keras.Model):
    """A model without a graph: its width shows only in its outputs."""

    def __init__(self, activation=None):
        super().__init__()
        self.dense = keras.layers.Dense(3, activation=activation)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        (None, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
        ("softmax", "sparse_categorical_crossentropy"),
    ],
)
def test_subclassed_models_work(rows, activation, loss):
    model = Subclassed(activation)
    model.compile(loss=loss)
    found = evaluate(model, batched(*rows))
    logits = rows[0] @ model.dense.kernel.numpy() + model.dense.bias.numpy()
    np.testing.assert_allclose(found.probabilities, softmax(logits), atol=1e-5)


class Wrapper(keras.Model):
    """Trains on pairs and predicts single inputs, as `AlignedModel` does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def call(self, inputs):
        return self.model(inputs)


def test_a_wrapped_model_is_measured_like_its_plain_model(rows):
    plain = dense_model(3, loss=keras.losses.SparseCategoricalCrossentropy(True))
    wrapped = Wrapper(plain)
    wrapped.compile(loss=plain.loss)
    same_figures(evaluate(wrapped, batched(*rows)), evaluate(plain, batched(*rows)))
    pairs = tf.data.Dataset.zip(
        tf.data.Dataset.zip(batched(*rows), batched(*rows)).map(
            lambda source, target: (source[0], target[0])
        ),
        batched(*rows).map(lambda inputs, labels: labels),
    )
    with pytest.raises(ValueError, match="Received: 2 inputs. From domain pairs"):
        evaluate(wrapped, pairs)


def test_an_uncompiled_model_needs_only_the_task(rows):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    assert evaluate(model, batched(*rows), task="classification").num_rows == 50
    with pytest.raises(ValueError, match="Received: loss=None. Pass task="):
        evaluate(model, batched(*rows))


def test_bfloat16_outputs_are_measured(rows):
    layer = keras.layers.Dense(3, "softmax", dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile(loss="sparse_categorical_crossentropy")
    assert evaluate(model, batched(*rows)).num_rows == 50


def test_confident_rows_keep_their_order_for_the_auc():
    # In float32 the sigmoid of 18 and of 25 are both exactly 1.
    model = keras.Sequential([keras.Input((1,)), keras.layers.Activation("linear")])
    data = batched(np.array([[18.0], [25.0]], "float32"), [0, 1])
    assert evaluate(model, data, task="classification").metrics["roc_auc"] == 1.0


class Rows(keras.utils.PyDataset):
    """The two halves of some rows as batches."""

    def __init__(self, inputs, labels):
        super().__init__()
        self.halves = list(zip(np.split(inputs, 2), np.split(labels, 2), strict=True))

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.halves[index]


def test_keras_datasets_and_lists_of_batches_are_taken(rows):
    model = dense_model(3, "softmax", loss="sparse_categorical_crossentropy")
    expected = evaluate(model, batched(*rows))
    same_figures(expected, evaluate(model, Rows(*rows)))
    same_figures(expected, evaluate(model, Rows(*rows).halves))


def test_nothing_is_printed(rows, capfd):
    model = dense_model(3, "softmax", loss="sparse_categorical_crossentropy")
    evaluate(model, batched(*rows))
    assert capfd.readouterr().out == ""


@pytest.fixture
def model():
    return dense_model(3, "softmax", loss="sparse_categorical_crossentropy")


def test_what_is_no_model_is_refused(rows):
    with pytest.raises(TypeError, match="Received: model of type function"):
        evaluate(lambda inputs: inputs, batched(*rows))


@pytest.mark.parametrize("kind", ["arrays", "array", "number"])
def test_what_is_no_dataset_is_refused(model, rows, kind):
    data = {"arrays": rows, "array": rows[0], "number": 3}[kind]
    with pytest.raises(
        TypeError, match="Received: dataset of type (tuple|ndarray|int)"
    ):
        evaluate(model, data)


def test_an_empty_dataset_is_refused(model, rows):
    with pytest.raises(ValueError, match="at least one batch. Received: an empty"):
        evaluate(model, batched(*rows).take(0))


def test_an_endless_dataset_is_refused(model, rows):
    with pytest.raises(ValueError, match="Received: an endless dataset"):
        evaluate(model, batched(*rows).repeat())


def test_an_unbatched_dataset_is_refused(model, rows):
    with pytest.raises(ValueError, match=r"Received: labels of shape \(\), inputs of"):
        evaluate(model, tf.data.Dataset.from_tensor_slices(rows))
    one_hot = (rows[0], np.eye(3)[rows[1]])
    with pytest.raises(
        ValueError, match=r"Received: labels of shape \(3,\), inputs of"
    ):
        evaluate(model, tf.data.Dataset.from_tensor_slices(one_hot))


def test_weights_are_refused_rather_than_dropped(model, rows):
    data = batched(*rows).map(lambda x, y: (x, y, tf.ones_like(y)))
    with pytest.raises(ValueError, match="Received: batches of 3.*map"):
        evaluate(model, data)


def test_a_dataset_without_labels_is_refused(model, rows):
    with pytest.raises(ValueError, match="Received: batches of EagerTensor"):
        evaluate(model, batched(*rows).map(lambda x, y: x))


def test_labels_outside_the_classes_stop_at_their_batch(model, rows):
    read = []

    def batches():
        for start in range(0, 50, 10):
            read.append(start)
            labels = rows[1][start : start + 10].copy()
            labels[4] = 7 if start == 10 else labels[4]
            yield rows[0][start : start + 10], labels

    with pytest.raises(ValueError, match=r"0\.\.2. Received: labels=\[7\]"):
        evaluate(model, batches())
    assert read == [0, 10]


def test_nan_outputs_are_refused(model, rows):
    model.set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    with pytest.raises(ValueError, match="Received: NaN or infinity in 50 of 50 rows"):
        evaluate(model, batched(*rows))


def test_a_loss_that_forgot_from_logits_is_named(rows):
    model = dense_model(3, loss=keras.losses.SparseCategoricalCrossentropy())
    model.set_weights([np.eye(4, 3) * 9, np.zeros(3)])
    with pytest.raises(ValueError, match="Received: values from .*from_logits=True"):
        evaluate(model, batched(*rows))


def test_class_names_are_counted_after_the_first_batch(model, rows):
    with pytest.raises(
        ValueError, match=r"3 names.*Received: class_names=\['a', 'b'\]"
    ):
        evaluate(model, batched(*rows), class_names=["a", "b"])


def test_a_model_with_two_outputs_or_a_map_is_refused(rows):
    inputs = keras.Input((4,))
    two = [keras.layers.Dense(3)(inputs), keras.layers.Dense(2)(inputs)]
    with pytest.raises(ValueError, match=r"Received: outputs of shape \["):
        evaluate(keras.Model(inputs, two), batched(*rows), task="classification")
    map_model = keras.Model(inputs, keras.layers.Reshape((2, 2))(inputs))
    with pytest.raises(ValueError, match=r"Received: outputs of shape \(16, 2, 2\)"):
        evaluate(map_model, batched(*rows), task="classification")


@pytest.mark.parametrize("engine", ["auto", "tensorflow"])
def test_an_engine_gives_the_same_figures(engine):
    inputs = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((inputs, np.arange(40) % 3)).batch(7)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    plain, fast = evaluate(model, data), evaluate(model, data, engine=engine)
    assert fast.metrics == pytest.approx(plain.metrics, abs=1e-6)
    np.testing.assert_array_equal(fast.confusion, plain.confusion)


def test_an_engine_is_for_models_with_a_graph():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    data = tf.data.Dataset.from_tensor_slices((np.eye(3), [0, 1, 2])).batch(3)
    with pytest.raises(ValueError, match="`engine` must be None .* of class Own. Le"):
        evaluate(Own(name="own"), data, task="classification", engine="auto")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Softmax()])
    with pytest.raises(ValueError, match="`engine` must be .*Received: engine='cuda'"):
        evaluate(model, data, task="classification", engine="cuda")


def test_a_model_in_half_precision_is_left_to_keras(rows):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(64, activation="tanh"),
                keras.layers.Dense(3, dtype="float32"),
            ]
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = batched(*rows)
    assert evaluate(model, data, engine="auto").metrics == pytest.approx(
        evaluate(model, data).metrics, abs=1e-2
    )
