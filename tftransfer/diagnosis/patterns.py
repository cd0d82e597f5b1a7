"""Names and patterns that were meant for some weights and match none."""

import fnmatch
import re

import keras

from tftransfer.diagnosis.finding import ERROR, WARNING, Finding, NotChecked
from tftransfer.freezing.flags import has_adapters
from tftransfer.freezing.recompiling import plain_optimizer
from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.rates.matching import match_rates

_FACTORS = (
    "lora_kernel_a",
    "lora_kernel_b",
    "lora_embeddings_a",
    "lora_embeddings_b",
    "adapter_a",
    "adapter_b",
)


def find_idle_patterns(case):
    """Find rates and exclusions of the optimizer that apply to no weight."""
    model = case.model
    if not model.compiled or model.optimizer is None:
        raise NotChecked("the model is not compiled")
    optimizer = plain_optimizer(model.optimizer)
    idle = [
        *_idle_rates(optimizer, model),
        *_idle_keys(optimizer, model),
        *_idle_exclusions(optimizer, model),
    ]
    return [
        Finding(
            "idle_pattern",
            ERROR,
            f"{what} matches no weight of the model.",
            {"pattern": pattern, "weights matched": 0, "weights": len(model.weights)},
            "Weights learn at another rate, or decay, other than it was written down.",
            repair,
        )
        for what, pattern, repair in idle
    ]


def find_idle_adapters(case):
    """Find adapters (LoRA) that were asked for and are missing, or do not learn."""
    model = case.model
    adapted = [x for x in model._flatten_layers() if _factors(x)]
    if not adapted and case.lora_targets is None:
        raise NotChecked("no adapters are in the model, and none were asked for")
    found = []
    for target in case.lora_targets or []:
        if not any(_matches(layer, target) for layer in adapted):
            found.append(_missing(target, len(adapted)))
    learning = {id(x) for x in model.trainable_variables}
    still = [
        layer.name
        for layer in adapted
        if not any(id(x) in learning for x in _factors(layer))
    ]
    if still and len(still) == len(adapted):
        found.append(_still(still))
    return found


def _idle_rates(optimizer, model):
    if not isinstance(optimizer, LayerwiseRates):
        return
    for name, rate in optimizer.rates.items():
        try:
            match_rates(model, {name: rate}, None)
        except ValueError:
            yield (
                f"The rate for {name!r}",
                name,
                "[block.name for block in tft.describe_trainable(model).blocks]  # "
                "names to take",
            )


def _idle_keys(optimizer, model):
    """Keys of the map of a `MultiOptimizer`, full paths or expressions for them."""
    keys = getattr(getattr(optimizer, "_optimizer_map", None), "_optimizer_map", None)
    for key in keys or ():
        if not any(key == x.path or re.fullmatch(key, x.path) for x in model.weights):
            repair = "[weight.path for weight in model.weights]  # what it must match"
            yield f"The optimizer for {key!r}", key, repair


def _idle_exclusions(optimizer, model):
    """Words for weights without decay that name none, though they name layers.

    Keras looks for them in `weight.name`, such as "gamma", not in the path with the
    names of layers. Words that occur nowhere may be meant for other models, where one
    beside them is found.
    """
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    words = pattern.pattern.split("|") if pattern is not None else []
    names = [weight.name for weight in model.weights]
    paths = [weight.path for weight in model.weights]
    found = [word for word in words if _is_in(word, names)]
    for word in words:
        if word not in found and (_is_in(word, paths) or not found):
            repair = (
                "optimizer.exclude_from_weight_decay(var_list=[...])  # names are "
                f"such as {names[0]!r}, without the layer's"
            )
            yield f"The exclusion from weight decay of {word!r}", word, repair


def _is_in(word, texts):
    return any(re.search(word, text) for text in texts)


def _factors(layer):
    """Factors of an adapter in a layer, Keras' own or ours."""
    if not getattr(layer, "lora_enabled", False) and not has_adapters(layer):
        return []
    made = [vars(layer).get(name, getattr(layer, name, None)) for name in _FACTORS]
    return [x for x in made if isinstance(x, keras.Variable)]


def _matches(layer, target):
    names = (layer.name, layer.path, type(layer).__name__, *layer.path.split("/"))
    return target == "auto" or any(fnmatch.fnmatchcase(x, target) for x in names)


def _missing(target, count):
    return Finding(
        "missing_adapters",
        ERROR,
        f"Adapters were asked for {target!r}, and no layer of that name has any.",
        {"layers with adapters": count, "matching": 0},
        "The layers learn whole, or not at all: what is trained is not LoRA.",
        "[layer.path for layer in model._flatten_layers() if layer.weights]  # names, "
        "then tft.add_lora(model, rank, targets=[...])",
    )


def _still(names):
    return Finding(
        "still_adapters",
        WARNING,
        f"None of {len(names)} layers with adapters learns.",
        {"layers with adapters": len(names), "learning": 0, "such as": names[:3]},
        "Only the head is trained, as with a frozen backbone.",
        'tft.set_trainable_depth(model, "all")',
    )
