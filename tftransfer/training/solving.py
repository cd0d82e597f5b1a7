"""A stage that solves a linear head instead of training it."""

import contextlib
import functools

import keras
import numpy as np

from tftransfer.acceleration.parts import CannotStore
from tftransfer.acceleration.rows import weigh_rows
from tftransfer.checks import check_choice
from tftransfer.distribution.scope import count_replicas
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.graph import graph_of
from tftransfer.tasks import infer_task
from tftransfer.training.linear_head import solve_linear_head
from tftransfer.training.sparse_features import SparseFeatures, takes_sparse

_ROWS = 1024  # at once, from the cut to the head
HEAD_SOLVERS = ("lbfgs",)


def check_head_solver(model, head_solver, cache):
    """Raise `ValueError` unless `head_solver` is `None` or can solve the model's head.

    Args:
        model: `keras.Model`.
        head_solver: `None` or one of `HEAD_SOLVERS`.
        cache: Setting of the fast path, whose stored features are solved on.
    """
    if head_solver is None:
        return
    check_choice("head_solver", head_solver, HEAD_SOLVERS)
    if cache is False:
        raise ValueError(
            "`cache` must not be False with a head solver, which solves on stored "
            f"features. Received: cache=False, head_solver={head_solver!r}. Leave "
            "cache out."
        )
    linear_head(model)


def linear_head(model):
    """Return the only layer of the head, a `Dense` without activation.

    Raises:
        ValueError: If the head is something else.
    """
    layers = split_model(graph_of(model))[1]
    is_linear = (
        len(layers) == 1
        and isinstance(layers[0], keras.layers.Dense)
        and layers[0].activation is keras.activations.linear
    )
    if not is_linear:
        names = [f"{layer.name} ({type(layer).__name__})" for layer in layers]
        raise ValueError(
            "`head_solver` must be None unless the head is one linear Dense layer. "
            f"Received: a head of {', '.join(names) or 'no layer'}. Build the model "
            'with head="linear", or train the head.'
        )
    return layers[0]


def trains_linear_head_only(model):
    """Whether all that learns now is the linear head."""
    head = {id(variable) for variable in linear_head(model).trainable_variables}
    return {id(variable) for variable in model.trainable_variables} == head


def solve_stage(model, fast_path, train, validation, *, epoch, callbacks, **settings):
    """Set the head to its optimum on the stored features, as an epoch of its own.

    Args:
        model: Compiled `keras.Model` of which only the linear head learns.
        fast_path: `FastPath` of the model.
        train: `Part`.
        validation: `Part`, or `None`.
        epoch: Number of the epoch.
        callbacks: List of Keras callbacks.
        settings: `class_weight` and `verbose` of `fit`.

    Returns:
        `keras.callbacks.History` with one epoch.

    Raises:
        ValueError: If no features can be stored.
    """
    class_weight = settings["class_weight"]
    try:
        with _prepared(model, fast_path, train, validation, class_weight) as solve:
            watchers = keras.callbacks.CallbackList(
                callbacks,
                add_history=True,
                add_progbar=settings["verbose"] != 0,
                model=model,
                verbose=1 if settings["verbose"] == "auto" else settings["verbose"],
                epochs=epoch + 1,
                steps=1,
            )
            watchers.on_train_begin()
            watchers.on_epoch_begin(epoch)
            logs = solve()
            watchers.on_epoch_end(epoch, logs)
            watchers.on_train_end(logs)
    except CannotStore as reason:
        raise ValueError(
            "`head_solver` must be None where no features can be stored. Received: "
            f"head_solver='lbfgs', but {reason}. Leave it out to train the head."
        ) from None
    return model.history


@contextlib.contextmanager
def _prepared(model, fast_path, train, validation, class_weight):
    """Yield a function that solves the head and returns the logs of the epoch."""
    if takes_sparse(model, linear_head(model)):
        features = SparseFeatures(model, linear_head(model), fast_path)
        parts = [part and features.read(part) for part in (train, validation)]
        tables = [part and (features.matrix(part[0]), *part[1:]) for part in parts]
        yield functools.partial(_solve_sparse, model, tables, class_weight)
        return
    with fast_path.rows(train, validation, class_weight) as stored:
        yield functools.partial(_solve, model, stored)


def _solve_sparse(model, tables, class_weight):
    (features, labels, weights), own = tables
    if class_weight is not None:
        weights = weigh_rows(labels, class_weight)
    head = linear_head(model)
    task = infer_task(model)
    solve_linear_head(head, features, labels, task, sample_weight=weights)
    logs = _judge(model, features, labels, weights)
    if own is not None:
        logs.update(
            {f"val_{name}": value for name, value in _judge(model, *own).items()}
        )
    return logs


def _judge(model, features, labels, weights):
    """Loss and metrics of the head's outputs, as `evaluate` has them."""
    head = linear_head(model)
    outputs = features @ np.asarray(head.kernel)
    outputs = outputs + np.asarray(head.bias) if head.use_bias else outputs
    parts = {"y": labels, "y_pred": outputs, "sample_weight": weights}
    given = {
        k: x if x is None else keras.ops.convert_to_tensor(x) for k, x in parts.items()
    }
    model.reset_metrics()
    # In the scope of a strategy a loss is a replica's share of the whole.
    loss = model.compute_loss(**given) * count_replicas(model)
    logs = model.compute_metrics(None, **given)
    model.reset_metrics()
    return {name: float(value) for name, value in {**logs, "loss": loss}.items()}


def _solve(model, stored):
    rows, own_rows, cut = stored
    activations, labels, *weight = rows.table()
    head = linear_head(model)
    features = [  # the cut may lie below what the head takes
        keras.ops.convert_to_numpy(cut.run_until(activations[i : i + _ROWS], head))
        for i in range(0, len(activations), _ROWS)
    ]
    solve_linear_head(
        head,
        np.concatenate(features),
        labels,
        infer_task(model),
        sample_weight=weight[0] if weight else None,
    )
    settings = {"verbose": 0, "return_dict": True}
    logs = dict(model.evaluate(rows.dataset(), **settings))
    if own_rows is not None:
        own = model.evaluate(own_rows.dataset(), **settings)
        logs.update({f"val_{name}": value for name, value in own.items()})
    return logs
