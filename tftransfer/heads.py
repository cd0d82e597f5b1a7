"""New layers on a pretrained network: from features to logits."""

import numbers

import keras
from keras import layers

from tftransfer.checks import check_number, did_you_mean

HEADS = ("conv_transpose", "linear", "mlp")
_ACCEPTED = (
    f"one of {list(HEADS)}, a tuple of widths, a Keras layer or a function "
    "features -> logits"
)
_MLP_WIDTHS = (256,)
_CONV_TRANSPOSE_WIDTHS = (256, 128)


def check_head(head, dropout=0.0):
    """Raise unless `head` is something `apply_head` could apply.

    Raises:
        ValueError: If a name is unknown, a width is not positive or `dropout` is no
            share.
        TypeError: If `head` is neither a name, widths, a layer nor a function.
    """
    check_number("dropout", dropout, 0.0, 0.99)
    if isinstance(head, str):
        if head not in HEADS:
            raise ValueError(
                f"`head` must be {_ACCEPTED}. Received: head={head!r}. "
                f"{did_you_mean(head, HEADS)}".rstrip()
            )
    elif isinstance(head, (tuple, list)):
        _check_widths(head)
    elif isinstance(head, type) or not callable(head):
        raise TypeError(
            f"`head` must be {_ACCEPTED}. Received: head={head!r} of type "
            f'{type(head).__name__}. Start with head="linear".'
        )


def _check_widths(widths):
    for width in widths:
        whole = isinstance(width, numbers.Integral) and not isinstance(width, bool)
        if not whole or width < 1:
            raise ValueError(
                "`head` given as widths must hold whole numbers >= 1. Received: "
                f"head={tuple(widths)!r}. Pass for example head=(4096, 4096)."
            )


def apply_head(head, features, feature_map, *, num_outputs, dropout=0.0):
    """Apply a head to the features of a backbone.

    Logits are float32, also under mixed precision.

    Args:
        head: `"linear"`; `"mlp"` (one hidden layer) or a tuple of hidden widths such
            as `(4096, 4096)`; `"conv_transpose"` (upsamples the feature map before
            pooling, for small images); a `keras.layers.Layer` or model; or a function
            `features -> logits` of Keras operations.
        features: Keras tensor `(batch, width)`.
        feature_map: Keras tensor `(batch, height, width, channels)` before pooling, or
            `None` where the backbone has none.
        num_outputs: Number of logits.
        dropout: Share of activations dropped before every dense layer, in 0..0.99.

    Returns:
        Keras tensor `(batch, num_outputs)`, the logits.

    Raises:
        ValueError: If the head is unknown, needs a feature map that is not there, does
            not take these features, or gives another shape than `(batch,
            num_outputs)`; or if features are sparse and `dropout` is not 0.
        TypeError: If `head` is of none of these types.

    Example:

    >>> features = keras.Input((1280,))
    >>> apply_head("mlp", features, None, num_outputs=10).shape
    (None, 10)

    Reference:
        Two wide layers with dropout as in
        [Krizhevsky et al., 2012](https://doi.org/10.1145/3065386), section 3.5.
    """
    check_head(head, dropout)
    if dropout and features.sparse:
        raise ValueError(
            "`dropout` must be 0 for sparse features, such as tf-idf. Received: "
            f"dropout={dropout}. Leave it out; a kernel_regularizer does as much."
        )
    if head == "linear":
        logits = _logits(features, num_outputs, dropout)
    elif head == "conv_transpose":
        logits = _logits(_upsample(feature_map), num_outputs, dropout)
    elif head == "mlp" or isinstance(head, (tuple, list)):
        widths = _MLP_WIDTHS if head == "mlp" else head
        logits = _logits(
            _hidden_layers(features, widths, dropout), num_outputs, dropout
        )
    else:
        logits = _apply_own(head, features)
    _check_logits(logits, num_outputs, head)
    if logits.dtype in ("float16", "bfloat16"):
        convert = layers.Activation("linear", dtype="float32", name="logits_float32")
        logits = convert(logits)
    return logits


def _apply_own(head, features):
    try:
        return head(features)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"`head` must take features of shape {tuple(features.shape)} as its one "
            f"argument. Received: head={head!r}, which failed: {reason}. Build it "
            "for this width, or leave its input shape open."
        ) from error


def _hidden_layers(x, widths, dropout):
    for number, width in enumerate(widths, 1):
        if dropout:
            x = layers.Dropout(dropout, name=f"head_dropout_{number}")(x)
        x = layers.Dense(width, activation="relu", name=f"head_dense_{number}")(x)
    return x


def _logits(x, num_outputs, dropout):
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return layers.Dense(num_outputs, dtype="float32", name="logits")(x)


def _upsample(x):
    if x is None:
        raise ValueError(
            '`head="conv_transpose"` must stand on a backbone with a feature map '
            "(batch, height, width, channels). Received: a backbone whose output is "
            'already pooled. Use head="linear" or head="mlp".'
        )
    for number, width in enumerate(_CONV_TRANSPOSE_WIDTHS, 1):
        x = layers.Conv2DTranspose(
            width,
            3,
            strides=2,
            padding="same",
            use_bias=False,
            name=f"head_conv_transpose_{number}",
        )(x)
        x = layers.BatchNormalization(name=f"head_bn_{number}")(x)
        x = layers.ReLU(name=f"head_relu_{number}")(x)
    return layers.GlobalAveragePooling2D(name="head_pool")(x)


def _check_logits(logits, num_outputs, head):
    shape = tuple(getattr(logits, "shape", ()))
    if not isinstance(logits, keras.KerasTensor) or shape != (None, num_outputs):
        raise ValueError(
            f"`head` must give logits of shape (batch, {num_outputs}). Received: "
            f"head={head!r} gives {shape or type(logits)}. "
            "End it with keras.layers.Dense(num_classes), without softmax."
        )
