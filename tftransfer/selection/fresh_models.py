"""Models from a user's `build`, each of them new."""

import hashlib
import inspect
import json
import weakref

import keras


class FreshModels:
    """Calls `build` and refuses a model that goes on from an earlier one.

    Args:
        build: Function without arguments, or of a seed, that returns a compiled
            `keras.Model`.
    """

    def __init__(self, build):
        if not callable(build) or isinstance(build, keras.Model):
            raise TypeError(
                "`build` must be a function that returns a new compiled model. "
                f"Received: build of type {type(build).__name__}. Write for example "
                "build=lambda: tft.build_transfer_model(handle, num_classes=2)."
            )
        self._build, self._takes_seed = build, _takes_seed(build)
        self._known: list = []

    def build(self, seed):
        """Seed all random generators and return a new model.

        Args:
            seed: Whole number from 0 to 2**32 - 1.

        Raises:
            TypeError: If `build` returns no `keras.Model`.
            ValueError: If the model is not compiled, or has a weight that learned in
                an earlier one.
        """
        keras.utils.set_random_seed(seed)
        model = self._build(seed) if self._takes_seed else self._build()
        if not isinstance(model, keras.Model):
            raise TypeError(
                "`build` must return a compiled keras.Model. Received: build that "
                f"returns {type(model).__name__}. Return the model itself."
            )
        if not model.compiled or model.optimizer is None or model.loss is None:
            raise ValueError(
                "`build` must return a model compiled with an optimizer and a loss. "
                f"Received: model {model.name!r}, which is not. Call "
                "model.compile(optimizer, loss, metrics) in `build`; "
                "build_transfer_model gives a compiled model."
            )
        self._check_new(model)
        self.remember(model)
        return model

    def remember(self, model):
        """Keep in mind the model and what learns in it, without keeping them alive."""
        self._known = [ref for ref in self._known if ref() is not None]
        self._known += map(weakref.ref, [model, *model.trainable_weights])

    def _check_new(self, model):
        known = {id(ref()) for ref in self._known} - {id(None)}
        shared = [part for part in [model, *model.weights] if id(part) in known]
        if shared:
            names = [getattr(part, "path", None) or part.name for part in shared]
            raise ValueError(
                "`build` must return a new model each time. Received: build that gave "
                f"{names[-1]!r} ({len(shared)} in all) twice: one fold would begin "
                "where another ended. Make the layers that learn, and load their "
                "weights, within `build`."
            )


def describe_model(model):
    """Return a str that is equal for models built and compiled alike.

    It covers the kinds and settings of layers, the shapes of weights, the optimizer
    with its settings and the loss; not values of weights, nor how layers are wired.

    Args:
        model: Compiled `keras.Model`.

    Returns:
        Str of 64 hexadecimal digits.
    """
    layers = [_describe_layer(layer) for layer in model._flatten_layers()]
    weights = [[list(w.shape), str(w.dtype), w.trainable] for w in model.weights]
    loss = [_name(model.loss), _settings(model.loss)]
    optimizer = [_name(model.optimizer), _settings(model.optimizer)]
    text = json.dumps(
        [layers, weights, loss, optimizer], sort_keys=True, default=_to_plain
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _takes_seed(build):
    try:
        parameters = list(inspect.signature(build).parameters.values())
    except (TypeError, ValueError):  # some callables do not tell
        return False
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        return False
    return parameters[0].default is inspect.Parameter.empty or (
        parameters[0].name == "seed"
    )


def _describe_layer(layer):
    has_parts = len(list(layer._flatten_layers())) > 1
    return [type(layer).__name__, None if has_parts else _settings(layer)]


def _settings(part):
    try:
        config = dict(part.get_config())
    except Exception:  # a user's class may raise anything
        return None
    config.pop("name", None)
    return config


def _name(part):
    return (
        part
        if isinstance(part, str)
        else getattr(part, "__name__", type(part).__name__)
    )


def _to_plain(value):
    return value.tolist() if hasattr(value, "tolist") else _name(value)
