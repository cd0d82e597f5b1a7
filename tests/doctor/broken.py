"""Broken set-ups, each after a public issue: what `diagnose` is given."""

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
    make_texts,
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
    data = OTHERS[..., ::-1] / 255, OTHER_LABELS
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
    optimizer.exclude_from_weight_decay(var_names=["LayerNorm", "bias"])
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
    return {"model": compile_model(model), "data": _numbers()}


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
    inputs, labels = _numbers()
    return {"model": model, "data": (inputs, labels % 2)}


def logits_cut_at_half(_):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    compile_model(model, loss=loss)
    inputs, labels = _numbers()
    return {"model": model, "data": (inputs, labels % 2)}


def names_in_another_order(folder):
    model = compile_model(_mean_colors())
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
    """`Resizing` of Keras 3.15 takes itself to be training; dropout follows."""
    backbone = build_backbone()
    backbone.trainable = False
    model = keras.Sequential(
        [
            keras.Input((20, 20, 3)),
            keras.layers.Resizing(SIDE, SIDE),
            keras.layers.Rescaling(1 / 127.5, -1),
            backbone,
            keras.layers.Dropout(0.5),
            keras.layers.Dense(CLASSES),
        ]
    )
    images = np.repeat(np.repeat(IMAGES, 2, 1), 2, 2)[:, :20, :20]
    return {"model": compile_model(model), "data": (images, LABELS)}


def exported_while_training(folder):
    model = _with_dropout()
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda x: model(x, training=True),
        [keras.InputSpec(dtype="float32", shape=(None, 8))],
    )
    archive.write_out(str(folder / "export"), verbose=False)
    return {"model": model, "data": _numbers(), "export": folder / "export"}


def dead_units(_):
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.layers[0].bias.assign(np.where(np.arange(24) < 20, -50, 0))
    return {"model": compile_model(model), "data": _numbers()}


def few_target_rows(_):
    return _aligned(32, 4, lambda source, target: source)


def target_labels_in_batches(_):
    return _aligned(16, 16, lambda source, target: (source, target))


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
    return {"model": text_model(12), "data": make_texts()}


def ids_cut_short(_):
    model = keras.Sequential(
        [
            keras.Input((10,), dtype="int32"),
            keras.layers.Embedding(60, 8),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(CLASSES),
        ]
    )
    draw = np.random.default_rng(0)
    sequences = [draw.integers(1, 60, draw.integers(6, 40)) for _ in range(64)]
    ids = keras.utils.pad_sequences(sequences, maxlen=10)
    return {"model": compile_model(model), "data": (ids, np.arange(64) % CLASSES)}


def stale_export(folder):
    """Trained on after the export was written."""
    model = solve_head(build_model(), scale(IMAGES), LABELS)
    model.export(folder / "export", format="tf_saved_model", verbose=False)
    model.layers[-1].kernel.assign(0.5 * model.layers[-1].kernel)
    data = scale(OTHERS), OTHER_LABELS
    return {"model": compile_model(model), "test": data, "export": folder / "export"}


def _numbers(count=64):
    draw = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    rows = draw.normal(size=(count, 8)) + np.eye(CLASSES, 8)[labels]
    return rows.astype("float32"), labels


def _with_dropout():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(CLASSES),
        ]
    )
    return compile_model(model)


def _mean_colors():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def _aligned(num_source, num_target, choose):
    model = tft.AlignedModel(_mean_colors(), tft.CORAL())
    compile_model(model)
    source = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(num_source)
    target = tf.data.Dataset.from_tensor_slices((OTHERS, OTHER_LABELS))
    target = target.batch(num_target).repeat()
    pairs = tf.data.Dataset.zip(source, target).map(
        lambda s, t: ((s[0], t[0]), choose(s[1], t[1]))
    )
    return {"model": model, "data": pairs}


def text_model(length):
    split = keras.layers.TextVectorization(
        output_sequence_length=length,
        vocabulary=[f"word{n}" for n in range(50)] + [f"class{n}" for n in range(3)],
    )
    model = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            split,
            keras.layers.Embedding(60, 8),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(CLASSES),
        ]
    )
    return compile_model(model)


