"""Digits from one collection to another, both ways, with and without its labels.

Run:     python recipes/mnist_to_usps.py --data-dir DIR    DIR: prepared TFDS datasets
Try it:  python recipes/mnist_to_usps.py --smoke           made-up images
Result:  test accuracy in %, seed 0:
                                                     MNIST to USPS   USPS to MNIST
         source only                                         91.73           73.25
         200 labels of the target, from scratch              94.97           95.04
         200 labels of the target, from the source           96.06           91.92
         no label, CORAL                                     95.42           91.17
         no label, MMD                                       95.91           92.12
         no label, MCC with CDAN                             96.61           97.09
         no label, the same, then its own calls              97.01           96.66
         30 minutes beside other work; 2 cores of AMD EPYC, TensorFlow 2.21.0,
         Keras 3.15.1, 2026-11-22
Writes:  nothing; prints the accuracies on the target's test set, both ways

`mnist` is in TFDS; `usps` is not: prepare it as a TFDS dataset of that name.

A LeNet learns the source, zoomed, shifted, slanted and turned at random. From there,
without a label of the target: source and target together, aligned by CORAL, by MMD, or
by minimum class confusion (`tft.MCC`) with a conditional domain discriminator
(`tft.CDAN`); and after that once more, with the network's own most confident calls of
the target as labels. All of it is plain `fit`. For comparison, few labels of the
target.

Every setting is the same both ways. Weights, steps and the order of things were chosen
on other data, the 8x8 digits of scikit-learn to MNIST and back; the row that counts is
the last one without labels, whatever the others reach.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import tftransfer as tft

SIZE, BATCH, CLASSES = (28, 28), 64, 10
STEPS = {"source": 600, "aligned": 3000, "self-trained": 400, "labels": 600}
CONFIDENT = 0.8  # share of each predicted class that counts as labeled


def main(smoke=False, seed=0, data_dir=None, most=10_000, num_labels=200):
    steps = dict.fromkeys(STEPS, 2) if smoke else STEPS
    results = {}
    for source, target in (("mnist", "usps"), ("usps", "mnist")):
        labeled, others, test = (
            load(name, split, data_dir, smoke)
            for name, split in (
                (source, "train"),
                (target, "train"),
                (target, "test"),
            )
        )
        labeled, others = (
            tuple(part[:most] for part in rows) for rows in (labeled, others)
        )
        few = tuple(part[:num_labels] for part in others)
        # The door at which all other labels of the target are dropped.
        unlabeled = tft.UnlabeledDomain(others).data
        found = transfer(labeled, unlabeled, few, test, steps, seed)
        for row, accuracy in found.items():
            results[f"{source} to {target}, {row}"] = accuracy
    return results


def transfer(source, target, few, test, steps, seed):
    """Return accuracies on `test` of a network for each row of the table."""
    accuracies = {}
    labeled = batches(source, seed)

    keras.utils.set_random_seed(seed)
    model = build_lenet(seed)
    train(model, labeled, 1e-3, steps["source"])
    accuracies["source only"] = accuracy(model, test)
    learned = model.get_weights()

    # With few labels of the target.
    for row, weights in (("from scratch", None), ("from the source", learned)):
        with_labels = build_lenet(seed)
        if weights is not None:
            with_labels.set_weights(weights)
        train(with_labels, batches(few, seed), 1e-3, steps["labels"])
        accuracies[f"{len(few[0])} labels, {row}"] = accuracy(with_labels, test)

    # Without: both domains at once.
    pairs = tft.pair_domains(labeled, batches(target, seed))
    ramp = steps["aligned"] // 2
    for row, alignment in (
        ("CORAL", [tft.CORAL(10.0)]),
        ("MMD", [tft.MMD(1.0)]),
        ("MCC with CDAN", [tft.MCC(1.0), tft.CDAN(1.0, steps=ramp)]),
    ):
        model.set_weights(learned)
        train(tft.AlignedModel(model, alignment), pairs, 1e-3, steps["aligned"])
        accuracies[row] = accuracy(model, test)

    # The last of them, once more with its own calls.
    called = batches(most_confident(model, target), seed)
    both = tf.data.Dataset.zip(labeled.repeat(), called.repeat()).map(join)
    train(model, both, 5e-4, steps["self-trained"])
    accuracies["MCC with CDAN, then its own calls"] = accuracy(model, test)
    return accuracies


def load(name, split, data_dir, smoke):
    """Return images, uint8 `(n, 28, 28, 3)`, and labels."""
    if smoke:
        data, _ = tft.load_synthetic(CLASSES, num_examples=128, image_size=SIZE)
    else:
        data = tft.load_tfds(
            name, split, data_dir=data_dir, image_size=SIZE, batch_size=500
        )
    parts = zip(*data.unshuffled.as_numpy_iterator(), strict=True)
    images, labels = map(np.concatenate, parts)
    return images.round().astype("uint8"), labels


def batches(data, seed):
    """Return a dataset of `(x, y)`, or of `x`, in another order in each epoch."""
    rows = tf.data.Dataset.from_tensor_slices(data).shuffle(20_000, seed=seed)
    return rows.batch(BATCH, drop_remainder=True).prefetch(4)


def join(labeled, called):
    return tuple(tf.concat(parts, 0) for parts in zip(labeled, called, strict=True))


def build_lenet(seed):
    lenet = [
        keras.Input((*SIZE, 3)),
        # In `fit` alone, on both domains.
        layers.RandomZoom(0.2, 0.2, fill_mode="constant"),
        layers.RandomShear(0.2, 0.2, fill_mode="constant"),
        layers.RandomRotation(0.04, fill_mode="constant"),
        layers.RandomTranslation(0.07, 0.07, fill_mode="constant"),
        layers.Rescaling(1 / 255),
        layers.Conv2D(20, 5),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.ReLU(),
        layers.Conv2D(50, 5),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(256),
        layers.BatchNormalization(),
        layers.ReLU(),
    ]
    return tft.build_transfer_model(
        keras.Sequential(lenet),
        num_classes=CLASSES,
        trainable_depth="all",
        batch_norm="train",
        seed=seed,
    )


def train(model, data, rate, steps):
    """Fit for some steps, the learning rate falling to 0 along a half cosine."""
    falling = keras.optimizers.schedules.CosineDecay(rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(falling), loss)
    model.fit(data.repeat(), steps_per_epoch=steps, shuffle=False, verbose=0)


def most_confident(model, images):
    """Return images of each predicted class that the model is surest of, and calls."""
    logits = model.predict(images, batch_size=500, verbose=0)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    calls, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    kept = []
    for label in range(CLASSES):
        rows = np.flatnonzero(calls == label)
        count = int(np.ceil(CONFIDENT * len(rows)))
        kept.append(rows[np.argsort(-sure[rows])[:count]])
    kept = np.concatenate(kept)
    return images[kept], calls[kept]


def accuracy(model, test):
    evaluation = tft.evaluate(model, batches_in_order(test))
    return round(100 * evaluation.metrics["accuracy"], 2)


def batches_in_order(data):
    return tf.data.Dataset.from_tensor_slices(data).batch(500)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir")
    for row, value in main(**vars(parser.parse_args())).items():
        print(f"{value:6.2f} %  {row}")
