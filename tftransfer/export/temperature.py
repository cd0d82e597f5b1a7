"""The temperature that makes served probabilities mean what they say."""

import keras

from tftransfer.checks import check_number


def read_temperature(temperature, task):
    """Return a temperature as a float, and what is known of it, for the metadata.

    Args:
        temperature: `None`; a float above 0; or what `tft.calibrate` returned.
        task: `Task` of the model.

    Returns:
        Tuple of a float, 1.0 for `None`, and a dictionary or `None`.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is not above 0, or the model gives no logits.
    """
    if temperature is None:
        return 1.0, None
    known = temperature.to_dict() if hasattr(temperature, "to_dict") else None
    value = getattr(temperature, "temperature", temperature)
    check_number("temperature", value, 1e-3, 1e3)
    if not task.from_logits or task.name == "regression":
        given = "values" if task.name == "regression" else "probabilities"
        raise ValueError(
            "`temperature` must be None for a model that gives no logits. "
            f"Received: temperature={value:g} and a model that gives {given}. "
            "Leave the last activation out and compile with from_logits=True."
        )
    return float(value), known


def scale_logits(model, temperature):
    """Return a model whose logits are those of `model` divided by a temperature.

    Reference:
        [Guo et al., 2017](https://arxiv.org/abs/1706.04599), section 4.2.
    """
    scale = keras.layers.Rescaling(1 / temperature, name="temperature", dtype="float32")
    return keras.Model(model.inputs, scale(model.outputs[0]), name=model.name)
