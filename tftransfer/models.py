"""The one place where backbone, head and alignment meet."""

import contextlib
import os

import keras
from keras import layers

from tftransfer.alignment.aligned_model import AlignedModel
from tftransfer.alignment.layer import Alignment
from tftransfer.alignment.several import SeveralAlignments
from tftransfer.backbones.catalog import Backbone, check_handle, load_backbone
from tftransfer.checks import check_choice, check_whole_number
from tftransfer.distribution.replicas import prepare_replicas
from tftransfer.freezing.depth import check_depth_kind, set_trainable_depth
from tftransfer.freezing.flags import freeze_inside_frozen
from tftransfer.freezing.recompiling import recompile
from tftransfer.heads import apply_head, check_head
from tftransfer.regularization.layer import Regularization
from tftransfer.tasks import (
    TASKS,
    Task,
    check_gives_logits,
    compile_for,
)

_LEARNING_RATE = 1e-3


def build_transfer_model(
    backbone,
    *,
    num_classes,
    task="classification",
    image_size=None,
    in_channels=3,
    trainable_depth=0,
    head="linear",
    dropout=0.0,
    batch_norm="inference",
    alignment=None,
    regularization=None,
    dtype=None,
    seed=None,
):
    """Build a compiled model: pretrained backbone, new head, logits out.

    Without alignment, regularization and a hub module the result is a plain functional
    `keras.Model` of stock layers; its `.keras` file loads with Keras alone. Resizing
    and preprocessing are layers of the model, so images go in as they are.

    Args:
        backbone: A handle such as `"pip:efficientnet_lite0"`, `"keras:MobileNetV2"` or
            `"hub:<module>"`, the path of a `.keras` file or SavedModel, a
            `keras.Model`, or what `load_backbone` returned; of these two the layers
            are shared, not copied: training the result trains them.
        num_classes: Number of classes, labels or values. For classification 1 means
            one logit for two classes.
        task: `"classification"`, `"multi_label"` or `"regression"`.
        image_size: `(height, width)` the images are resized to; `None` takes the size
            the backbone was trained at.
        in_channels: Channels of the images. For other than three the first kernel is
            summed (grey) or repeated and rescaled.
        trainable_depth: How much of the backbone learns, counted from the output: see
            `set_trainable_depth`. The head always learns.
        head: `"linear"`, `"mlp"`, a tuple of widths, `"conv_transpose"`, a Keras layer,
            or a function `features -> logits`, without softmax or sigmoid.
        dropout: Share of the features dropped before each dense layer of a head that
            is given by name or widths.
        batch_norm: What BatchNormalization does in the trainable part: `"inference"`,
            `"frozen"` or `"train"`, see `set_trainable_depth`.
        alignment: `None`, an `Alignment` such as `CORAL()`, or a list of them, which
            are added; then the result is an `AlignedModel` and `fit` takes
            `pair_domains(source, target)`.
        regularization: `None`, a `Regularization` such as `L2SP()`, or a list of them,
            which hold the network near its pretrained weights; then the result is an
            `AlignedModel`, whose `.model` is the plain one.
        dtype: Keras dtype policy, such as `"mixed_bfloat16"`; `None`: the global one.
            Pixels and logits stay float32, and what is built already as it is.
        seed: Seed of all random generators (Python, NumPy, backend), set before
            building: the same seed gives the same model on the same machine.

    Returns:
        A compiled `keras.Model`, or `AlignedModel` with alignment or regularization:
        images `(batch, height, width, in_channels)`, values 0..255, any numeric dtype,
        to logits `(batch, num_classes)`. Compiled with Adam and the loss and metrics of
        the task; call `compile` again as you like.

    Raises:
        ValueError: If an argument is not acceptable, before anything is loaded.
        TypeError: If an argument has the wrong type.
        ImportError: If a pip package with weights or an optional library is missing.

    Example:

    >>> model = tft.build_transfer_model(
    ...     tft.load_backbone("keras:MobileNetV2", alpha=0.35, weights=None),
    ...     num_classes=10,
    ...     image_size=(32, 32),
    ... )
    >>> tuple(model(np.zeros((2, 48, 64, 3), "uint8")).shape)
    (2, 10)
    """
    check_head(head, dropout)
    check_depth_kind(trainable_depth, batch_norm)
    _check_arguments(backbone, num_classes, task)
    if isinstance(alignment, (list, tuple)):
        alignment = SeveralAlignments(alignment)
    _check_layers("alignment", alignment, Alignment, "tft.CORAL(weight=1.0)")
    _check_layers("regularization", regularization, Regularization, "tft.L2SP(0.1)")
    if seed is not None:
        check_whole_number("seed", seed, 0)
        keras.utils.set_random_seed(seed)
    with _dtype_policy(dtype):
        backbone = _load(backbone, image_size, in_channels)
        model = _attach_head(backbone, head, num_classes, dropout)
    settings = Task(task, num_classes)
    check_gives_logits(model, settings)
    set_trainable_depth(model, trainable_depth, batch_norm=batch_norm)
    if alignment is not None or regularization is not None:
        model = AlignedModel(model, alignment, regularization)
    optimizer = keras.optimizers.Adam(_LEARNING_RATE)
    return prepare_replicas(compile_for(model, settings, optimizer))


