"""What of a model learns, as a table to read."""

import dataclasses
import math

from tftransfer.freezing.batch_norm import batch_norm_mode
from tftransfer.freezing.blocks import split_model
from tftransfer.freezing.depth import block_variables
from tftransfer.freezing.graph import graph_of

_LARGE_BLOCK = 0.7


@dataclasses.dataclass(frozen=True)
class BlockDescription:
    """One row of the table: a block of the backbone, or the head.

    Attributes:
        name: Name of the block, `"head"` for the head.
        num_layers: Number of its layers.
        num_parameters: Number of its weights.
        num_trainable: How many of them learn.
        batch_norm: `"inference"`, `"frozen"`, `"train"`, `"mixed"`, or `None` where
            there is no BatchNormalization.
    """

    name: str
    num_layers: int
    num_parameters: int
    num_trainable: int
    batch_norm: str | None

    @property
    def trainable_share(self):
        """Fraction of the weights that learn, in 0..1."""
        return self.num_trainable / self.num_parameters if self.num_parameters else 0.0


@dataclasses.dataclass(frozen=True)
class TrainableDescription:
    """What learns in a model; `print` shows it as a table.

    Statistics of BatchNormalization are counted as parameters that do not learn, as
    `model.summary()` does.

    Attributes:
        blocks: List of `BlockDescription`, from input to output.
        head: `BlockDescription` of the head.
        num_parameters: All weights of the model.
        num_trainable: Those that learn.
        notes: List of sentences on what the table does not show.
    """

    blocks: list
    head: BlockDescription
    num_parameters: int
    num_trainable: int
    notes: list

    def to_dict(self):
        """Return everything as plain dicts, lists and numbers."""
        return dataclasses.asdict(self)

    def __str__(self):
        total = BlockDescription(
            "total", 0, self.num_parameters, self.num_trainable, None
        )
        rows = [*self.blocks, self.head, total]
        width = max(len(row.name) for row in rows) + 2
        heading = "block".ljust(width) + "parameters   trainable   share  batch norm"
        return "\n".join([heading, *(_line(row, width) for row in rows), *self.notes])

    __repr__ = __str__


def _line(row, width):
    return (
        f"{row.name:<{width}}{row.num_parameters:>10,}  {row.num_trainable:>10,}  "
        f"{row.trainable_share:>6.1%}  {row.batch_norm or '-'}"
    )


def describe_trainable(model):
    """Describe block by block what of a model learns.

    Args:
        model: Functional or Sequential model, or a wrapper that has one as `.model`.

    Returns:
        A `TrainableDescription`: print it, or read its attributes.

    Raises:
        ValueError: If `model` has no graph.

    Example:

    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((8, 8, 3)),
    ...         keras.layers.Conv2D(4, 3, name="stem_conv"),
    ...         keras.layers.BatchNormalization(name="stem_bn"),
    ...         keras.layers.Conv2D(8, 3, name="block1_conv"),
    ...         keras.layers.GlobalAveragePooling2D(name="features"),
    ...         keras.layers.Dense(2, name="logits"),
    ...     ]
    ... )
    >>> tft.set_trainable_depth(model, 1)
    >>> tft.describe_trainable(model)
    block   parameters   trainable   share  batch norm
    stem           128           0    0.0%  frozen
    block1         296         296  100.0%  -
    head            18          18  100.0%  -
    total          442         314   71.0%  -
    """
    graph = graph_of(model)
    blocks, head = split_model(graph)
    rows = [
        _describe(block.name, block.layers, block_variables(block)) for block in blocks
    ]
    head_weights = [weight for layer in head for weight in layer.weights]
    return TrainableDescription(
        blocks=rows,
        head=_describe("head", head, head_weights),
        num_parameters=_count(graph.weights),
        num_trainable=_count(graph.trainable_weights),
        notes=_notes(rows),
    )


def _describe(name, layers, weights):
    learning = [weight for weight in weights if weight.trainable]
    mode = batch_norm_mode(layers)
    return BlockDescription(name, len(layers), _count(weights), _count(learning), mode)


def _count(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def _notes(rows):
    total = sum(row.num_parameters for row in rows)
    return [
        f"{row.num_parameters / total:.0%} of the backbone lies in one block, "
        f"{row.name}, which no cut divides. Give set_trainable_depth the name of a "
        "layer in it to open only its upper part."
        for row in rows
        if len(rows) > 1 and row.num_parameters >= _LARGE_BLOCK * total
    ]
