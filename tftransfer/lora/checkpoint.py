"""Adapters in a file of their own: what was learned, without what was there before."""

import dataclasses
import hashlib
import json
import zipfile
from typing import Any

import numpy as np
from keras import ops

from tftransfer.checks import did_you_mean
from tftransfer.freezing.blocks import split_model
from tftransfer.lora.adapters import check_has_adapters, put_in
from tftransfer.lora.low_rank import factors_of, matrix_of
from tftransfer.lora.targets import adapted_targets, list_candidates
from tftransfer.writing import replace_when_whole

_FORMAT = 1
_DESCRIPTION = "description"
_BACKBONE, _HEAD = "backbone/", "head/"


def save_lora(model, path, *, overwrite=False):
    """Write all that learns in a model with adapters, and nothing else, to a file.

    That is the adapters, layers that learn whole, and the head: a small part of a
    `.keras` file. The file tells the names and ranks, and recognizes the pretrained
    weights that the adapters belong to. It is an `.npz` archive of NumPy, written under
    a temporary name and renamed when it is whole.

    Args:
        model: Model that `add_lora` changed.
        path: The file, best named `.npz`.
        overwrite: Whether a file at `path` may be replaced.

    Raises:
        ValueError: If the model has no adapters, or the file exists or cannot be
            written.

    Example:

    ```python
    tft.save_lora(model, "solar_cells.npz")
    ```
    """
    check_has_adapters(model)
    targets = adapted_targets(model)
    layers = {target.name: _describe(target.layer) for target in targets}
    content = json.dumps({"format": _FORMAT, "layers": layers})
    arrays: Any = {x: _to_numpy(y) for x, y in _learned(model, targets).items()}
    arrays[_DESCRIPTION] = np.array(content)
    with replace_when_whole(path, overwrite) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)


def load_lora(model, path):
    """Put what `save_lora` wrote into a model with the same pretrained weights.

    Adapters are put in as they were where the model has none; then the weights are
    set. The model is changed only if everything fits, and compiled again if it was.

    Args:
        model: Model built as the saved one was, without adapters or with equal ones.
        path: File that `save_lora` wrote.

    Returns:
        `model`, which gives what the saved one gave.

    Raises:
        ValueError: If the file is damaged, or of another model: a name is missing, a
            shape differs, or the pretrained weights are others.

    Example:

    >>> import tempfile, pathlib
    >>> def build():
    ...     keras.utils.set_random_seed(0)
    ...     inputs = keras.Input((8,))
    ...     x = keras.layers.Dense(8, name="features")(inputs)
    ...     return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name, "adapters.npz")
    >>> tft.save_lora(tft.add_lora(build(), 1), file)
    >>> tft.describe_lora(tft.load_lora(build(), file)).ranks
    {'features': 1}
    >>> folder.cleanup()
    """
    saved = _read(path)
    targets = {target.name: target for target in list_candidates(model)}
    _check_names(path, saved.layers, targets)
    chosen = [targets[name] for name in saved.layers]
    present = {x.name: _describe(x.layer) for x in adapted_targets(model)}
    if present and present != saved.layers:
        raise ValueError(
            "`model` must have no adapters, or those of the file. Received: "
            f"path={str(path)!r}, which has others than the model. Call "
            "merge_lora(model) before, or build the model anew."
        )
    _check_weights(path, saved, chosen, model)
    if not present:
        put_in(model, {target: _factors(saved, target) for target in chosen})
    for name, variable in _learned(model, chosen).items():
        variable.assign(saved.arrays[name])
    return model


@dataclasses.dataclass(frozen=True)
class _Saved:
    layers: dict  # name -> what `_describe` gives
    arrays: dict


def _read(path):
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
        content = json.loads(str(arrays.pop(_DESCRIPTION)))
        if content["format"] == _FORMAT:
            return _Saved(content["layers"], arrays)
        reason = f"its format is {content['format']!r}, not {_FORMAT}"
    except OSError as error:
        reason = f"which cannot be read: {error}"
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = f"which is damaged or something else: {error}"
    raise ValueError(
        "`path` must be a file that save_lora wrote. Received: "
        f"path={str(path)!r}, {reason}. Check the path, or write the file again."
    )


def _check_names(path, layers, targets):
    for name in layers:
        if name not in targets:
            raise ValueError(
                f"`path` must hold adapters of this model. Received: path={str(path)!r}"
                f" with adapters of {name!r}, which the model has not. "
                f"{did_you_mean(name, targets)} Build the model as the saved one was."
            )


def _check_weights(path, saved, targets, model):
    """Raise unless all arrays are there, of the right shapes, and so is the base."""
    shapes: dict = {}
    for target in targets:
        described = saved.layers[target.name]
        shapes |= _named(f"{_BACKBONE}{target.name}", _shapes(target, described))
        base = described["base"]
        if base is not None and base != _digest(matrix_of(target.layer)):
            raise ValueError(
                "`model` must have the pretrained weights that the adapters of `path` "
                f"belong to. Received: path={str(path)!r}, and other weights in "
                f"{target.name!r}. Load the weights first that the saved model had."
            )
    for name, layer in _head_layers(model):
        shapes |= _named(name, [tuple(weight.shape) for weight in layer.weights])
    found = {name: values.shape for name, values in saved.arrays.items()}
    for name in sorted({*shapes, *found}):
        if shapes.get(name) != found.get(name):
            raise ValueError(
                f"`path` must hold weights that fit the model. Received: "
                f"path={str(path)!r} with shape {found.get(name)} for {name!r}, where "
                f"the model has {shapes.get(name)}. Build the model, and its head, as "
                "the saved one was."
            )


def _factors(saved, target):
    described = saved.layers[target.name]
    return described["rank"] and (described["rank"], described["alpha"])


def _shapes(target, described):
    if described["rank"] is None:
        return [tuple(weight.shape) for weight in target.layer.weights]
    rows, columns = target.shape
    return [(rows, described["rank"]), (described["rank"], columns)]


def _describe(layer):
    factors = factors_of(layer)
    if not factors:
        return {"rank": None, "alpha": None, "base": None}
    rank, alpha = layer.adapter_rank, layer.adapter_alpha
    return {"rank": rank, "alpha": alpha, "base": _digest(matrix_of(layer))}


def _digest(variable):
    values = np.ascontiguousarray(ops.convert_to_numpy(variable))
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]


def _learned(model, targets):
    """Dict from a name to each variable that the file holds."""
    found: dict = {}
    for target in targets:
        variables = factors_of(target.layer) or target.layer.weights
        found |= _named(f"{_BACKBONE}{target.name}", variables)
    for name, layer in _head_layers(model):
        found |= _named(name, layer.weights)
    return found


def _head_layers(model):
    head = [layer for layer in split_model(model)[1] if layer.weights]
    return [(f"{_HEAD}{place}", layer) for place, layer in enumerate(head)]


def _named(name, variables):
    return {f"{name}/{place}": variable for place, variable in enumerate(variables)}


def _to_numpy(variable):
    # NumPy's files do not know bfloat16.
    if variable.dtype == "bfloat16":
        variable = ops.cast(variable, "float32")
    return ops.convert_to_numpy(variable)
