"""Made-up images that can be told apart, to try a program without any data."""

import numpy as np
import tensorflow as tf

from tftransfer.checks import check_image_size, check_whole_number
from tftransfer.data.fingerprints import digest, make_fingerprint
from tftransfer.data.pipelines import Preparation, set_attributes


def load_synthetic(
    num_classes=2,
    *,
    num_splits=2,
    num_examples=64,
    image_size=(32, 32),
    batch_size=32,
    seed=0,
):
    """Make small sets of noisy images whose color tells their class.

    Args:
        num_classes: Number of classes.
        num_splits: Number of datasets.
        num_examples: Images in each of them.
        image_size: `(height, width)` in pixels.
        batch_size: Number of images in a batch.
        seed: Whole number >= 0; the same seed gives the same images.

    Returns:
        List of batched datasets of `(image, label)`: uint8 `(batch, height, width, 3)`
        and int64 `(batch,)`, each with `class_names`.

    Raises:
        ValueError: If a count or the image size is not positive.

    Example:

    >>> train, test = tft.load_synthetic(num_classes=3)
    >>> train.class_names
    ['class 0', 'class 1', 'class 2']
    """
    check_whole_number("num_classes", num_classes)
    check_whole_number("num_splits", num_splits)
    check_whole_number("num_examples", num_examples)
    check_whole_number("batch_size", batch_size)
    size = check_image_size("image_size", image_size)
    rng = np.random.default_rng(seed)
    colors = rng.uniform(40, 215, size=(num_classes, 1, 1, 3))
    datasets = []
    for _ in range(num_splits):
        labels = np.arange(num_examples, dtype="int64") % num_classes
        noise = rng.normal(scale=40, size=(num_examples, *size, 3))
        images = (colors[labels] + noise).clip(0, 255).astype("uint8")
        dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)
        identity = ["arrays", digest(images), digest(labels)]
        set_attributes(
            dataset,
            class_names=[f"class {number}" for number in range(num_classes)],
            fingerprint=make_fingerprint(identity, Preparation()),
        )
        datasets.append(dataset)
    return datasets
