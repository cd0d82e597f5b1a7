"""Networks that are fed, frozen or trained the wrong way."""

import keras
import numpy as np
import tensorflow as tf

import tftransfer as tft
from tests.doctor.set_ups import (
    CLASSES,
    LOGITS,
    SIDE,
    Subclassed,
    build_backbone,
    build_model,
    compile_model,
    freeze_norms,
    make_images,
    make_numbers,
    scale,
    solve_head,
)
from tftransfer.freezing.batch_norm import batch_norms

IMAGES, LABELS = make_images()
OTHERS, OTHER_LABELS = make_images(48, seed=1)


def raw_pixels(_):
    return {"model": compile_model(build_model()), "data": (IMAGES, LABELS)}


def raw_pixels_subclassed(_):
    model = compile_model(build_model(kind="subclassed"))
    return {"model": model, "data": (IMAGES.astype("uint8"), LABELS)}


def scaled_twice(_):
    """The network scales itself, as EfficientNet does, and the data are scaled too."""
    inputs = keras.Input((SIDE, SIDE, 3))
    backbone = build_backbone()
    backbone.trainable = False
    x = backbone(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(x))
    return {"model": compile_model(model), "data": (IMAGES / 255, LABELS)}


def scaled_to_one(_):
    data = tf.data.Dataset.from_tensor_slices((IMAGES / 255, LABELS)).batch(32)
    return {"model": compile_model(build_model()), "data": data}


def reversed_colors(_):
    images = scale(IMAGES)[..., ::-1]
    return {"model": compile_model(build_model()), "data": (images, LABELS)}


def reversed_colors_when_serving(_):
    """Trained on one order and measured on the other; no statistics to tell by."""
    backbone = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(16, 3, activation="relu", strides=2),
            keras.layers.GlobalAveragePooling2D(name="features"),
        ]
    )
    model = solve_head(build_model(backbone), IMAGES / 255, LABELS)
    images, labels = make_images(96, seed=1)
    data = images[..., ::-1] / 255, labels
    return {"model": compile_model(model), "validation": data}


def overruled_inference(_):
    """`base(x, training=False)`, and the base opened: `fit` overrules it in Keras 3."""
    inputs = keras.Input((SIDE, SIDE, 3))
    backbone = build_backbone()
    x = backbone(inputs, training=False)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(x))
    return {"model": compile_model(model), "data": (scale(IMAGES), LABELS)}


def frozen_by_weights(_):
    """Scale and offset do not learn, but the layer gathers statistics."""
    backbone = build_backbone()
    for layer in batch_norms(backbone):
        layer.gamma.trainable = layer.beta.trainable = False
    model = compile_model(build_model(backbone, depth="all"))
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def moved_statistics(_):
    pretrained = build_backbone()
    backbone = build_backbone(settle=False)
    backbone.set_weights(pretrained.get_weights())
    backbone(scale(IMAGES) + 0.1, training=True)
    model = compile_model(build_model(backbone))
    return {"model": model, "data": (scale(IMAGES), LABELS), "pretrained": pretrained}


def batches_of_two(_):
    model = compile_model(build_model(depth="all"))
    return {"model": model, "data": (scale(IMAGES), LABELS), "batch_size": 2}


def one_rate_for_all(_):
    backbone = build_backbone()
    freeze_norms(backbone)
    model = keras.Sequential([backbone, keras.layers.Dense(CLASSES)])
    compile_model(model, rate=2e-3)
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def erasing_rate(_):
    backbone = build_backbone()
    freeze_norms(backbone)
    model = Subclassed(backbone, keras.layers.Dense(CLASSES))
    model(scale(IMAGES[:1]))
    model.compile(keras.optimizers.RMSprop(0.3), LOGITS)
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def opened_after_compile(_):
    backbone = build_backbone()
    model = compile_model(build_model(backbone))
    backbone.layers[0].trainable = True
    backbone.trainable = True
    for layer in batch_norms(backbone):
        layer.trainable = False
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def optimizer_of_the_head(_):
    """Opened, compiled again with the optimizer that was built on the head alone."""
    backbone = build_backbone()
    model = compile_model(build_model(backbone))
    model.optimizer.build(model.trainable_variables)
    freeze_norms(backbone)
    optimizer = model.optimizer
    model.compile(optimizer, LOGITS)
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def rates_for_nothing(_):
    model = build_model()
    optimizer = tft.LayerwiseRates("adam", {"encoder_block_9": 0.1})
    model.compile(optimizer, LOGITS)
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def exclusion_of_nothing(_):
    model = build_model()
    optimizer = keras.optimizers.AdamW(1e-5)
    optimizer.exclude_from_weight_decay(var_names=["batch_norm", "bias"])
    model.compile(optimizer, LOGITS)
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def adapters_nowhere(_):
    """The loop over layer names met none, and everything is frozen."""
    model = compile_model(build_model())
    for layer in model._flatten_layers():
        if layer.name in ("query_dense", "value_dense"):
            layer.enable_lora(4)
    data = (scale(IMAGES), LABELS)
    return {"model": model, "data": data, "lora_targets": ["query_dense"]}


def adapters_at_rest(_):
    inputs = keras.Input((8,))
    below = keras.layers.Dense(16, activation="relu", name="query")
    x = below(inputs)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(x))
    below.enable_lora(2)
    below.trainable = False
    return {"model": compile_model(model), "data": make_numbers()}


def broken_weights(_):
    model = compile_model(build_model())
    model.layers[-1].bias.assign([0, np.nan, 0])
    return {"model": model, "data": (scale(IMAGES), LABELS)}
