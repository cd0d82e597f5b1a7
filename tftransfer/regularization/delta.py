"""DELTA: feature maps pay for the distance from those of the pretrained network."""

import keras
import numpy as np
from keras import ops

from tftransfer.checks import check_number, did_you_mean
from tftransfer.freezing.blocks import model_blocks
from tftransfer.freezing.parts import is_random
from tftransfer.freezing.tensors import graph_tensors
from tftransfer.regularization.layer import Regularization

_DEFAULT_BLOCKS = 4


def delta_penalty(feature_map, starting_map, channel_weights=None):
    """Distance between feature maps and those of the pretrained network.

    Formula, for maps of `c` channels with `p` positions each, with channel weights
    `W_j` that sum to 1, as a mean over the rows:

        penalty = sum_j c W_j / p * ||map_j - starting_map_j||^2

    The paper's sum, times `c / p` as in its authors' program, so that the size of an
    image does not matter and equal weights make it a plain sum over channels.

    Args:
        feature_map: Float tensor `(rows, ..., c)`.
        starting_map: The same from the pretrained network.
        channel_weights: Floats `(c,)` that sum to 1; `None` weighs all alike.

    Returns:
        Scalar tensor, >= 0, float32 for half precision input.

    Example:

    >>> from tftransfer.regularization.delta import delta_penalty
    >>> now, start = np.ones((2, 3, 3, 4)), np.zeros((2, 3, 3, 4))
    >>> float(delta_penalty(now, start))  # 4 channels, everywhere 1 away
    4.0

    Reference:
        [Li et al., 2019](https://arxiv.org/abs/1901.09229), equation 4.
    """
    both = [ops.convert_to_tensor(x) for x in (feature_map, starting_map)]
    if keras.backend.standardize_dtype(both[0].dtype) in ("float16", "bfloat16"):
        both = [ops.cast(x, "float32") for x in both]
    squares = ops.square(both[0] - ops.stop_gradient(both[1]))
    # A mean over rows and positions: maps of one batch all have as many.
    by_channel = ops.mean(squares, axis=tuple(range(len(squares.shape) - 1)))
    if channel_weights is None:
        return ops.sum(by_channel)
    weights = ops.convert_to_tensor(channel_weights, by_channel.dtype)
    return ops.sum(weights * by_channel) * squares.shape[-1]


@keras.saving.register_keras_serializable(package="tftransfer")
class DELTA(Regularization):
    """Hold feature maps, rather than weights, near those of the pretrained network.

    The pretrained network runs beside the one that learns, from the lowest layer that
    learns up to the highest map: about a third more time for a step. See
    `delta_penalty` for the formula; the weights of the head pay as in `L2SP`. With
    alignment only the source's rows count.

    Args:
        weight: Factor of the distance of the maps, >= 0.
        head_weight: Factor of half the squared norm of the head's weights, >= 0.
        layers: Names of the layers whose outputs are compared; `None` takes the
            last maps of the backbone's last four blocks.
        channel_weights: Dict from a layer's name to the weights of its channels, which
            sum to 1, as `measure_channel_weights` gives them; layers left out, or
            `None`: all channels alike.

    Raises:
        ValueError: If a factor is negative, or channel weights do not sum to 1. When
            the model is built: if a layer is not in it.
        TypeError: If an argument has the wrong type.

    Example:

    >>> tft.DELTA(0.01, layers=["block3", "block4"]).layers
    ['block3', 'block4']

    Reference:
        [Li et al., 2019](https://arxiv.org/abs/1901.09229).
    """

    needs_start = True
    replaces = True

    def __init__(
        self, weight=0.01, head_weight=0.01, layers=None, channel_weights=None, **kwargs
    ):
        super().__init__(weight, **kwargs)
        check_number("head_weight", head_weight, 0.0)
        if layers is not None and (isinstance(layers, str) or not list(layers)):
            raise TypeError(
                "`layers` must be None or a list of at least one layer's name. "
                f"Received: layers={layers!r}. Pass for example "
                'layers=["block_12_add"].'
            )
        self.head_weight = head_weight
        self._names = ()
        self.layers = None if layers is None else list(layers)
        self.channel_weights = _read_channel_weights(channel_weights)

    def map_names(self, model):
        """Return the names of the layers that are compared."""
        known = graph_tensors(model)
        names = self.layers
        if names is None:
            ends = [_end_of(block, known) for block in model_blocks(model)]
            names = [name for name in ends[-_DEFAULT_BLOCKS:] if name is not None]
        for name in [*names, *self.channel_weights]:
            if name not in known:
                raise ValueError(
                    "`layers` must be names of layers of the model. Received: "
                    f"{name!r}. {did_you_mean(name, known)} Print "
                    "[layer.name for layer in model.layers]."
                )
        self._names = tuple(names)
        return self._names

    def penalty(self, made):
        """Return the penalty of a `TrainingPass`."""
        names = self.layers or self._names or made.maps
        distances = [
            _distance(made.maps[name], self.channel_weights.get(name))
            for name in names
            if name in made.maps
        ]
        norms = [ops.sum(ops.square(ops.cast(x, "float32"))) for x in made.head]
        return self.weight * sum(distances) + 0.5 * self.head_weight * sum(norms)

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "head_weight": self.head_weight,
            "layers": self.layers,
            "channel_weights": self.channel_weights,
        }


def _distance(maps, channel_weights):
    now, start = maps
    return ops.cast(delta_penalty(now, start, channel_weights), "float32")


def _end_of(block, tensors):
    """Name of the last layer of a block with a map, without one of its last layer."""
    names = [x.name for x in reversed(block.layers) if not is_random(x)]
    names = [name for name in names if name in tensors]
    maps = [name for name in names if len(tensors[name].shape) > 2]
    return next(iter(maps or names), None)


def _read_channel_weights(channel_weights):
    read = {}
    for name, weights in (channel_weights or {}).items():
        values = np.asarray(weights, "float64")
        if values.ndim != 1 or (values < 0).any() or abs(values.sum() - 1) > 1e-3:
            raise ValueError(
                "`channel_weights` must be weights >= 0 of the channels, which sum to "
                f"1. Received: shape {values.shape}, sum {values.sum():.4g} for layer "
                f"{name!r}. Take them from measure_channel_weights."
            )
        read[name] = values.tolist()
    return read
