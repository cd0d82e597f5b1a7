"""What BatchNormalization does in the part of a network that learns."""

import keras

from tftransfer.freezing.flags import set_trainable

POLICIES = ("frozen", "inference", "train")


def apply_batch_norm(layer, policy):
    """Set every BatchNormalization in `layer` to a policy, the rest stays as it is.

    A BatchNormalization whose `trainable` is False runs in inference mode also while
    `fit` trains. Its scale and offset are freed one by one for `"inference"`.

    Args:
        layer: Keras layer, open for training.
        policy: One of `POLICIES`.
    """
    for found in batch_norms(layer):
        set_trainable(found, policy == "train")
        for variable in _scale_and_offset(found):
            variable.trainable = policy != "frozen"


def batch_norms(layer):
    """List the BatchNormalization layers in `layer`, itself included."""
    return [
        found
        for found in layer._flatten_layers()
        if isinstance(found, keras.layers.BatchNormalization)
    ]


def batch_norm_mode(layers):
    """Read the policy of `layers`: one of `POLICIES`, `"mixed"`, or `None`."""
    modes = {_mode(found) for layer in layers for found in batch_norms(layer)}
    if len(modes) > 1:
        return "mixed"
    return modes.pop() if modes else None


def _mode(found):
    if found.trainable:
        return "train"
    learns = any(variable.trainable for variable in _scale_and_offset(found))
    return "inference" if learns else "frozen"


def _scale_and_offset(found):
    return [x for x in (found.gamma, found.beta) if x is not None]
