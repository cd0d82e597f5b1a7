"""Networks that are fed, frozen and trained as they should be."""

import keras
import numpy as np

import tftransfer as tft
from tests.doctor.set_ups import (
    CLASSES,
    LOGITS,
    SIDE,
    build_backbone,
    build_model,
    compile_model,
    freeze_norms,
    make_images,
    make_numbers,
    scale,
    solve_head,
)

IMAGES, LABELS = make_images()
OTHERS, OTHER_LABELS = make_images(48, seed=1)


def frozen_backbone(_):
    model = compile_model(build_model())
    return {
        "model": model,
        "data": (scale(IMAGES), LABELS),
        "test": (scale(OTHERS), OTHER_LABELS),
    }


def subclassed(_):
    model = compile_model(build_model(kind="subclassed"))
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def scales_itself(_):
    inputs = keras.Input((SIDE, SIDE, 3))
    backbone = build_backbone()
    backbone.trainable = False
    x = backbone(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(x))
    return {"model": compile_model(model), "data": (IMAGES.astype("uint8"), LABELS)}


def gray_images(_):
    """White strokes on black, far from what the backbone was trained on."""
    draw = np.random.default_rng(2)
    strokes = np.repeat(draw.random((96, SIDE, SIDE, 1)) < 0.15, 3, axis=-1)
    data = scale(255.0 * strokes).astype("float32"), LABELS
    return {"model": compile_model(build_model()), "data": data}


def dark_images(_):
    data = scale(0.3 * IMAGES), LABELS
    return {"model": compile_model(build_model()), "data": data}


def blue_images(_):
    tint = np.array([0.6, 0.9, 1.3])
    data = scale(np.clip(tint * IMAGES, 0, 255)).astype("float32"), LABELS
    return {"model": compile_model(build_model()), "data": data}


def trained_and_shifted(_):
    model = solve_head(build_model(), scale(IMAGES), LABELS)
    data = scale(0.8 * OTHERS), OTHER_LABELS
    return {"model": compile_model(model), "validation": data}


def from_scratch(_):
    model = build_model(build_backbone(settle=False), depth="all")
    return {"model": compile_model(model, rate=1e-2), "data": (IMAGES / 255, LABELS)}


def begun_from_scratch(_):
    """Statistics on their way from where they began."""
    backbone = build_backbone(settle=False)
    for layer in (backbone.layers[1], backbone.layers[4]):
        layer.momentum = 0.9
    for _ in range(3):
        backbone(IMAGES, training=True)
    model = build_model(backbone, depth="all")
    return {"model": compile_model(model), "data": (IMAGES, LABELS)}


def opened_with_norms_at_rest(_):
    model = compile_model(build_model(depth="all"))
    tft.set_trainable_depth(model, "all", batch_norm="inference")
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def norms_in_training(_):
    model = compile_model(build_model(depth="all"))
    return {"model": model, "data": (scale(IMAGES), LABELS), "batch_size": 16}


def norms_at_rest_in_tiny_batches(_):
    backbone = build_backbone()
    model = compile_model(build_model(backbone))
    freeze_norms(backbone)
    model.compile(keras.optimizers.Adam(1e-5), LOGITS)
    data = (scale(IMAGES), LABELS)
    return {"model": model, "data": data, "batch_size": 2, "pretrained": backbone}


def rate_of_its_own_for_the_head(_):
    backbone = build_backbone()
    freeze_norms(backbone)
    model = keras.Sequential([backbone, keras.layers.Dense(CLASSES)])
    optimizer = tft.LayerwiseRates(
        keras.optimizers.Adam(1e-3), {"head": 1.0}, layer_decay=0.01
    )
    model.compile(optimizer, LOGITS)
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def trained_on_and_opened(_):
    model = compile_model(build_model())
    model.optimizer.build(model.trainable_variables)
    tft.set_trainable_depth(model, 1)
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def exclusion_of_biases(_):
    model = build_model()
    optimizer = keras.optimizers.AdamW(1e-5)
    optimizer.exclude_from_weight_decay(var_names=["LayerNorm", "bias", "gamma"])
    model.compile(optimizer, LOGITS)
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def adapters_of_keras(_):
    inputs = keras.Input((8,))
    below = keras.layers.Dense(16, activation="relu", name="query")
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(below(inputs)))
    below.enable_lora(2)
    data = make_numbers()
    return {"model": compile_model(model), "data": data, "lora_targets": "query"}


def adapters_of_ours(_):
    inputs = keras.Input((32,))
    x = keras.layers.Dense(32, activation="relu", name="value")(inputs)
    x = keras.layers.Activation("linear", name="features")(x)
    model = compile_model(keras.Model(inputs, keras.layers.Dense(CLASSES)(x)))
    tft.add_lora(model, 2)
    data = make_numbers(width=32)
    return {"model": model, "data": data, "lora_targets": ["value*"]}
