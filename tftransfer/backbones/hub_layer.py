"""A fine-tunable SavedModel or TensorFlow Hub module as a Keras 3 layer."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import keras
from keras.src.saving import serialization_lib  # no public name tells the safe mode

from tftransfer.backbones.hub_module import (
    Endpoint,
    ModuleRecord,
    check_backend,
    load_module,
)
from tftransfer.backbones.hub_resolve import (
    check_saved_model,
    copy_saved_model,
    find_same,
    fingerprint_saved_model,
    keep_copy,
    resolve_handle,
)
from tftransfer.backbones.hub_variables import (
    check_gradient,
    group_by_prefix,
    list_variables,
    make_weights,
    replace_value,
)
from tftransfer.checks import check_choice

BATCH_NORM_MODES = ("inference", "train")
SAVED_MODEL_FOLDER = "saved_model"  # inside the assets of a .keras file


@keras.saving.register_keras_serializable(package="tftransfer")
class HubLayer(keras.layers.Layer):
    """A SavedModel or TensorFlow Hub module as a Keras layer that can be fine-tuned.

    Keras 3 refuses `tensorflow_hub.KerasLayer`, and `keras.layers.TFSMLayer` knows
    neither the `training` flag nor regularization losses. The weights of this layer
    *are* the module's variables (nothing is copied): training the layer changes the
    module. The losses listed in the module's `regularization_losses` are added while
    the layer is trainable. Saved in a `.keras` file the whole SavedModel travels
    along; loading that file needs `safe_mode=False`, because a SavedModel is a program.

    The `training` flag. A SavedModel has one flag for BatchNormalization and dropout
    together. With `batch_norm="inference"` the flag is forwarded only to modules
    without stored statistics (no variable of floating type that the module marks as
    not trainable): in the others BatchNormalization keeps its statistics, scale and
    offset still learn, and **dropout inside the module stays off, too**. With
    `batch_norm="train"` the flag is always forwarded: statistics move, dropout works.
    A layer of which nothing is trainable is always called with `training=False`, so
    that nothing in it moves. After changing `batch_norm`, compile the model again.

    Args:
        handle: Directory of a SavedModel, or URL (see `resolve_handle`).
        trainable: Whether the variables that the module marks as trainable learn. Each
            of them can be frozen on its own: `layer.weights[0].trainable = False`.
        signature: Name of the signature to call; `None` takes `__call__` where the
            module has one, otherwise `serving_default`.
        output_key: Which output to take where there are several; nested ones are
            named with slashes.
        batch_norm: `"inference"` or `"train"`, see above.
        tags: Tags of the graph to load where the SavedModel holds several.
        recorded: For `from_config` only; what `get_config` wrote.
        name: Name of the layer.
        dtype: Keras dtype or policy; the module itself keeps its own dtypes, inputs
            are cast to what it wants, outputs to the policy's compute dtype.

    Input shape:
        What the SavedModel wants: images `(batch, height, width, channels)`, strings
        `(batch,)`, or any other tensor.

    Output shape:
        That of the chosen output.

    Raises:
        ValueError: If `handle` is no SavedModel, if there is no such signature or
            output, or if the module cannot be trained (checked when `trainable`).
        NotImplementedError: If Keras does not run on TensorFlow.

    Example:

    >>> import tempfile
    >>> folder, module = tempfile.mkdtemp(), tf.Module()
    >>> module.scale = tf.Variable([2.0, 3.0], name="scale")
    >>> module.multiply = tf.function(
    ...     lambda x: x * module.scale, [tf.TensorSpec((None, 2))])
    >>> tf.saved_model.save(module, folder, signatures=module.multiply)
    >>> HubLayer(folder)(np.ones((1, 2), "float32")).numpy()
    array([[2., 3.]], dtype=float32)
    """

    def __init__(
        self,
        handle,
        *,
        trainable=False,
        signature=None,
        output_key=None,
        batch_norm="inference",
        tags=None,
        recorded=None,
        name=None,
        dtype=None,
    ):
        check_backend()
        check_choice("batch_norm", batch_norm, BATCH_NORM_MODES)
        recorded = dict(recorded or {})
        frozen = recorded.pop("frozen", ())
        record = ModuleRecord.from_config(recorded) if recorded else None
        same = find_same(handle, record.fingerprint) if record else None
        directory = same if record else resolve_handle(handle)
        super().__init__(trainable=trainable, name=name, dtype=dtype, autocast=False)
        self.supports_jit = False  # text and tables cannot be compiled by XLA
        self.handle, self.signature = str(handle), signature
        self.output_key = output_key
        self.tags = None if tags is None else tuple(tags)
        self.record: Any = record
        self._endpoint: Any = None
        self._module = self._directory = None
        self._gradient_is_checked = self._values_are_loaded = False
        self._make_weights(directory)
        self.batch_norm = batch_norm
        if trainable and not recorded:
            self._check_gradient()
        self._set_trainable(trainable)  # an unchanged attribute would set no variable
        for position in frozen:
            self._module_weights[position].trainable = False

    def _load(self, directory):
        module = load_module(directory, self.tags)
        chosen = {"signature": self.signature, "output_key": self.output_key}
        endpoint = Endpoint(module, **chosen)
        variables = list_variables(module, endpoint)
        self.fingerprint = fingerprint_saved_model(directory)
        self.record = ModuleRecord.describe(endpoint, variables, self.fingerprint)
        self._endpoint, self._directory = endpoint, directory
        return module, [variable for variable, _ in variables]

    def _make_weights(self, directory):
        module, variables = self._load(directory) if directory else (None, None)
        with keras.name_scope(self.name):
            weights = make_weights(self.record.variables, variables)
        self._module_weights = weights  # Keras counts variables that are attributes
        self._module = module

    def _check_gradient(self):
        """Find out once whether the module can be trained at all."""
        if self._module is not None and not self._gradient_is_checked:
            variables = [w.value for w in self._learnable_weights()]
            check_gradient(self._endpoint, variables, self._forwards_training())
            self._gradient_is_checked = True

    def _learnable_weights(self):
        pairs = zip(self._module_weights, self.record.variables, strict=True)
        return [weight for weight, (*_, trainable) in pairs if trainable]

    def _set_trainable(self, value):
        if value and self._learnable_weights():
            self._check_gradient()
        keras.layers.Layer.trainable.fset(self, value)

    trainable = keras.layers.Layer.trainable.setter(_set_trainable)

    @property
    def batch_norm(self):
        """`"inference"` or `"train"`; compile the model again after a change."""
        return self._batch_norm

    @batch_norm.setter
    def batch_norm(self, value):
        check_choice("batch_norm", value, BATCH_NORM_MODES)
        if value == "train" and not self.record.takes_training:
            raise ValueError(
                "`batch_norm` must be 'inference' for a SavedModel whose function "
                f"takes no training=True. Received: batch_norm={value!r}."
            )
        self._batch_norm = value

    @property
    def variable_blocks(self):
        """Blocks for `trainable_depth`: list of `(block_name, [weights])`.

        Only variables that the module marks as trainable, in creation order.

        Raises:
            ValueError: If the variables' names do not tell the blocks.
        """
        weights = self._learnable_weights()
        names = [name for name, *_, trainable in self.record.variables if trainable]
        blocks = group_by_prefix(names, [math.prod(w.shape) for w in weights])
        return [(name, [weights[i] for i in positions]) for name, positions in blocks]

    def call(self, inputs, training=None):
        """Return the chosen output for `inputs`."""
        self._check_loaded()
        self.record.check_inputs(inputs)
        self._add_regularization()
        inputs = self.record.cast_inputs(inputs)
        outputs = self._endpoint(inputs, self._module_training(training))
        outputs.set_shape(self.record.outputs[0])
        return keras.ops.cast(outputs, self._output_dtype())

    def _module_training(self, training):
        return bool(training and self.trainable_variables and self._forwards_training())

    def _forwards_training(self):
        keeps_still = self.record.has_statistics and self.batch_norm == "inference"
        return self.record.takes_training and not keeps_still

    def _add_regularization(self):
        # A layer that is called twice in a model must not count its losses twice.
        if self.trainable_variables and not self.losses:
            for loss in getattr(self._module, "regularization_losses", None) or ():
                self.add_loss(loss())

    def _output_dtype(self):
        dtype = self.record.outputs[1]
        return self.compute_dtype if keras.backend.is_float_dtype(dtype) else dtype

    def compute_output_spec(self, inputs, training=None):
        """Return the output's shape and dtype without running the module."""
        self.record.check_inputs(inputs)
        batch, *sizes = self.record.outputs[0]
        shape = (inputs.shape[0] if batch is None else batch, *sizes)
        return keras.KerasTensor(shape, dtype=self._output_dtype())

    def _check_loaded(self):
        if self._module is None:
            raise ValueError(
                "`handle` must be the SavedModel that this layer was made from. "
                f"Received: handle={self.handle!r}, where it is not (any more). Load "
                "the whole model with load_model, or make a new HubLayer."
            )

    def save_assets(self, dir_path):
        """Put the SavedModel into the `.keras` file that is being written."""
        self._check_loaded()
        directory = find_same(self._directory, self.record.fingerprint)
        if directory is None:
            raise ValueError(
                "`handle` must still be the SavedModel that was loaded. Received: "
                f"handle={str(self._directory)!r}, which is changed or gone. "
                "Put it back, and save again."
            )
        copy_saved_model(directory, Path(dir_path) / SAVED_MODEL_FOLDER)

    def load_own_variables(self, store):
        """Read the (trained) values of the variables."""
        super().load_own_variables(store)
        self._values_are_loaded = True

    def load_assets(self, dir_path):
        """Take the SavedModel out of the `.keras` file that is being read."""
        self._directory = keep_copy(
            check_saved_model(Path(dir_path) / SAVED_MODEL_FOLDER)
        )
        if self._module is None:
            module, variables = self._load(self._directory)
            for weight, variable in zip(self._module_weights, variables, strict=True):
                replace_value(weight, variable, keep=self._values_are_loaded)
            self._module = module  # last: Keras calls twice and forgets a first error

    def get_config(self):
        """Return the arguments that rebuild this layer."""
        weights = enumerate(
            zip(self._module_weights, self.record.variables, strict=True)
        )
        frozen = [i for i, (w, (*_, learns)) in weights if learns and not w.trainable]
        return {
            **super().get_config(),
            "handle": self.handle,
            "signature": self.signature,
            "output_key": self.output_key,
            "batch_norm": self.batch_norm,
            "tags": None if self.tags is None else list(self.tags),
            "recorded": {
                **dataclasses.asdict(self.record),
                "frozen": frozen if self.trainable else [],
            },
        }

    @classmethod
    def from_config(cls, config):
        """Rebuild the layer; refused in safe mode."""
        if serialization_lib.in_safe_mode():
            raise ValueError(
                "`safe_mode` must be False to load a HubLayer: a SavedModel is a "
                "program that can do anything on this machine. Received: "
                f"safe_mode=True, handle={config['handle']!r}. Pass safe_mode=False "
                "if you trust where the file comes from."
            )
        return super().from_config(config)
