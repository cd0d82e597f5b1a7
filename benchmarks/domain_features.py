"""Rows that the shifts of `domain_shifts.py` draw from, computed once and kept.

What a network computes is found again under `cache`. Rows that a LeNet learned from are
in no shift: its features of them would be better than those of any other row.
"""

import csv
import functools
import io
import lzma
import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from scipy import ndimage
from sklearn.datasets import load_digits

import tftransfer as tft

LENET_ROWS = {"mnist": 10_000, "usps": 5_000}  # of which the LeNets learn, in no shift
LENET_EPOCHS = {"mnist": 3, "usps": 6}
POOL = 10_000  # digits of MNIST that shifts draw from
CIFAR_SOURCE, CIFAR_TARGET, CIFAR_SIZE = 6000, 1000, 96
REVIEWS = 4000  # of IMDB
TOKENS = 128


class Pools:
    """Raw rows and features, each read or computed when it is first asked for.

    Args:
        data_dir: Folder of prepared TFDS datasets: mnist, usps, cifar10, imdb_reviews.
        shared: Folder with `product_reviews.csv.xz` and the weights of MobileNetV2.
        cache: Folder for what took long.
    """

    def __init__(self, data_dir, shared, cache):
        self.data_dir, self.shared = data_dir, Path(shared)
        self.cache = Path(cache)
        self.cache.mkdir(parents=True, exist_ok=True)

    def kept(self, name, compute):
        """Return arrays by name, from the folder or else from `compute()`."""
        path = self.cache / f"{name}.npz"
        if not path.exists():
            print(f"computing {name}", flush=True)
            partial = path.with_suffix(f".{os.getpid()}.npz")
            np.savez(partial, **compute())
            partial.replace(path)
        with np.load(path) as found:
            return {key: found[key] for key in found.files}

    def read_tfds(self, name, splits, *keys):
        """Return arrays of the splits of a prepared dataset, one after another."""
        builder = tfds.builder(name, data_dir=self.data_dir)
        parts = [
            tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
            for split in splits
        ]
        return [np.concatenate([part[key] for part in parts]) for key in keys]

    @functools.cached_property
    def digits(self):
        """Images in 0..1 and labels of MNIST and USPS in a fixed random order."""
        found = {}
        for name in ("mnist", "usps"):
            images, labels = self.read_tfds(name, ("train", "test"), "image", "label")
            order = np.random.default_rng(0).permutation(len(labels))
            order = order[: LENET_ROWS[name] + POOL]
            images = images[order, :, :, 0].astype("float32") / 255
            found[name] = images, labels[order]
        return found

    @functools.cached_property
    def pixels(self):
        """Pixels and labels by name; all of a size are framed alike."""
        found = {}
        for name, (images, labels) in self.digits.items():
            images, labels = (rows[LENET_ROWS[name] :] for rows in (images, labels))
            if name == "mnist":
                found["mnist"] = images, labels
                images = images[:, 4:24, 4:24]  # USPS has no frame either
            for size in (16, 8):
                found[f"{name}{size}"] = flatten(resize(images, size)), labels
        optical = load_digits()
        found["digits8"] = flatten(optical.images / 16), optical.target
        return found

    @functools.lru_cache(maxsize=4)  # noqa: B019, one object lives as long as the run
    def lenet(self, learned, seed):
        """Features of both kinds of digits by a LeNet that learned one, and labels."""

        def compute():
            network = fit_lenet(*self.digits[learned], learned, seed)
            found = {}
            for name, (images, labels) in self.digits.items():
                pool = slice(LENET_ROWS[name], LENET_ROWS[name] + 4000)
                rows = resize(images[pool], 28)[..., None]
                found[name] = network.predict(rows, batch_size=256, verbose=0)
                found[f"{name} labels"] = labels[pool]
            return found

        return self.kept(f"lenet-{learned}-{seed}", compute)

    @functools.lru_cache(maxsize=2)  # noqa: B019
    def cifar(self, seed):
        """Features of clean training images, and of corrupted test images of a seed."""

        def compute():
            images, labels = self.read_tfds("cifar10", ["test"], "image", "label")
            rows = np.random.default_rng(seed).permutation(len(labels))[:CIFAR_TARGET]
            draw = np.random.default_rng([seed, 1]).normal
            corrupted = {
                name: to_bytes(change(images[rows].astype("float32"), draw))
                for name, change in CORRUPTIONS.items()
            }
            features = self.extract(np.concatenate(list(corrupted.values())))
            parts = np.split(features, len(corrupted))
            return {**dict(zip(corrupted, parts, strict=True)), "labels": labels[rows]}

        return {**self.cifar_source, **self.kept(f"cifar-{seed}", compute)}

    @functools.cached_property
    def cifar_source(self):
        """Features of clean training images, and their labels."""

        def compute():
            images, labels = self.read_tfds(
                "cifar10", [f"train[:{CIFAR_SOURCE}]"], "image", "label"
            )
            return {"source": self.extract(images), "source labels": labels}

        return self.kept("cifar-source", compute)

    def extract(self, images):
        """Return features of color images by MobileNetV2 0.35 at 96 pixels."""
        (weights,) = self.shared.glob("mobilenet_v2_0.35*no_top*")
        backbone = tft.load_backbone(
            "keras:MobileNetV2",
            alpha=0.35,
            weights=str(weights),
            image_size=(CIFAR_SIZE, CIFAR_SIZE),
        )
        return self.run(backbone, tf.data.Dataset.from_tensor_slices(images).batch(64))

    def run(self, backbone, dataset):
        """Return features of all rows of a batched dataset."""
        store = self.cache / "store"
        found = tft.extract_features(backbone, dataset, directory=store, verbose=0)
        return np.asarray(found.features, "float32")

    @functools.cached_property
    def cells(self):
        """Features of solar cells, whether they are defective, and whether mono."""

        def compute():
            paths, probabilities, wafers = tft.read_elpv()
            dataset = tf.data.Dataset.from_tensor_slices(paths).map(read_gray).batch(32)
            features = self.run(tft.load_backbone("pip:efficientnet_lite0"), dataset)
            labels = (probabilities > 0.5).astype(int)
            return {"features": features, "labels": labels, "mono": wafers == "mono"}

        return self.kept("cells", compute)

    @functools.cached_property
    def reviews(self):
        """Texts and labels of movies, their short and long half, books and kitchen."""
        texts, labels = self.read_tfds("imdb_reviews", ["train"], "text", "label")
        rows = np.random.default_rng(0).permutation(len(labels))[:REVIEWS]
        texts = np.array([text.decode() for text in texts[rows]], object)
        found = {"imdb": (texts, labels[rows])}
        for name, half in split_by_length(texts).items():
            found[name] = texts[half], labels[rows][half]
        with lzma.open(self.shared / "product_reviews.csv.xz") as stream:
            table = list(csv.DictReader(io.TextIOWrapper(stream, "utf-8")))
        for name in ("books", "kitchen"):
            part = [row for row in table if row["domain"] == name]
            texts = np.array([row["text"] for row in part], object)
            found[name] = texts, np.array([int(row["label"]) for row in part])
        return found

    @functools.cached_property
    def sentences(self):
        """Features of all reviews by MiniLM-L6, by domain."""

        def compute():
            backbone = tft.load_backbone(
                "text:minilm_l6", sequence_length=TOKENS, truncate="head+tail"
            )
            found = {}
            for name in ("imdb", "books", "kitchen"):
                texts = list(self.reviews[name][0])
                dataset = tf.data.Dataset.from_tensor_slices(texts).batch(32)
                found[name] = self.run(backbone, dataset)
            for name, half in split_by_length(self.reviews["imdb"][0]).items():
                found[name] = found["imdb"][half]
            return found

        return self.kept("sentences", compute)


