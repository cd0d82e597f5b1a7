"""Tasks: what outputs mean, and how a compiled model tells."""

import keras
import numpy as np
import pytest

from tftransfer.tasks import TASKS, Task, build_loss, build_metrics, infer_task

losses = keras.losses


def dense(width, activation=None, **options):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(width, activation=activation)]
    )
    if options:
        model.compile(**options)
    return model


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_softmax_of_logits_equals_numpy(rng):
    logits = rng.normal(size=(5, 3))
    powers = np.exp(logits)
    found = Task("classification", 3).probabilities(logits)
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True))


def test_one_logit_becomes_two_columns(rng):
    logits = rng.normal(size=(5, 1))
    found = np.asarray(Task("classification", 1).probabilities(logits))
    positive = sigmoid(logits[:, 0])
    np.testing.assert_allclose(found, np.stack([1 - positive, positive], axis=1))


def test_one_probability_becomes_two_columns():
    task = Task("classification", 1, from_logits=False)
    found = task.probabilities(np.array([[0.2], [1.0]]))
    np.testing.assert_allclose(found, [[0.8, 0.2], [0.0, 1.0]])


def test_multi_label_takes_a_sigmoid_each(rng):
    logits = rng.normal(size=(5, 3))
    found = Task("multi_label", 3).probabilities(logits)
    np.testing.assert_allclose(found, sigmoid(logits))
    assert np.asarray(Task("multi_label", 1).probabilities(logits[:, :1])).shape == (
        5,
        1,
    )


@pytest.mark.parametrize("name", ["classification", "multi_label"])
def test_probabilities_pass_unchanged(rng, name):
    values = rng.dirichlet(np.ones(3), 4)
    task = Task(name, 3, from_logits=False)
    np.testing.assert_array_equal(task.probabilities(values), values)


def test_values_of_a_regression_pass_unchanged():
    values = np.array([[-5.0, 700.0]])
    np.testing.assert_array_equal(Task("regression", 2).probabilities(values), values)


def test_large_logits_stay_finite():
    for task in (Task("classification", 2), Task("multi_label", 2)):
        assert np.isfinite(task.probabilities(np.array([[1e4, -1e4]]))).all()


@pytest.mark.parametrize(
    ("task", "binary", "classes"),
    [
        (Task("classification", 1), True, 2),
        (Task("classification", 5), False, 5),
        (Task("multi_label", 1), False, 1),
        (Task("regression", 1), False, 1),
    ],
)
def test_only_one_logit_of_a_classification_means_two_classes(task, binary, classes):
    assert task.is_binary == binary
    assert task.num_classes == classes


def cross_entropy(labels, probabilities):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_classification_loss_and_accuracy_equal_numpy(rng, num_outputs):
    task = Task("classification", num_outputs)
    logits = rng.normal(size=(20, num_outputs)).astype("float32")
    labels = rng.integers(0, task.num_classes, 20)
    column = labels[:, None] if num_outputs == 1 else labels
    probabilities = np.asarray(task.probabilities(logits))
    loss = build_loss(task)(column, logits)
    assert float(loss) == pytest.approx(cross_entropy(labels, probabilities), rel=1e-5)
    (metric,) = build_metrics(task)
    metric.update_state(column, logits)
    assert metric.name == "accuracy"
    expected = (probabilities.argmax(axis=1) == labels).mean()
    assert float(metric.result()) == pytest.approx(expected)


@pytest.mark.parametrize("from_logits", [True, False])
def test_multi_label_loss_and_accuracy_equal_numpy(rng, from_logits):
    task = Task("multi_label", 3, from_logits)
    outputs = rng.normal(size=(20, 3)).astype("float32")
    outputs = outputs if from_logits else sigmoid(outputs)
    labels = rng.integers(0, 2, (20, 3))
    chance = np.asarray(task.probabilities(outputs))
    expected = -np.where(labels, np.log(chance), np.log(1 - chance)).mean()
    assert float(build_loss(task)(labels, outputs)) == pytest.approx(expected, rel=1e-5)
    (metric,) = build_metrics(task)
    metric.update_state(labels, outputs)
    assert metric.name == "binary_accuracy"
    assert float(metric.result()) == pytest.approx(((chance > 0.5) == labels).mean())


def test_regression_loss_and_metric_by_hand():
    task = Task("regression", 1)
    labels, values = np.array([[1.0], [2.0]]), np.array([[1.0], [5.0]])
    assert float(build_loss(task)(labels, values)) == pytest.approx(4.5)  # 9 / 2
    (metric,) = build_metrics(task)
    metric.update_state(labels, values)
    assert metric.name == "mean_absolute_error"
    assert float(metric.result()) == pytest.approx(1.5)


@pytest.mark.parametrize(
    "task",
    [
        Task(name, width, from_logits)
        for name in TASKS
        for width in (1, 3)
        for from_logits in (True, False)
        if (name, from_logits) != ("regression", False)
        and (name, width) != ("multi_label", 1)  # a loss cannot tell it from binary
    ],
    ids=str,
)
def test_a_model_compiled_for_a_task_tells_it(task):
    activation = None
    if not task.from_logits:
        single = task.is_binary or task.name == "multi_label"
        activation = "sigmoid" if single else "softmax"
    model = dense(task.num_outputs, activation, loss=build_loss(task))
    assert infer_task(model) == task


