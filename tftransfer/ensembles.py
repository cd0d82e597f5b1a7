"""Several trained models as one: the mean of what they say."""

import keras
from keras import ops

from tftransfer.freezing.graph import graph_of
from tftransfer.resizing import build_resizing, find_resizing
from tftransfer.tasks import compile_for, infer_task
from tftransfer.views.averaging import average_outputs


def average_models(models, *, name="ensemble"):
    """Build one model that gives the mean of several: a deep ensemble.

    Networks that were trained apart err apart, so the mean of about equally good ones
    is mostly right more often than each. The result is a plain Keras model: evaluate,
    calibrate and export it as any other.

    Probabilities are averaged, and values of a regression; where the models give
    logits, so does the result, those of the mean. Images are first resized as the model
    of the largest images does it, and then by each model to its own size.

    Args:
        models: List of at least two compiled, functional `keras.Model` for the same
            classes, labels or values, or wrappers such as `tft.AlignedModel`. Their
            layers are shared, not copied: training the result trains them.
        name: Name of the result.

    Returns:
        Compiled functional `keras.Model` with the loss and the metrics of the task.

    Raises:
        TypeError: If `models` is no list of Keras models.
        ValueError: If there are fewer than two, one is not compiled or has several
            outputs, two share layers, or their tasks, inputs or numbers of outputs
            differ.

    Example:

    >>> def build(size, seed):
    ...     keras.utils.set_random_seed(seed)
    ...     inputs = keras.Input((None, None, 3))
    ...     x = keras.layers.GlobalAveragePooling2D()(tft.build_resizing(size)(inputs))
    ...     model = keras.Model(inputs, keras.layers.Dense(2)(x))
    ...     model.compile(loss=keras.losses.SparseCategoricalCrossentropy(True))
    ...     return model
    >>> both = average_models([build(8, seed=0), build(16, seed=1)])
    >>> both(np.ones((1, 40, 40, 3))).shape
    TensorShape([1, 2])

    Reference:
        [Lakshminarayanan et al., 2017](https://arxiv.org/abs/1612.01474), section 2.4.
    """
    models = _read(models)
    task = _common_task(models)
    plain = [graph_of(model) for model in models]
    inputs, resized = _build_input(plain)
    outputs = []
    for number, model in enumerate(plain):
        label = f"{name}_{number}"
        apart = keras.Model(model.inputs[0], model.outputs[0], name=label)
        rows = _fit_size(resized, model, f"{label}_resizing")
        outputs.append(ops.cast(apart(rows), "float32"))
    mean = average_outputs(ops.stack(outputs), task)
    model = keras.Model(inputs, mean, name=name)
    return compile_for(model, task, keras.optimizers.SGD())


def _read(models):
    if not isinstance(models, (list, tuple)) or not all(
        isinstance(model, keras.Model) for model in models
    ):
        raise TypeError(
            "`models` must be a list of keras.Model. "
            f"Received: models={models!r}. Load files with tft.load_model first."
        )
    if len(models) < 2 or len(set(map(id, models))) < len(models):
        raise ValueError(
            "`models` must be at least two, each once. "
            f"Received: {[model.name for model in models]}. Train another one with "
            "another seed, image size or backbone."
        )
    for model in models:
        _check_can_be_averaged(model)
    owned = [id(weight) for model in models for weight in model.weights]
    if len(set(owned)) < len(owned):
        raise ValueError(
            "`models` must not share layers, since a file of the result could not be "
            f"read again. Received: {[model.name for model in models]}, which do. "
            "Build and train each on a backbone of its own."
        )
    return models


def _check_can_be_averaged(model):
    outputs = graph_of(model).outputs
    if len(outputs) != 1 or len(outputs[0].shape) != 2 or not model.compiled:
        shapes = [tuple(output.shape) for output in outputs]
        raise ValueError(
            "`models` must be compiled and have one output of shape (batch, outputs). "
            f"Received: {model.name!r} with compiled={model.compiled} and outputs of "
            f"shape {shapes}. Compile each with the loss of its task."
        )


def _common_task(models):
    tasks = [infer_task(model, num_outputs=_width(model)) for model in models]
    if len(set(tasks)) > 1:
        raise ValueError(
            "`models` must do the same task with the same number of outputs. "
            f"Received: {tasks}. Compile them alike, on the same classes."
        )
    return tasks[0]


def _width(model):
    return graph_of(model).outputs[0].shape[-1]


def _build_input(models):
    """Return the input, and the tensor that each model takes in its own size."""
    kinds = {_kind(model) for model in models}
    if len(kinds) > 1 or any(len(model.inputs) > 1 for model in models):
        raise ValueError(
            "`models` must take the same one input: images of as many channels, texts, "
            "or numbers of one shape. Received: inputs "
            f"{[(tuple(x.shape), x.dtype) for m in models for x in m.inputs]}. "
            "Average what they predict instead."
        )
    first = models[0].inputs[0]
    sizes = [_image_size(model) for model in models]
    if len(first.shape) != 4 or None in sizes:
        inputs = keras.Input(first.shape[1:], dtype=first.dtype)
        return inputs, inputs
    largest = models[max(range(len(sizes)), key=lambda i: sizes[i][0] * sizes[i][1])]
    inputs = keras.Input((None, None, first.shape[-1]))
    own = find_resizing(largest) or build_resizing(_image_size(largest))
    return inputs, _copy(own, "resizing")(inputs, training=False)


def _copy(resizing, name):
    copy = keras.layers.Resizing.from_config({**resizing.get_config(), "name": name})
    copy.supports_jit = False  # see `build_resizing`
    return copy


def _kind(model):
    shape, dtype = tuple(model.inputs[0].shape), model.inputs[0].dtype
    return (shape[-1],) if len(shape) == 4 else (shape, dtype)


def _image_size(model):
    """Return `(height, width)` that a network sees, or `None` for any."""
    own = find_resizing(model)
    if own is not None:
        return own.height, own.width
    size = tuple(model.inputs[0].shape[1:3])
    return None if None in size or len(size) < 2 else size


def _fit_size(images, model, name):
    """Resize for a model of fixed size; those with a `Resizing` do it themselves."""
    wanted = tuple(model.inputs[0].shape[1:3])
    if len(images.shape) != 4 or None in wanted or wanted == tuple(images.shape[1:3]):
        return images
    return _copy(build_resizing(wanted), name)(images, training=False)
