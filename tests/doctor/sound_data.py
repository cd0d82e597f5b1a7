"""Losses, labels, data and exports that fit one another."""

import keras
import numpy as np
import tensorflow as tf

import tftransfer as tft
from tests.doctor.set_ups import (
    CLASSES,
    SIDE,
    build_backbone,
    build_model,
    compile_model,
    make_aligned,
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


def softmax_and_probabilities(_):
    model = build_model(activation="softmax")
    compile_model(model, loss="sparse_categorical_crossentropy")
    return {"model": model, "data": (scale(IMAGES), LABELS)}


def one_logit(_):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    compile_model(model, loss=loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0)])
    inputs, labels = make_numbers()
    return {"model": model, "data": (inputs, labels % 2)}


def several_labels(_):
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4, activation="sigmoid")]
    )
    compile_model(model, loss="binary_crossentropy")
    inputs, _ = make_numbers()
    return {"model": model, "data": (inputs, (inputs[:, :4] > 1).astype("float32"))}


def regression(_):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    compile_model(model, loss="mse", metrics=["mae"])
    inputs, _ = make_numbers()
    return {"model": model, "data": (inputs, inputs.sum(axis=1))}


def exported_in_order(folder):
    model = compile_model(make_mean_colors())
    names = ["amber", "brick", "coral"]
    tft.export_model(model, folder / "export", class_names=names, verbose=False)
    return {
        "model": model,
        "data": (OTHERS, OTHER_LABELS),
        "class_names": names,
        "export": folder / "export",
    }


def exported_by_keras(folder):
    model = solve_head(build_model(), scale(IMAGES), LABELS)
    compile_model(model).export(
        folder / "export", format="tf_saved_model", verbose=False
    )
    data = scale(OTHERS), OTHER_LABELS
    return {"model": model, "test": data, "export": folder / "export"}


def rows_of_few_categories(_):
    """Rows repeat by nature, in training and test alike."""
    draw = np.random.default_rng(0)
    rows = draw.integers(0, 3, (160, 3)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(CLASSES)])
    labels = rows.sum(axis=1).astype(int) % CLASSES
    return {
        "model": compile_model(model),
        "data": (rows[:120], labels[:120]),
        "test": (rows[120:], labels[120:]),
    }


def nine_of_ten_by_f1(_):
    labels = (np.arange(96) % 10 == 0).astype("int32")
    model = build_model()
    one_hot = np.eye(CLASSES)[labels]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    compile_model(
        model, loss=loss, metrics=["accuracy", keras.metrics.F1Score(average="macro")]
    )
    return {"model": model, "data": (scale(IMAGES), one_hot)}


def shuffled_validation(_):
    flip = keras.layers.RandomFlip(seed=0)
    data = tf.data.Dataset.from_tensor_slices((scale(IMAGES), LABELS)).shuffle(96)
    data = data.batch(16).map(lambda x, y: (flip(x, training=True), y))
    valid = tf.data.Dataset.from_tensor_slices((scale(OTHERS), OTHER_LABELS))
    valid = valid.shuffle(48).batch(16)
    return {"model": compile_model(build_model()), "data": data, "validation": valid}


def augmenting_model(_):
    backbone = build_backbone()
    backbone.trainable = False
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.RandomFlip(seed=0),
            backbone,
            keras.layers.Dropout(0.5),
            keras.layers.Dense(CLASSES),
        ]
    )
    return {"model": compile_model(model), "data": (scale(IMAGES), LABELS)}


def resizing_of_ours(_):
    model = tft.build_transfer_model(
        tft.load_backbone(build_backbone()), num_classes=CLASSES, image_size=SIDE
    )
    images = np.repeat(np.repeat(scale(IMAGES), 2, 1), 2, 2)
    return {"model": model, "data": (images, LABELS)}


def pairs_in_balance(_):
    return make_aligned(16, 16, lambda source, target: source)


def unlabeled_target(_):
    model = compile_model(build_model())
    target = tft.UnlabeledDomain((scale(OTHERS), OTHER_LABELS))
    return {"model": model, "data": (scale(IMAGES), LABELS), "target": target}


def texts_read_whole(_):
    return {"model": make_text_model(48), "data": make_texts()}


def ids_with_padding(_):
    return make_ids(maxlen=40)


def ids_of_one_length(_):
    return make_ids(maxlen=10, shortest=10)


def application(_):
    base = keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, input_shape=(32, 32, 3), weights=None
    )
    base.trainable = False
    model = keras.Sequential(
        [base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(CLASSES)]
    )
    images = scale(np.repeat(np.repeat(IMAGES[:32], 2, 1), 2, 2))
    return {"model": compile_model(model), "data": (images, LABELS[:32])}


def two_inputs(_):
    one, two = keras.Input((8,), name="one"), keras.Input((4,), name="two")
    joined = keras.layers.Concatenate()([one, two])
    model = keras.Model({"one": one, "two": two}, keras.layers.Dense(CLASSES)(joined))
    rows, labels = make_numbers()
    data = ({"one": rows, "two": rows[:, :4]}, labels)
    return {"model": compile_model(model), "data": data}


class _Batches(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = slice(16 * index, 16 * index + 16)
        return scale(IMAGES[rows]), LABELS[rows], np.ones(16)


def batches_by_index(_):
    return {"model": compile_model(build_model()), "data": _Batches()}


def model_alone(_):
    return {"model": compile_model(build_model(depth="all"))}


def not_compiled(_):
    return {"model": build_model(), "data": (scale(IMAGES), LABELS)}


def some_dead_units(_):
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.layers[0].bias.assign(np.where(np.arange(24) < 8, -50, 0))
    return {"model": compile_model(model), "data": make_numbers()}
