"""What serving adds to a network: signatures of an export against the bare graph.

Run:  python benchmarks/serving_overhead.py --save serving_overhead.json
      ... --batch-size 32 --repeats 15
      ... --smoke          images of 64 x 64, two rounds, seconds
      pip install "tftransfer[demo]"
Data: one batch of solar cells at the network's own size, in memory.
Rivals, in the same process, in turn, on the same pixels:
- bare: the Keras model as a `tf.function` on float pixels, logits out;
- pixels: `serve_images` of the export, uint8 in; probabilities, class and label out;
- files: `serving_default` of the export on the same images as PNG, decoded inside.
`over_bare` is the median over rounds of a round's seconds over those of bare in the
same round, minus 1; `low` and `high` are its quartiles. The bar of the project, for
pixels: 5 %. Decoding is work that somebody has to do, so that of files has no bar.
"""

import argparse
import os
import pathlib
import statistics
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from timing import interleave, print_rows, summarize, write_rows

import tftransfer as tft

BARE, PIXELS, FILES = "bare", "pixels", "files"


def main(options):
    size = (64, 64) if options.smoke else (224, 224)
    repeats = 2 if options.smoke else options.repeats
    train, _ = tft.load_elpv(0, image_size=size, batch_size=options.batch_size)
    images = np.rint(next(iter(train.unshuffled))[0].numpy()).astype("uint8")
    model = tft.build_transfer_model(
        "pip:efficientnet_lite0", num_classes=2, image_size=size, seed=0
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "x")
        tft.export_model(model, path, examples=images[:4], verbose=False)
        served = tf.saved_model.load(str(path / "1")).signatures
        rows = measure(model, served, images, repeats)
    print_rows(rows)
    if options.save:
        write_rows(options.save, rows, options=vars(options))


def measure(model, served, images, repeats):
    """Return a row for each rival."""
    spec = tf.TensorSpec((None, *images.shape[1:]), tf.float32)
    bare = tf.function(lambda x: model(x, training=False), input_signature=[spec])
    pixels, floats = tf.constant(images), tf.constant(images, tf.float32)
    files = tf.stack([tf.io.encode_png(image) for image in images])
    seconds = interleave(
        {
            BARE: lambda: bare(floats).numpy(),
            PIXELS: lambda: served["serve_images"](images=pixels)["logits"].numpy(),
            FILES: lambda: served["serving_default"](image_bytes=files)[
                "logits"
            ].numpy(),
        },
        repeats,
        warm=2,
    )
    rows = []
    for rival, each in seconds.items():
        over = [a / b - 1 for a, b in zip(each, seconds[BARE], strict=True)]
        low, middle, high = statistics.quantiles(over, n=4, method="inclusive")
        row = {"rival": rival, **summarize(each, len(images))}
        rows.append({**row, "over_bare": middle, "low": low, "high": high})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save")
    main(parser.parse_args())
