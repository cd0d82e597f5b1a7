"""Losses, labels, data and exports that do not fit one another."""

import keras
import numpy as np
import tensorflow as tf

import tftransfer as tft
from tests.doctor.set_ups import (
    CLASSES,
    SIDE,
    Subclassed,
    build_backbone,
    build_model,
    compile_model,
    make_aligned,
    make_dropout,
    make_ids,
    make_images,
    make_mean_colors,
    make_numbers,
    make_text_model,
    make_texts,
    scale,
    solve_head,
)

IMAGES, LABELS = make_images()
OTHERS, OTHER_LABELS = make_images(48, seed=1)


def softmax_twice(_):
    model = compile_model(build_model(activation="softmax"))
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def softmax_twice_subclassed(_):
    head = keras.Sequential(
        [keras.layers.Dense(CLASSES), keras.layers.Lambda(keras.ops.softmax)]
    )
    backbone = build_backbone()
    backbone.trainable = False
    model = Subclassed(backbone, head)
    model(scale(IMAGES[:1]))
    return {"model": compile_model(model), "data": (scale(IMAGES), LABELS)}


def logits_as_probabilities(_):
    model = compile_model(build_model(), loss="sparse_categorical_crossentropy")
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def sigmoid_twice(_):
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(1, activation="sigmoid")]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    compile_model(model, loss=loss)
    inputs, labels = make_numbers()
    return {"model": model, "data": (inputs, labels % 2)}


def logits_cut_at_half(_):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    compile_model(model, loss=loss)
    inputs, labels = make_numbers()
    return {"model": model, "data": (inputs, labels % 2)}


def names_in_another_order(folder):
    model = compile_model(make_mean_colors())
    names = ["amber", "brick", "coral"]
    tft.export_model(model, folder / "export", class_names=names, verbose=False)
    return {
        "model": model,
        "data": (OTHERS, OTHER_LABELS),
        "class_names": ["coral", "amber", "brick"],
        "export": folder / "export",
    }


def labels_in_another_order(_):
    model = solve_head(build_model(), scale(IMAGES), LABELS)
    labels = np.array([2, 0, 1])[OTHER_LABELS]
    return {"model": compile_model(model), "test": (scale(OTHERS), labels)}


def test_within_training(_):
    test = scale(IMAGES[:32]), LABELS[:32]
    model = compile_model(build_model())
    return {"model": model, "data": (scale(IMAGES), LABELS), "test": test}


def nine_of_ten(_):
    labels = (np.arange(96) % 10 == 0).astype("int32")
    model = compile_model(build_model())
    return {"model": model, "data": (scale(IMAGES), labels)}


def augmented_validation(_):
    flip = keras.layers.RandomFlip(seed=0)
    brighten = keras.layers.RandomBrightness(0.3, value_range=(-1, 1), seed=0)
    data = tf.data.Dataset.from_tensor_slices((scale(OTHERS), OTHER_LABELS)).batch(16)
    data = data.map(lambda x, y: (brighten(flip(x, training=True), training=True), y))
    model = compile_model(build_model())
    return {"model": model, "data": (scale(IMAGES), LABELS), "validation": data}


class _Flipping(Subclassed):
    def __init__(self, backbone, head):
        super().__init__(backbone, head)
        self.flip = keras.layers.RandomFlip(seed=0)

    def call(self, inputs, training=None):
        return super().call(self.flip(inputs, training=True), training=training)


def flips_in_inference(_):
    backbone = build_backbone()
    backbone.trainable = False
    model = _Flipping(backbone, keras.layers.Dense(CLASSES))
    model(scale(IMAGES[:1]))
    return {"model": compile_model(model), "data": (scale(IMAGES), LABELS)}


def training_by_default(_):
    """Called so to see the augmentation work, and then built on."""
    inputs = keras.Input((SIDE, SIDE, 3))
    augment = keras.Sequential([keras.layers.RandomFlip(seed=0)])
    x = augment(inputs, training=True)
    backbone = build_backbone()
    backbone.trainable = False
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(backbone(x)))
    return {"model": compile_model(model), "data": (scale(IMAGES), LABELS)}


def exported_while_training(folder):
    model = make_dropout()
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda x: model(x, training=True),
        [keras.InputSpec(dtype="float32", shape=(None, 8))],
    )
    archive.write_out(str(folder / "export"), verbose=False)
    return {"model": model, "data": make_numbers(), "export": folder / "export"}


def dead_units(_):
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.layers[0].bias.assign(np.where(np.arange(24) < 20, -50, 0))
    return {"model": compile_model(model), "data": make_numbers()}


def few_target_rows(_):
    return make_aligned(32, 4, lambda source, target: source)


def target_labels_in_batches(_):
    return make_aligned(16, 16, lambda source, target: (source, target))


def labeled_target(_):
    model = compile_model(build_model())
    data, target = (scale(IMAGES), LABELS), (scale(OTHERS), OTHER_LABELS)
    return {"model": model, "data": data, "target": target}


def target_within_training(_):
    model = compile_model(build_model())
    return {
        "model": model,
        "data": (scale(IMAGES), LABELS),
        "target": scale(IMAGES[:20]),
    }


def texts_cut_short(_):
    return {"model": make_text_model(12), "data": make_texts()}


def ids_cut_short(_):
    return make_ids(maxlen=10)


def stale_export(folder):
    """Trained on after the export was written."""
    model = solve_head(build_model(), scale(IMAGES), LABELS)
    model.export(folder / "export", format="tf_saved_model", verbose=False)
    model.layers[-1].kernel.assign(0.5 * model.layers[-1].kernel)
    data = scale(OTHERS), OTHER_LABELS
    return {"model": compile_model(model), "test": data, "export": folder / "export"}