@pytest.mark.parametrize(
    ("loss", "width", "activation", "expected"),
    [
        ("sparse_categorical_crossentropy", 3, "softmax", "classification"),
        ("categorical_crossentropy", 3, "softmax", "classification"),
        ("categorical_focal_crossentropy", 3, "softmax", "classification"),
        ("binary_crossentropy", 1, "sigmoid", "classification"),
        ("bce", 4, "sigmoid", "multi_label"),
        ("binary_focal_crossentropy", 4, "sigmoid", "multi_label"),
        ("mse", 2, None, "regression"),
        ("mae", 1, None, "regression"),
        ("huber", 1, None, "regression"),
        ("log_cosh", 1, None, "regression"),
        ("mean_squared_logarithmic_error", 1, None, "regression"),
        (losses.Huber(), 1, None, "regression"),
        (losses.LogCosh(), 1, None, "regression"),
        (losses.mean_absolute_error, 1, None, "regression"),
        (["mse"], 1, None, "regression"),
        (losses.CategoricalHinge(), 3, None, "classification"),
    ],
    ids=lambda value: str(getattr(value, "__name__", getattr(value, "name", value))),
)
def test_losses_tell_the_task(loss, width, activation, expected):
    task = infer_task(dense(width, activation, loss=loss))
    assert task == Task(expected, width, activation is None)


def test_a_loss_in_a_dictionary_tells_the_task():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, {"size": keras.layers.Dense(3)(inputs)})
    model.compile(loss={"size": losses.MeanSquaredError()})
    assert infer_task(model).name == "regression"


def test_a_name_given_to_the_loss_does_not_hide_the_task():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, name="mine")
    assert infer_task(dense(3, loss=loss)) == Task("classification", 3)
    misleading = losses.MeanSquaredError(name="binary_something")
    assert infer_task(dense(3, loss=misleading)) == Task("regression", 3)


def test_two_softmax_columns_with_binary_crossentropy_are_one_classification():
    model = dense(2, "softmax", loss="binary_crossentropy")
    assert infer_task(model) == Task("classification", 2, from_logits=False)


def end_with(last):
    """A model whose output goes through `last` after a dense layer."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, last(keras.layers.Dense(3)(inputs)))


@pytest.mark.parametrize(
    "last",
    [
        keras.layers.Softmax(),
        keras.layers.Activation("softmax"),
        keras.layers.Dense(3, activation=keras.layers.Softmax()),
        keras.ops.softmax,
        keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(3, "softmax")]),
    ],
    ids=["layer", "activation", "layer as activation", "operation", "nested model"],
)
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", None])
def test_softmax_is_seen_in_every_form(last, loss):
    model = end_with(last)
    if loss:
        model.compile(loss=loss)
    assert infer_task(model) == Task("classification", 3, from_logits=False)


def test_the_output_counts_not_the_layer_made_last():
    inputs = keras.Input((4,))
    output = keras.layers.Dense(3, "softmax")(inputs)
    model = keras.Model(inputs, [output, keras.layers.Dense(3)(inputs)][:1])
    assert not infer_task(model, "classification").from_logits


def test_softmax_wins_over_a_loss_that_claims_logits():
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert not infer_task(dense(3, "softmax", loss=loss)).from_logits


def test_a_named_loss_on_a_linear_layer_means_logits():
    # Keras would take them for probabilities; a linear layer cannot give any.
    model = dense(3, loss="sparse_categorical_crossentropy")
    assert infer_task(model).from_logits


def test_a_named_loss_on_an_unknown_last_step_means_probabilities():
    model = end_with(lambda x: keras.ops.softplus(x) / 9)
    model.compile(loss="binary_crossentropy")
    assert infer_task(model) == Task("multi_label", 3, from_logits=False)


class Subclassed(keras.Model):
    """A model whose graph nobody sees."""

    def call(self, inputs):
        return inputs


def test_a_subclassed_model_needs_its_width():
    model = Subclassed()
    model.compile(loss=losses.SparseCategoricalCrossentropy(from_logits=True))
    assert infer_task(model, num_outputs=3) == Task("classification", 3)
    with pytest.raises(ValueError, match="Received: output_shape=None. Use a model"):
        infer_task(model)


def test_a_model_around_a_model_is_read_through():
    class Around(Subclassed):
        output_shape = (None, 3)

    wrapper = Around()
    wrapper.model = dense(3, "softmax")
    wrapper.compile(loss=losses.CategoricalCrossentropy())
    assert infer_task(wrapper) == Task("classification", 3, from_logits=False)


@pytest.mark.parametrize("task", TASKS)
def test_a_given_task_is_believed(task):
    assert infer_task(dense(3, loss="poisson"), task).name == task
    assert infer_task(dense(3), task) == Task(task, 3)


@pytest.mark.parametrize("loss", ["poisson", lambda labels, outputs: 0.0])
def test_a_loss_that_tells_nothing_is_refused(loss):
    with pytest.raises(
        ValueError, match="Received: loss=<function .*Pass task= one of"
    ):
        infer_task(dense(3, loss=loss))


def test_an_uncompiled_model_is_refused_without_a_task():
    with pytest.raises(ValueError, match="Received: loss=None. Pass task="):
        infer_task(dense(3))


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="Received: task='classify'. Did you mean"):
        infer_task(dense(3), "classify")


def test_a_model_without_one_flat_output_is_refused():
    inputs = keras.Input((4, 4))
    with pytest.raises(ValueError, match=r"output_shape=\(None, 4, 4\)"):
        infer_task(keras.Model(inputs, keras.layers.Activation("relu")(inputs)))
    with pytest.raises(ValueError, match=r"output_shape=\[\(None, 4\), \(None, 2\)\]"):
        flat = keras.layers.Flatten()(inputs)
        two = [keras.layers.Dense(4)(flat), keras.layers.Dense(2)(flat)]
        infer_task(keras.Model(inputs, two))


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Received: model of type str"):
        infer_task("model.keras")
