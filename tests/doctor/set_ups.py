"""Small models and data of which set-ups are made, sound ones and broken ones."""

import functools

import keras
import numpy as np
import tensorflow as tf

import tftransfer as tft
from tftransfer.freezing.batch_norm import batch_norms

SIDE, CLASSES = 16, 3
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_images(count=96, seed=0):
    """Warm images 0..255 with shading and noise, and a class told by color."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    colors = np.array([[220, 110, 30], [150, 110, 60], [185, 120, 90]])[labels]
    slopes = draw.uniform(-60, 60, (count, 2, 1, 1))
    grid = np.linspace(-1, 1, SIDE)
    shading = slopes[:, 0] * grid[:, None] + slopes[:, 1] * grid
    noise = draw.normal(0, 20, (count, SIDE, SIDE, 3))
    images = colors[:, None, None] + shading[..., None] + noise
    return np.clip(images, 0, 255).astype("float32"), labels


def scale(images):
    """The form that the backbones here are trained on, -1..1."""
    return images / 127.5 - 1


def build_backbone(*, settle=True):
    """Convolutions with BatchNormalization, whose statistics are those of images."""
    backbone = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(12, 3, strides=2, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.ReLU(),
            keras.layers.Conv2D(16, 3, strides=2, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(name="features"),
        ]
    )
    if settle:
        backbone.set_weights(_settled_weights())
    return backbone


@functools.cache
def _settled_weights():
    backbone = build_backbone(settle=False)
    images = scale(make_images(192, seed=9)[0])
    for _ in range(12):
        backbone(images, training=True)
    return backbone.get_weights()


class Subclassed(keras.Model):
    """A model without a graph: a backbone and a head that `call` puts together."""

    def __init__(self, backbone, head):
        super().__init__()
        self.backbone, self.head = backbone, head

    def call(self, inputs, training=None):
        return self.head(self.backbone(inputs, training=training))


def build_model(backbone=None, *, activation=None, kind="sequential", depth="frozen"):
    """A backbone with a new head, not compiled."""
    backbone = backbone or build_backbone()
    backbone.trainable = depth != "frozen"
    head = keras.layers.Dense(CLASSES, activation=activation)
    if kind == "subclassed":
        model = Subclassed(backbone, head)
        model(np.zeros((1, SIDE, SIDE, 3), "float32"))
        return model
    return keras.Sequential([backbone, head])


def compile_model(model, *, loss=LOGITS, rate=1e-5, metrics=("accuracy",)):
    model.compile(keras.optimizers.Adam(rate), loss, metrics=list(metrics))
    return model


def freeze_norms(backbone):
    """Open a backbone but for its BatchNormalization."""
    backbone.trainable = True
    for layer in batch_norms(backbone):
        layer.trainable = False


def solve_head(model, inputs, labels):
    """Set the last layer to ridge regression on the labels: a trained head."""
    backbone, head = model.layers[-2:]
    rows = keras.ops.convert_to_numpy(backbone(inputs, training=False))
    center = rows.mean(axis=0)
    rows = rows - center
    targets = 6 * np.eye(CLASSES)[labels] - 2
    gram = rows.T @ rows + 1e-3 * np.trace(rows.T @ rows) / len(rows[0]) * np.eye(
        len(rows[0])
    )
    kernel = np.linalg.solve(gram, rows.T @ targets)
    head.kernel.assign(kernel)
    head.bias.assign(targets.mean(axis=0) - center @ kernel)
    return model


def make_texts(count=48, words=40, seed=0):
    """Texts of many words, and a class told by one of them."""
    draw = np.random.default_rng(seed)
    vocabulary = [f"word{number}" for number in range(50)]
    labels = np.arange(count) % CLASSES
    texts = [
        " ".join([f"class{label}", *draw.choice(vocabulary, words - 1)])
        for label in labels
    ]
    return np.array(texts, object), labels


def make_numbers(count=64, width=8):
    draw = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    rows = draw.normal(size=(count, width)) + np.eye(CLASSES, width)[labels]
    return rows.astype("float32"), labels


def make_dropout():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(CLASSES),
        ]
    )
    return compile_model(model)


def make_mean_colors():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def make_aligned(num_source, num_target, choose):
    model = tft.AlignedModel(make_mean_colors(), tft.CORAL())
    compile_model(model)
    source = tf.data.Dataset.from_tensor_slices(make_images()).batch(num_source)
    target = tf.data.Dataset.from_tensor_slices(make_images(48, seed=1))
    target = target.batch(num_target).repeat()
    pairs = tf.data.Dataset.zip(source, target).map(
        lambda s, t: ((s[0], t[0]), choose(s[1], t[1]))
    )
    return {"model": model, "data": pairs}


def make_text_model(length):
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


def make_ids(maxlen, shortest=6):
    model = keras.Sequential(
        [
            keras.Input((maxlen,), dtype="int32"),
            keras.layers.Embedding(60, 8),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(CLASSES),
        ]
    )
    draw = np.random.default_rng(0)
    sequences = [draw.integers(1, 60, draw.integers(shortest, 40)) for _ in range(64)]
    ids = keras.utils.pad_sequences(sequences, maxlen=maxlen)
    return {"model": compile_model(model), "data": (ids, np.arange(64) % CLASSES)}
