"""A set-up under examination: the model, its data, and what it was seen to do."""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np

from tftransfer.diagnosis.finding import NotChecked
from tftransfer.diagnosis.reading import Rows
from tftransfer.diagnosis.serving import load_export
from tftransfer.diagnosis.trained import head_layers
from tftransfer.diagnosis.watching import is_eager, watching
from tftransfer.freezing.graph import graph_of

CHUNK = 32


@dataclasses.dataclass(eq=False)
class Case:
    """A set-up, as `diagnose` takes it, with its data read.

    Attributes:
        model: The `keras.Model`, as it is trained.
        train: `Rows` of the training data, or `None`.
        validation: `Rows` of the validation data, or `None`.
        test: `Rows` of the test data, or `None`.
        target: `Rows` of the target domain, or `None`.
        export: Path of the export, or `None`.
        pretrained: Model with the weights of before training, or `None`.
        class_names: Names of the classes of the data, in the order of the labels.
        lora_targets: List of what adapters were asked for, or `None`.
    """

    model: Any
    train: Rows | None = None
    validation: Rows | None = None
    test: Rows | None = None
    target: Rows | None = None
    export: str | None = None
    pretrained: Any = None
    class_names: list | None = None
    lora_targets: list | None = None

    @property
    def rows(self):
        """The data to look at: training data, else what there is."""
        given = (self.train, self.validation, self.test)
        for rows in given:
            if rows is not None:
                return rows
        raise NotChecked("no data were given")

    @property
    def plain(self):
        """The model that predicts: of an aligned model the one inside."""
        inner = getattr(self.model, "model", None)
        is_pair = isinstance(inner, keras.Model) and not getattr(
            self.model, "inputs", None
        )
        return inner if is_pair else self.model

    @property
    def takes_pairs(self):
        """Whether batches are pairs of domains for a model with one input."""
        inputs = self.rows.inputs
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            return False
        try:
            return len(graph_of(self.model).inputs) == 1
        except ValueError:
            return False

    @property
    def inputs(self):
        """Rows as the model predicts from them: of a pair those of the source."""
        inputs = self.rows.inputs
        return inputs[0] if self.takes_pairs else inputs

    @property
    def labels(self):
        """Labels of `inputs`.

        Raises:
            NotChecked: If there are none, or not one array of them.
        """
        labels = self.rows.labels
        if labels is None or keras.tree.is_nested(labels):
            raise NotChecked("the data have no labels in one array")
        return labels

    @functools.cached_property
    def served(self):
        """The export, `Served`.

        Raises:
            NotChecked: If none was given, or it cannot be called with one array.
        """
        if self.export is None:
            raise NotChecked("no export was given")
        return load_export(self.export)

    @property
    def outputs(self):
        """What the model predicts for `inputs`, one array `(rows, ...)`."""
        outputs = self._first_look[0]
        if keras.tree.is_nested(outputs):
            raise NotChecked("the model has several outputs")
        return outputs

    @property
    def taken_by_head(self):
        """Dict from the name of a layer of the head to the vectors that it takes."""
        return self._first_look[1]

    @functools.cached_property
    def _first_look(self):
        head = [layer for layer in head_layers(self.model) if layer.weights]
        taken: dict[str, list] = {layer.name: [] for layer in head}

        def note(layer, inputs):
            if is_eager(inputs) and len(inputs.shape) == 2:
                taken[layer.name].append(keras.ops.convert_to_numpy(inputs))

        with watching(head, note):
            outputs = self.predict(self.inputs)
        found = {name: np.concatenate(x) for name, x in taken.items() if x}
        return outputs, found

    def predict(self, inputs, training=False):
        """Run the model on rows.

        Args:
            inputs: Array or structure of arrays.
            training: As in a model's `call`; `None` leaves it out.

        Returns:
            Array or structure of arrays.
        """
        options = {} if training is None else {"training": training}
        count = len(keras.tree.flatten(inputs)[0])
        made = [
            keras.tree.map_structure(
                _to_numpy,
                self.plain(take(inputs, slice(start, start + CHUNK)), **options),
            )
            for start in range(0, count, CHUNK)
        ]
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *made)


def _to_numpy(tensor):
    """Values of a tensor, halves of them as float32."""
    values = keras.ops.convert_to_numpy(tensor)
    is_half = values.dtype.itemsize == 2 and values.dtype.kind not in "iu"
    return values.astype("float32") if is_half else values


def take(inputs, rows):
    """Take some rows of a structure of arrays, as tensors."""

    def convert(part):
        part = np.asarray(part)[rows]
        if part.dtype.kind in "OSU":
            return keras.ops.convert_to_tensor(part.astype(object), dtype="string")
        return keras.ops.convert_to_tensor(part)

    return keras.tree.map_structure(convert, inputs)
