"""The user's own Keras model, or a `.keras` file, as a backbone."""

import inspect
import itertools
import os

import keras

from tftransfer.checks import check_image_size, did_you_mean
from tftransfer.resizing import build_resizing

_GLOBAL_POOLING = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
)
_POOLED = (*_GLOBAL_POOLING, keras.layers.Flatten)
_OURS = ("features", "resizing")


def load_keras_backbone(model, *, image_size=None, cut_top=False, layer=None):
    """Make a backbone of a Keras model: input as that model takes it, features out.

    The layers, and so the weights, are those of the given model, not copies: training
    the one trains the other. Nested models are laid flat, unless two of them have
    layers of the same name. Nothing is added to the
    preprocessing: pixels go in as the model expects them. `model.get_layer(name)` of
    the result finds every layer, but `.output` of such a layer still is its tensor in
    the given model.

    Args:
        model: Functional or built sequential `keras.Model` with one input, or the path
            of a `.keras` file (loaded in safe mode: no Python code in it runs).
        image_size: `(height, width)` in pixels the images are resized to; `None` takes
            the size the model is fixed to and leaves a model of any size as it is.
        cut_top: Whether to cut off the classification top: everything after the last
            global pooling, or where there is none, after the last flattening.
        layer: Name of the layer whose output becomes the features, instead of the
            last one. Not together with `cut_top`.

    Returns:
        A functional `keras.Model` to features `(batch, width)`; its last layer is named
        `features`. A feature map is averaged over all positions.

    Raises:
        ValueError: If the file is none, the model is not functional, has several
            inputs or no such layer, does not take this image size, or gives features
            that are neither pooled nor a feature map.
        TypeError: If `model` is neither a model nor a path.

    Example:

    >>> body = keras.Sequential(
    ...     [
    ...         keras.Input((32, 32, 3)),
    ...         keras.layers.Conv2D(8, 3, name="conv"),
    ...         keras.layers.GlobalAveragePooling2D(),
    ...         keras.layers.Dense(10, activation="softmax"),
    ...     ]
    ... )
    >>> backbone = load_keras_backbone(body, cut_top=True)
    >>> tuple(backbone(np.zeros((2, 48, 64, 3))).shape)
    (2, 8)
    >>> backbone.get_layer("conv").kernel is body.get_layer("conv").kernel
    True
    """
    if cut_top and layer is not None:
        raise ValueError(
            "`layer` must be left out with cut_top=True: both say where to cut. "
            f"Received: cut_top=True, layer={layer!r}. Pass one of them."
        )
    model = _as_functional(_load(model))
    _check_input(model)
    _check_names(model)
    inputs, x = _build_input(model, image_size)
    flat = _Flattened()
    try:
        output = flat.run(model, x)
    except ValueError as error:
        if image_size is None:
            raise
        raise ValueError(
            "`image_size` must be a size the model takes. Received: "
            f"image_size={image_size!r}: {' '.join(str(error).split())[:300]}. Leave "
            "image_size out: images are then resized to what the model takes."
        ) from error
    if layer is not None:
        output = flat.output_of(layer)
    elif cut_top:
        output = flat.before_top(output)
    features = flat.as_features(output)
    return keras.Model(inputs, features, name=model.name)


def _load(model):
    if isinstance(model, keras.Model):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            "`model` must be a keras.Model or the path of a .keras file. Received: "
            f"model={model!r} of type {type(model).__name__}. Pass the model itself."
        )
    path = os.fspath(model)
    if not path.endswith(".keras") or not os.path.isfile(path):
        raise ValueError(
            "`model` must be an existing file ending in .keras. Received: "
            f"model={path!r}. Save one with model.save('model.keras')."
        )
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ValueError(
            "`model` must be a .keras file that Keras loads in safe mode. Received: "
            f"model={path!r}: {' '.join(str(error).split())[:300]}. If you trust "
            "the file, load it with keras.models.load_model and pass the model."
        ) from error


def _as_functional(model):
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs, model.outputs, name=model.name)
    if not _is_graph(model):
        raise ValueError(
            "`model` must be functional, or sequential with a keras.Input: the layers "
            "of any other model cannot be seen from outside. Received: "
            f"model={model.name!r} of class {type(model).__name__}. Wrap it: inputs = "
            "keras.Input((height, width, channels)); keras.Model(inputs, "
            "model(inputs)); or build it with its input shape."
        )
    return model


def _is_graph(layer):
    # `Functional` has no public name; this is what sets it apart.
    return isinstance(layer, keras.Model) and hasattr(layer, "_run_through_graph")


def _check_input(model):
    if len(model.inputs) != 1:
        raise ValueError(
            "`model` must have one input. Received: "
            f"model={model.name!r} with {len(model.inputs)} inputs. Make a model of "
            "the part that starts from one."
        )


