"""What the layers of a model make, in that model's own graph."""

from tftransfer.freezing.blocks import FEATURE_SUM, FEATURES, TEXT_FEATURES
from tftransfer.freezing.graph import read_graph


def graph_tensors(model):
    """Return the Keras tensors that layers make in a model.

    `layer.output` is that of the first graph a layer was called in; a backbone's layers
    are in several.

    Args:
        model: Functional `keras.Model`.

    Returns:
        Dict from the name of a layer with one output, not inside a nested model, to
        its `keras.KerasTensor`; of a layer used twice the last.
    """
    own = {id(layer) for layer in model.layers}
    return {
        call.operation.name: call.tensors[0]
        for call in read_graph(model).calls
        if id(call.operation) in own and len(call.tensors) == 1
    }


def features_tensor(model, suffix=""):
    """Return the Keras tensor that the head of a model reads.

    Of a model with a side network that is the sum of both; on word vectors that learn,
    where `features` marks what stays, further up than that.

    Args:
        model: Functional `keras.Model` with a layer named `features`.
        suffix: What names of layers may end with, of a model some of whose layers are
            copies.
    """
    tensors = graph_tensors(model)
    marks = (FEATURE_SUM, TEXT_FEATURES, FEATURES)
    names = [name for mark in marks for name in (mark, f"{mark}{suffix}")]
    return next(tensors[name] for name in names if name in tensors)
