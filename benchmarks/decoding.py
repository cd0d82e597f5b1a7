"""What it costs to decode and to resize images, apart from any model.

Run:  python benchmarks/decoding.py [--count 512] [--save decoding.json]
Sources: color photographs as JPEG at 300 x 300 (cut from those of scikit-learn), solar
cells as PNG at 300 x 300 (elpv-dataset), and 32 x 32 color patches as PNG, as TFDS
keeps CIFAR-10. All are held in memory, encoded, and brought to 224 x 224.
Rivals in the same run, in turn: the pipeline as loaders build it, the same with the
model's `Resizing` layer called as it is, and one thread of Pillow; then single steps.
Processor seconds count every thread: an engine at work on the same cores pays them.
"""

import argparse
import io
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images
from timing import print_rows, write_rows

from tftransfer.data.elpv import read_elpv
from tftransfer.data.fast_resizing import resize_as
from tftransfer.data.pipelines import AUTOTUNE, Preparation, make_dataset
from tftransfer.decoding import decode_image
from tftransfer.resizing import build_resizing

SIZE = (224, 224)
BATCH_SIZE = 32


def cut_photographs(count, side, kind):
    """Encode `count` squares of the sample photographs, each from another place."""
    random = np.random.default_rng(0)
    photographs = load_sample_images().images
    encoded = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        y, x = (random.integers(0, n - side) for n in photograph.shape[:2])
        buffer = io.BytesIO()
        square = Image.fromarray(photograph[y : y + side, x : x + side])
        square.save(buffer, kind, **({"quality": 90} if kind == "jpeg" else {}))
        encoded.append(buffer.getvalue())
    return encoded


def steps_of(files, side, gray):
    """Name each rival, and the steps of ours one by one; all are callables."""
    encoded = tf.constant(files)
    channels = 1 if gray else 3
    examples = tf.data.Dataset.from_tensor_slices((encoded, tf.zeros(len(files))))
    decode = lambda content: decode_image(content, channels=channels)  # noqa: E731
    ours = dict(shape=(side, side, channels), gray=gray)
    layer = build_resizing(SIZE)
    plain = make_dataset(examples, decode_image, Preparation(), shape=(side, side, 3))
    as_layer = plain.map(lambda x, y: (layer(tf.cast(x, tf.float32)), y), AUTOTUNE)
    shape = BATCH_SIZE, side, side, channels
    pixels = tf.random.uniform(shape, 0, 256, tf.int32)
    batches = tf.data.Dataset.from_tensors((tf.cast(pixels, tf.uint8), 0)).repeat(
        len(files) // BATCH_SIZE
    )
    return {
        "pipeline": read(make_dataset(examples, decode, Preparation(SIZE), **ours)),
        "pipeline, model's layer": read(as_layer.prefetch(AUTOTUNE)),
        "Pillow, one thread": lambda: [pillow(file, True) for file in files],
        "decode and batch": read(make_dataset(examples, decode, Preparation(), **ours)),
        "Pillow, decode": lambda: [pillow(file, False) for file in files],
        "resize": read(batches.map(lambda x, y: resize_as(layer, x), AUTOTUNE)),
        "resize, model's layer": read(
            batches.map(lambda x, y: layer(tf.cast(x, tf.float32)), AUTOTUNE)
        ),
    }


def read(dataset):
    def run():
        for _ in dataset:
            pass

    return run


def pillow(content, resize):
    image = Image.open(io.BytesIO(content)).convert("RGB")
    if resize:
        image = image.resize(SIZE[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image, "float32")


def measure(functions, count, repeats):
    """Run all in turn; report medians of wall and processor seconds."""
    seconds = {name: [] for name in functions}
    for number in range(repeats + 1):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            if number:  # the first round warms up
                cpu = time.process_time() - cpu
                seconds[name].append((time.perf_counter() - wall, cpu))
    rows = []
    for name, values in seconds.items():
        wall, cpu = (statistics.median(column) for column in zip(*values, strict=True))
        rows.append(
            {
                "step": name,
                "images_per_second": round(count / wall),
                "images_per_cpu_second": round(count / cpu),
                "cpu_seconds_per_1000": round(1000 * cpu / count, 3),
            }
        )
    return rows


def main(count, repeats, save):
    sources = {
        "JPEG 300": (cut_photographs(count, 300, "jpeg"), 300, False),
        "PNG 300 gray": (
            [Path(path).read_bytes() for path in read_elpv()[0][:count]],
            300,
            True,
        ),
        "PNG 32": (cut_photographs(4 * count, 32, "png"), 32, False),
    }
    rows = []
    for name, (files, side, gray) in sources.items():
        found = measure(steps_of(files, side, gray), len(files), repeats)
        rows += [{"source": name, **row} for row in found]
    print_rows(rows)
    if save:
        write_rows(save, rows, size=SIZE, batch_size=BATCH_SIZE, repeats=repeats)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", default=None)
    arguments = parser.parse_args()
    main(arguments.count, arguments.repeats, arguments.save)
