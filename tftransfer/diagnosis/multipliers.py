"""How fast each weight of a model learns, against the optimizer's rate."""

from tftransfer.freezing.recompiling import plain_optimizer
from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.rates.matching import match_rates


def rate_multipliers(model):
    """Find the multiplier of the rate of each weight that learns.

    Args:
        model: `keras.Model`, compiled or not.

    Returns:
        Dict from the id of a weight to its multiplier, 1 where all learn alike. Weights
        that do not learn are left out.
    """
    learning = {id(weight): 1.0 for weight in model.trainable_variables}
    optimizer = plain_optimizer(getattr(model, "optimizer", None))
    if not isinstance(optimizer, LayerwiseRates):
        return learning
    try:
        found = match_rates(model, optimizer.rates, optimizer.layer_decay)
    except ValueError:
        return learning  # a finding of its own
    return {key: found.get(key, 1.0) for key in learning}