def _check_arguments(backbone, num_classes, task):
    check_choice("task", task, TASKS)
    advice = "For two classes pass 2, or 1 for a single logit."
    check_whole_number("num_classes", num_classes, advice=advice)
    if task == "multi_label" and num_classes == 1:
        raise ValueError(
            '`num_classes` must be at least 2 with task="multi_label". Received: '
            'num_classes=1. One label that is there or not: task="classification".'
        )
    check_handle(backbone)


def _check_layers(name, given, kind, example):
    """Raise unless `given` is `None`, a layer of `kind` or a list of such."""
    if given is None:
        return
    layers_ = given if isinstance(given, (list, tuple)) else [given]
    if not layers_:
        raise ValueError(
            f"`{name}` must be None or at least one {kind.__name__} layer. Received: "
            f"{name}={given!r}. Pass for example {name}=[{example}]."
        )
    for layer in layers_:
        if not isinstance(layer, kind):
            raise TypeError(
                f"`{name}` must be None, a layer of kind {kind.__name__} or a list of "
                f"them. Received: {name}={given!r} of type {type(given).__name__}. "
                f"Pass for example {name}={example}."
            )


@contextlib.contextmanager
def _dtype_policy(dtype):
    before = keras.config.dtype_policy()
    if dtype is not None:
        keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _load(backbone, image_size, in_channels):
    if isinstance(backbone, Backbone):
        return backbone.adjusted(image_size, in_channels)
    return load_backbone(backbone, image_size=image_size, in_channels=in_channels)


def _attach_head(backbone, head, num_outputs, dropout):
    features, feature_map = backbone.features, backbone.feature_map
    if any(layer.name == "logits" for layer in backbone.model.layers):
        raise ValueError(
            "`backbone` must end before a classification top. Received: a model with a "
            "layer named 'logits'. Pass load_backbone(model, cut_top=True)."
        )
    if head == "conv_transpose" and feature_map is not None:
        # The head takes the map before pooling: that is where this backbone ends.
        feature_map = layers.Activation("linear", name="features")(feature_map)
    logits = apply_head(
        head, features, feature_map, num_outputs=num_outputs, dropout=dropout
    )
    name = f"{backbone.model.name}_transfer"
    return keras.Model(backbone.model.input, logits, name=name)


def load_model(path, *, safe_mode=True):
    """Load a `.keras` file, ours or anybody's.

    A plain transfer model of images also loads with `keras.models.load_model`; this
    function first makes known the classes of ours that texts, adapters, an aligned
    model or a hub module need. Encoders of texts are frozen again where they were:
    Keras would train them, and what the optimizer had gathered for them is then lost,
    as it warns.

    Args:
        path: The `.keras` file.
        safe_mode: Whether to refuse what could run code. A hub module is a program:
            its file loads with `safe_mode=False` only.

    Returns:
        The `keras.Model`, compiled as it was saved.

    Raises:
        ValueError: If the file is missing or damaged.
        TypeError: If safe mode refuses what is in it (Keras' own message says what).
    """
    from tftransfer.backbones import combined, hub  # noqa: F401  registers layers
    from tftransfer.branches import hybrid_sharing, residual_adapter  # noqa: F401
    from tftransfer.lora import adapted  # noqa: F401  so do these
    from tftransfer.rates import layerwise_rates  # noqa: F401  and an optimizer

    if not os.path.isfile(path):
        raise ValueError(
            "`path` must be an existing .keras file. Received: "
            f"path={os.fspath(path)!r}. Check the path."
        )
    model = keras.models.load_model(path, safe_mode=safe_mode)
    if freeze_inside_frozen(model):
        recompile(model)
    return model