def _check_names(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _check_names(layer)
        elif layer.name in _OURS and layer.weights:
            raise ValueError(
                f"`model` must not have layers with weights named {list(_OURS)}. "
                f"Received: layer {layer.name!r}. Rename it: "
                f'model.get_layer("{layer.name}").name = "{layer.name}_1".'
            )


def _build_input(model, image_size):
    (given,) = model.inputs
    shape = tuple(given.shape[1:])
    is_image = len(shape) == 3
    if image_size is not None and not is_image:
        raise ValueError(
            "`image_size` must be left out for a model whose input is no image. "
            f"Received: image_size={image_size!r} for inputs {(None, *shape)}."
        )
    if image_size is None and is_image and None not in shape[:2]:
        image_size = shape[:2]
    if image_size is None:
        inputs = keras.Input(shape, dtype=given.dtype, name="input")
        return inputs, inputs
    image_size = check_image_size("image_size", image_size)
    inputs = keras.Input((None, None, shape[2]), name="image")
    # Resizing runs in training mode unless told, and so would every layer after it.
    return inputs, build_resizing(image_size)(inputs, training=False)


class _Flattened:
    """A model laid out on a new input, with the way to each tensor."""

    def __init__(self):
        self._outputs = {}  # layer name -> its output
        self._sources = {}  # id of a tensor -> (layer, its input tensors)
        self._renamed = {}  # id of a layer without weights -> the same renamed
        self._new_names = {}  # name of such a layer -> its name here
        self._names = {}  # name in the flat graph -> id of the model it comes from

    def run(self, model, inputs, training=None):
        self._names.update(dict.fromkeys(_layer_names(model), id(model)))

        def call(layer, *args, **kwargs):
            if self._can_lay_flat(layer):
                return self.run(layer, args[0], kwargs.get("training", training))
            layer = self._without_clash(layer)
            if training is not None and "training" in _parameters(layer):
                kwargs["training"] = training
            output = layer(*args, **kwargs)
            for tensor in keras.tree.flatten(output):
                self._sources[id(tensor)] = layer, keras.tree.flatten(args)
            self._outputs[layer.name] = output
            return output

        # clone_model does the same, but hides the tensors of nested models.
        outputs = _as_functional(model)._run_through_graph(
            inputs, operation_fn=lambda layer: layer, call_fn=call
        )
        if isinstance(outputs, (list, tuple)) and len(outputs) == 1:
            return outputs[0]
        return outputs

    def _can_lay_flat(self, layer):
        if not isinstance(layer, keras.Sequential) and not _is_graph(layer):
            return False
        owners = {self._names.get(name, id(layer)) for name in _layer_names(layer)}
        return owners == {id(layer)}  # else a name would stand twice in one graph

    def _without_clash(self, layer):
        if layer.name not in _OURS:
            return layer
        if id(layer) not in self._renamed:
            taken = {*self._names, *(x.name for x in self._renamed.values())}
            numbered = (f"{layer.name}_{number}" for number in itertools.count(1))
            name = next(name for name in numbered if name not in taken)
            self._new_names[layer.name] = name
            config = {**layer.get_config(), "name": name}
            self._renamed[id(layer)] = layer.__class__.from_config(config)
        return self._renamed[id(layer)]

    def output_of(self, name):
        name = self._new_names.get(name, name)
        if name not in self._outputs:
            raise ValueError(
                "`layer` must be the name of a layer of the model. Received: "
                f"layer={name!r}. {did_you_mean(name, self._outputs)} model.summary("
                "expand_nested=True) lists all names.".replace("  ", " ")
            )
        return self._outputs[name]

    def before_top(self, output):
        """Return the pooled tensor nearest to the output on its single strand."""
        strand = []
        tensors = [output]
        while len(tensors) == 1 and id(tensors[0]) in self._sources:
            strand.append(tensors[0])
            tensors = self._sources[id(tensors[0])][1]
        for kinds in (_GLOBAL_POOLING, keras.layers.Flatten):
            for tensor in strand:
                if isinstance(self._sources[id(tensor)][0], kinds):
                    return tensor
        raise ValueError(
            "`cut_top=True` must find a global pooling or Flatten layer before the "
            "classification top. Received: a model whose last layers are "
            f"{[self._sources[id(tensor)][0].name for tensor in strand[:5]]}. Pass "
            'layer="<name>" instead.'
        )

    def as_features(self, output):
        """End in a layer named `features`."""
        shape = getattr(output, "shape", None)
        if shape is None or len(shape) not in (2, 4):
            raise ValueError(
                "`model` must give one tensor, features (batch, width) or a map (batch,"
                f" height, width, channels). Received: output {output!r}. Pass "
                'layer="<name>" of a layer that does.'
            )
        layer, inputs = self._sources.get(id(output), (None, ()))
        if isinstance(layer, _POOLED):
            config = {**layer.get_config(), "name": "features"}
            if isinstance(layer, _GLOBAL_POOLING):
                config["keepdims"] = False
            return layer.__class__.from_config(config)(*inputs)
        if len(shape) == 4:
            return keras.layers.GlobalAveragePooling2D(name="features")(output)
        return keras.layers.Activation("linear", name="features")(output)


def _layer_names(model):
    inputs = keras.layers.InputLayer
    return [part.name for part in model.layers if not isinstance(part, inputs)]


def _parameters(layer):
    return inspect.signature(layer.call).parameters
