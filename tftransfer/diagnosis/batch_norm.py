"""BatchNormalization that moves where it should not, or learns from too few rows."""

import keras
import numpy as np

from tftransfer.diagnosis.case import take
from tftransfer.diagnosis.finding import ERROR, WARNING, Finding, NotChecked
from tftransfer.diagnosis.multipliers import rate_multipliers
from tftransfer.diagnosis.told_modes import layers_told
from tftransfer.diagnosis.untouched import left_untouched
from tftransfer.freezing.batch_norm import batch_norms

TINY_BATCH = 4
_ROWS, _MOVED = 8, 1e-7


def find_frozen_statistics(case):
    """Find BatchNormalization that is frozen and gathers statistics all the same.

    The model runs once as in training, and what has moved is looked at: statistics of
    a layer whose scale and offset do not learn, and of one that the model's graph calls
    with `training=False`, which Keras overrules.
    """
    moving = moving_norms(case)
    multipliers = rate_multipliers(case.model)
    called = layers_told(case.model, training=False)
    told = {id(norm) for layer in called for norm in batch_norms(layer)}
    frozen = [x for x in moving if _is_frozen(x, multipliers)]
    overruled = [x for x in moving if id(x) in told and x not in frozen]
    found = []
    if frozen:
        found.append(
            _frozen_finding(
                frozen,
                "are frozen, but their statistics move in training.",
                "for layer in backbone.layers: layer.trainable = False  # of the whole "
                "layer, then compile again",
            )
        )
    if overruled:
        found.append(
            _frozen_finding(
                overruled,
                "are called with training=False, which fit overrules: their "
                "statistics move.",
                'tft.set_trainable_depth(model, depth, batch_norm="inference")',
            )
        )
    return found


def find_moved_statistics(case):
    """Find frozen BatchNormalization whose statistics differ from pretraining."""
    if case.pretrained is None:
        raise NotChecked("no pretrained model was given to compare with")
    pairs = _pairs(_in_order(case.model), _in_order(case.pretrained))
    moved = {}
    for layer, other in pairs:
        if not layer.trainable:
            moved[layer.name] = _largest_move(layer, other)
    moved = {name: value for name, value in moved.items() if value > 1e-4}
    if not moved:
        return []
    return [
        Finding(
            "moved_statistics",
            ERROR,
            f"Statistics of {len(moved)} frozen BatchNormalization layers are not "
            "those of the pretrained network.",
            {"layers": len(moved), "largest move": float(max(moved.values()))},
            "The frozen weights meet activations other than those they were trained "
            "on; features are worse than those of the pretrained network.",
            "layer.set_weights(pretrained_layer.get_weights())  # for each of them",
        )
    ]


def find_tiny_batches(case):
    """Find BatchNormalization that learns statistics from batches of a few rows."""
    batch = case.rows.usual_batch
    if batch > TINY_BATCH:
        return []
    moving = moving_norms(case)
    if not moving:
        return []
    return [
        Finding(
            "tiny_batches",
            WARNING,
            f"{len(moving)} BatchNormalization layers train on batches of {batch} "
            "rows.",
            {"batch size": batch, "layers": len(moving)},
            "Mean and variance of so few rows are noise: training is unstable, and "
            "inference, which uses their average, behaves differently.",
            'tft.set_trainable_depth(model, depth, batch_norm="inference")  # or '
            "larger batches",
        )
    ]


def moving_norms(case):
    """List the BatchNormalization layers whose statistics move in training."""
    norms = [x for x in batch_norms(case.model) if x.built]
    if not norms:
        raise NotChecked("the model has no BatchNormalization")
    before = [_statistics(x) for x in norms]
    with left_untouched(case.model):
        case.model(take(case.rows.inputs, slice(0, _ROWS)), training=True)
        after = [_statistics(x) for x in norms]
    return [
        layer
        for layer, old, new in zip(norms, before, after, strict=True)
        if np.abs(new - old).max() > _MOVED
    ]


def _statistics(layer):
    parts = (layer.moving_mean, layer.moving_variance)
    return np.concatenate([keras.ops.convert_to_numpy(x) for x in parts])


def _is_frozen(layer, multipliers):
    """Whether a layer has scale or offset and neither of them learns."""
    own = [x for x in (layer.gamma, layer.beta) if x is not None]
    return bool(own) and not any(multipliers.get(id(x), 0) for x in own)


def _frozen_finding(layers, what, repair):
    names = [layer.name for layer in layers[:3]]
    return Finding(
        "frozen_statistics",
        ERROR,
        f"{len(layers)} BatchNormalization layers, such as {names}, {what}",
        {"layers": len(layers)},
        "The statistics drift from those that the frozen weights were trained with: "
        "what was learned with one batch is undone for inference.",
        repair,
    )


def _in_order(model):
    """The BatchNormalization layers of a model as their weights come."""
    places = {id(weight): place for place, weight in enumerate(model.weights)}
    norms = [x for x in batch_norms(model) if x.built]
    return sorted(norms, key=lambda layer: places.get(id(layer.moving_mean), -1))


def _pairs(layers, others):
    shapes = [[tuple(x.moving_mean.shape) for x in y] for y in (layers, others)]
    if not layers or shapes[0] != shapes[1]:
        raise NotChecked("the pretrained model has other BatchNormalization layers")
    return zip(layers, others, strict=True)


def _largest_move(layer, other):
    old, new = _statistics(other), _statistics(layer)
    return float(np.max(np.abs(new - old) / (np.abs(old) + 1e-3)))
