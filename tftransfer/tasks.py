"""The three tasks: which loss, metrics and output go with which kind of label."""

import dataclasses

import keras
from keras import ops

from tftransfer.checks import check_choice

TASKS = ("classification", "multi_label", "regression")


@dataclasses.dataclass(frozen=True)
class Task:
    """What a model predicts.

    Attributes:
        name: One of `TASKS`.
        num_outputs: Width of the model's output.
        from_logits: Whether the outputs still need softmax or sigmoid.
    """

    name: str
    num_outputs: int
    from_logits: bool = True

    @property
    def is_binary(self):
        """Whether one output stands for two classes."""
        return self.name == "classification" and self.num_outputs == 1

    @property
    def num_classes(self):
        """Number of classes or labels; for regression the number of values."""
        return 2 if self.is_binary else self.num_outputs

    def probabilities(self, outputs):
        """Turn model outputs `(n, num_outputs)` into what a user reads.

        Returns:
            Tensor `(n, num_classes)`: probabilities in 0..1 (two columns for a single
            logit; rows sum to one for classification), or the values of a regression.
        """
        if self.name == "regression":
            return outputs
        if self.name == "classification" and not self.is_binary:
            return ops.softmax(outputs, axis=-1) if self.from_logits else outputs
        positive = ops.sigmoid(outputs) if self.from_logits else outputs
        if self.is_binary:
            return ops.concatenate([1.0 - positive, positive], axis=-1)
        return positive


def build_loss(task):
    """Build the Keras loss that fits a `Task`."""
    if task.name == "regression":
        return keras.losses.MeanSquaredError()
    if task.name == "multi_label" or task.is_binary:
        return keras.losses.BinaryCrossentropy(from_logits=task.from_logits)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=task.from_logits)


def build_metrics(task):
    """Build the Keras metrics that fit a `Task`."""
    if task.name == "regression":
        return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]
    if task.name == "multi_label" or task.is_binary:
        # Keras compares outputs with the threshold: 0 for a logit means one half.
        threshold = 0.0 if task.from_logits else 0.5
        name = "accuracy" if task.is_binary else "binary_accuracy"
        return [keras.metrics.BinaryAccuracy(name=name, threshold=threshold)]
    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


def compile_for(model, task, optimizer):
    """Compile a model with the loss and the metrics of a `Task`, and return it."""
    model.compile(
        optimizer=optimizer, loss=build_loss(task), metrics=build_metrics(task)
    )
    # Keras builds it when it loads a file and then misses its state: build it now.
    model.optimizer.build(model.trainable_variables)
    return model


def check_gives_logits(model, task):
    """Raise `ValueError` if what a classifier gives are probabilities already.

    `build_loss` would put them through softmax or sigmoid once more, and the model
    would learn, only badly.
    """
    activation = _last_activation(model)
    if task.name != "regression" and activation in ("softmax", "sigmoid"):
        raise ValueError(
            "`head` must give logits: softmax or sigmoid belong to the loss here. "
            f"Received: a head that ends in {activation}. Leave the activation out."
        )


def infer_task(model, task=None, num_outputs=None):
    """Read the task of a compiled Keras model from its loss, last layer and width.

    Args:
        model: A `keras.Model` with one output of shape `(batch, num_outputs)`.
        task: One of `TASKS` where the loss does not tell.
        num_outputs: Width of the output where the model does not know it, as some
            subclassed models.

    Returns:
        A `Task`.

    Raises:
        TypeError: If `model` is no `keras.Model`.
        ValueError: If `task` is unknown, the model has not one flat output, or its loss
            tells nothing and `task` is None.

    Example:

    >>> model = tf.keras.Sequential([tf.keras.Input((8,)), tf.keras.layers.Dense(3)])
    >>> model.compile(loss=tf.keras.losses.MeanSquaredError())
    >>> infer_task(model)
    Task(name='regression', num_outputs=3, from_logits=True)
    """
    if task is not None:
        check_choice("task", task, TASKS)
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model. "
            f"Received: model of type {type(model).__name__}. Pass the model itself."
        )
    loss = _loss_of(model)
    num_outputs = num_outputs or _output_width(model)
    activation = _last_activation(model)
    name = task or _task_of_loss(loss, num_outputs, activation)
    if name is None:
        raise ValueError(
            "`task` must be given for a model whose loss does not tell it. "
            f"Received: loss={loss!r}. Pass task= one of {list(TASKS)}, or compile the "
            "model with a Keras classification or regression loss."
        )
    return Task(name, num_outputs, _expects_logits(loss, activation))


def _loss_of(model):
    loss = getattr(model, "loss", None) if model.compiled else None
    if isinstance(loss, (list, tuple, dict)) and len(loss) == 1:
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    return keras.losses.get(loss) if isinstance(loss, str) else loss


def _output_width(model):
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[-1] is None:
        raise ValueError(
            "`model` must have one output of shape (batch, outputs). "
            f"Received: output_shape={shape!r}. Use a model with one pooled output."
        )
    return shape[-1]


def _last_activation(model):
    """Name what the output went through last, or None where no graph tells."""
    for holder in (model, getattr(model, "model", None)):  # an AlignedModel holds one
        outputs = getattr(holder, "outputs", None)
        if outputs:
            break
    else:
        return None
    operation = outputs[0]._keras_history.operation
    if isinstance(operation, keras.Model):  # a nested model, such as a whole head
        return _last_activation(operation)
    last = getattr(operation, "activation", operation)
    return getattr(last, "__name__", type(last).__name__).lower()


def _task_of_loss(loss, num_outputs, activation):
    # Keras' own losses wrap a function whose name, unlike theirs, users cannot change.
    function = getattr(loss, "fn", loss)
    name = getattr(function, "__name__", getattr(function, "name", None)) or ""
    if "categorical" in name or (activation == "softmax" and num_outputs > 1):
        return "classification"
    if name.startswith("binary"):
        return "classification" if num_outputs == 1 else "multi_label"
    if name.startswith(("mean_", "huber", "log_cosh")):
        return "regression"
    return None


def _expects_logits(loss, activation):
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    if activation in ("softmax", "sigmoid"):
        return False
    if "from_logits" in config:
        return bool(config["from_logits"])
    # A loss given by name takes probabilities, but on a linear layer it cannot.
    return activation == "linear" or not hasattr(loss, "__name__")
