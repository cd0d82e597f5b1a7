"""Where a model has its features: what stands before the head, one vector a row."""

from tftransfer.freezing.blocks import FEATURES
from tftransfer.freezing.parts import single_tensor_cuts
from tftransfer.freezing.strands import has_weights


def feature_cut(model):
    """Find the `Cut` at the features of a classifier, of ours or anybody's.

    That is the layer named `features`, and where there is none the last vector that
    something with weights reads: what the last dense layer takes.

    Args:
        model: Functional or Sequential `keras.Model`, or a wrapper that has one as
            `.model`. Nested models are entered.

    Returns:
        `Cut` whose tensor has shape `(batch, width)`.

    Raises:
        ValueError: If `model` has no graph or no such place.

    Example:

    >>> from tftransfer.freezing.feature_cut import feature_cut
    >>> network = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3))
    >>> feature_cut(network).tensor.shape
    (None, 1280)
    """
    vectors = [
        cut
        for cut in single_tensor_cuts(model)
        if len(cut.tensor.shape) == 2 and not cut.along
    ]
    marked = [cut for cut in vectors if cut.name == FEATURES]
    below_weights = [cut for cut in vectors if any(map(has_weights, cut.calls_above))]
    found = marked or below_weights
    if not found:
        raise ValueError(
            "`model` must have features of shape (batch, width) before its head. "
            f"Received: {getattr(model, 'name', model)!r}, in which no such tensor "
            "alone leads from the input to a layer with weights. Pool the backbone's "
            "output before the last dense layer."
        )
    return found[-1]