_GITHUB = "https://github.com/"
BROKEN = [  # what is found, the issue, and what makes the set-up
    ("pixel_scale", "keras-team/keras/issues/13293", raw_pixels),
    ("pixel_scale", "ildoonet/tf-pose-estimation/issues/369", raw_pixels_subclassed),
    ("pixel_scale", "keras-team/keras-io/issues/1549", scaled_twice),
    ("pixel_scale", "tensorflow/tensorflow/issues/39925", scaled_to_one),
    ("channel_order", "imatge-upc/detection-2016-nipsws/issues/11", reversed_colors),
    (
        "channel_order",
        "udacity/sdc-issue-reports/issues/623",
        reversed_colors_when_serving,
    ),
    ("frozen_statistics", "keras-team/keras/issues/20285", overruled_inference),
    ("frozen_statistics", "keras-team/keras/issues/7085", frozen_by_weights),
    ("moved_statistics", "keras-team/keras/issues/6570", moved_statistics),
    ("tiny_batches", "apache/mxnet/issues/2308", batches_of_two),
    ("head_rate", "Welthungerhilfe/cgm-ml/issues/326", one_rate_for_all),
    ("erasing_rate", "keras-team/keras/issues/9940", erasing_rate),
    ("stale_compile", "keras-team/keras/issues/13404", opened_after_compile),
    ("stale_compile", "keras-team/keras/issues/6405", optimizer_of_the_head),
    ("idle_pattern", "keras-team/keras/issues/11934", rates_for_nothing),
    ("idle_pattern", "keras-team/keras/pull/16274", exclusion_of_nothing),
    ("missing_adapters", "keras-team/keras-hub/issues/1821", adapters_nowhere),
    ("still_adapters", "huggingface/transformers/issues/26098", adapters_at_rest),
    ("logits_mismatch", "mmalekzadeh/dana/issues/1", softmax_twice),
    ("logits_mismatch", "tflearn/tflearn/pull/562", softmax_twice_subclassed),
    ("logits_mismatch", "xiph/LPCNet/issues/97", logits_as_probabilities),
    ("logits_mismatch", "keras-team/keras/issues/15715", sigmoid_twice),
    ("metric_threshold", "tensorflow/tensorflow/issues/41413", logits_cut_at_half),
    ("label_order", "NVIDIA/DIGITS/issues/289", names_in_another_order),
    ("permuted_labels", "keras-team/keras/issues/6075", labels_in_another_order),
    ("duplicates", "stefyste/RIAWELC/issues/2", test_within_training),
    ("class_imbalance", "keras-team/keras/issues/10292", nine_of_ten),
    ("random_validation", "keras-team/keras/issues/10458", augmented_validation),
    ("random_inference", "keras-team/autokeras/issues/1524", flips_in_inference),
    ("training_by_default", "keisen/tf-keras-vis/issues/26", training_by_default),
    ("random_export", "tensorflow/serving/issues/1266", exported_while_training),
    ("dead_features", "keras-team/keras/issues/7057", dead_units),
    ("unbalanced_domains", "pumpikano/tf-dann/issues/1", few_target_rows),
    ("target_labels", "daoyuan98/MSDA/issues/1", target_labels_in_batches),
    ("target_labels", "Albert0147/BAIT_SFUDA/issues/2", labeled_target),
    (
        "target_labels",
        "agrija9/Deep-Unsupervised-Domain-Adaptation/issues/5",
        target_within_training,
    ),
    (
        "truncated_texts",
        "huggingface/sentence-transformers/issues/4060",
        texts_cut_short,
    ),
    ("truncated_texts", "keras-team/keras/issues/2261", ids_cut_short),
    ("export_difference", "keras-team/autokeras/issues/1512", stale_export),
]
BROKEN = [(name, _GITHUB + issue, make) for name, issue, make in BROKEN]