def split_by_length(texts):
    """Return the rows of the shorter and of the longer half."""
    order = np.argsort([len(text.split()) for text in texts], kind="stable")
    return dict(zip(("short", "long"), np.array_split(order, 2), strict=True))


def fit_lenet(images, labels, name, seed):
    """Train a LeNet on the first rows; return it as a model of features."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(20, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(50, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(500, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), loss)
    count = LENET_ROWS[name]
    rows = resize(images[:count], 28)[..., None]
    network.fit(
        rows, labels[:count], batch_size=64, epochs=LENET_EPOCHS[name], verbose=0
    )
    return keras.Sequential(network.layers[:-1])


def resize(images, size):
    """Return gray images `(n, size, size)`."""
    if images.shape[1] == size:
        return images
    return tf.image.resize(images[..., None], (size, size), antialias=True)[
        ..., 0
    ].numpy()


def flatten(images):
    return images.reshape(len(images), -1)


def read_gray(path):
    image = tf.io.decode_png(tf.io.read_file(path), channels=1)
    return tf.image.grayscale_to_rgb(tf.ensure_shape(image, (300, 300, 1)))


def to_bytes(images):
    return np.clip(np.round(images), 0, 255).astype("uint8")


def add_noise(images, draw, spread):
    return images + spread * draw(size=images.shape)


def blur(images, draw, width):
    return ndimage.uniform_filter(images, (1, width, width, 1), mode="nearest")


def fade(images, draw, contrast):
    return 128 + contrast * (images - 128)


def compress(images, draw, quality):
    encoded = [tf.io.encode_jpeg(each, quality=quality) for each in to_bytes(images)]
    return np.stack([tf.io.decode_jpeg(each).numpy() for each in encoded]).astype(float)


def drop_color(images, draw):
    return np.repeat(images.mean(axis=-1, keepdims=True), 3, axis=-1)


def coarsen(images, draw, size):
    small = tf.image.resize(images, (size, size), antialias=True)
    return tf.image.resize(small, images.shape[1:3]).numpy()


CORRUPTIONS = {
    "clean": lambda images, draw: images,
    "gray": drop_color,
    **{f"noise {s}": functools.partial(add_noise, spread=s) for s in (8, 20, 40)},
    **{f"blur {w}": functools.partial(blur, width=w) for w in (3, 5)},
    **{f"contrast {c}": functools.partial(fade, contrast=c) for c in (0.5, 0.25)},
    **{f"jpeg {q}": functools.partial(compress, quality=q) for q in (30, 10)},
    **{f"resolution {s}": functools.partial(coarsen, size=s) for s in (16, 10)},
}
