"""Data for one argument of `fit`, `evaluate` or `predict`."""

import dataclasses

import keras

from tftransfer.features.examples import read_examples


class CannotStore(Exception):
    """Why the model runs as it always does; one line."""


@dataclasses.dataclass
class Part:
    """Data for one argument of `fit`, `evaluate` or `predict`.

    Attributes:
        examples: List of one `Examples`, or of two: source and target.
        epoch: For two, as in `pair_domains`.
    """

    examples: list
    epoch: str | None = None

    @property
    def randomness(self):
        """One line on why two passes may differ, or `None`."""
        return next((x.randomness for x in self.examples if x.randomness), None)

    @property
    def num_rows(self):
        """Number of rows, 0 where it is not known."""
        return sum(examples.num_rows or 0 for examples in self.examples)

    def first_rows(self, count):
        """Return the first rows of what the model takes."""
        batch = self.examples[0].first
        if batch is None:
            raise CannotStore("the data are empty")
        return cut_rows(batch[0], count)

    def check_inputs(self, num_inputs):
        """Raise `CannotStore` unless an example has this number of inputs."""
        found = self.examples[0].num_inputs
        if found != num_inputs:
            raise CannotStore(
                f"the model takes {num_inputs} inputs, an example has {found}"
            )


def read_part(data, *, batch_size=None, shuffles=False):
    """Return data of any kind that `fit` takes as a `Part`.

    Args:
        data: As of `read_examples`, or what `pair_domains` returned.
        batch_size: Rows in a batch, of arrays.
        shuffles: Whether training shuffles, of arrays.

    Raises:
        TypeError: If the data are nothing that has rows.
    """
    if hasattr(data, "domains"):
        return Part([read_examples(part) for part in data.domains], data.epoch)
    return Part([read_examples(data, batch_size=batch_size, shuffles=shuffles)])


def cut_rows(batch, count):
    """Return the first rows of a structure of arrays."""
    return keras.tree.map_structure(lambda leaf: leaf[:count], batch)
