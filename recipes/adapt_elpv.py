"""Solar cells of one wafer type to the other (ELPV), without labels and with twenty.

Run:     python recipes/adapt_elpv.py      pip install "tftransfer[demo]"
         ... --time-budget 900             seconds a direction, to train networks too
Try it:  python recipes/adapt_elpv.py --smoke      made-up images, no weights
Result:  accuracy on the target's cells, seed 0 (minutes beside other work):
                         source only   without labels   with 20 labels   minutes
         mono to poly          29.2 %           75.0 %           75.0 %         3
         poly to mono          42.3 %           78.9 %           78.9 %         1
         (to call every cell functional: poly 70.8 %, mono 65.6 %);
         2 cores of AMD EPYC, TensorFlow 2.21.0, Keras 3.15.1, 2026-11-22
Writes:  saved_models/adapt_elpv/: for each direction to_label.csv, a page to fill it
         in, and the exported model

Monocrystalline cells are even, polycrystalline ones full of grains: a model of the one
calls the other defective too often, or too seldom. Whether adapting helps is decided
without a label of the target. Then twenty of its cells are asked for. Here the answers
are SIMULATED: they are looked up in the data. A user fills in the page.

Images: Buerhop-Lutz et al., CC BY-NC-SA 4.0 (tft.ELPV_LICENSE).
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np

import tftransfer as tft

BACKBONE, IMAGE_SIZE = "pip:efficientnet_lite0", (224, 224)
NUM_ASKED = 20


def main(smoke=False, seed=0, time_budget=None, output="saved_models/adapt_elpv"):
    keras.utils.set_random_seed(seed)
    weights = {"weights": None} if smoke else {}
    size = (32, 32) if smoke else IMAGE_SIZE
    backbone = tft.load_backbone(BACKBONE, image_size=size, **weights)
    results = {}
    for source, target in (("mono", "poly"), ("poly", "mono")):
        labeled, _ = load(smoke, source, seed)
        others, test = load(smoke, target, seed + 1 if smoke else seed)
        folder = Path(output) / f"{source}_to_{target}"
        print(f"\n{source} -> {target}")
        found = adapt(backbone, labeled, others, test, seed, time_budget, folder)
        for row, value in found.items():
            results[f"{source} to {target}, {row}"] = value
    return results


def load(smoke, wafer, seed):
    if smoke:
        return tft.load_synthetic(2, num_examples=64, seed=seed)
    return tft.load_elpv(seed, wafer=wafer, image_size=IMAGE_SIZE)


def adapt(backbone, source, target, test, seed, time_budget, folder):
    started = time.perf_counter()

    # 1. Without labels. Those that come with the target are dropped at the door.
    found = tft.adapt_domain(
        backbone, source, target, time_budget=time_budget, seed=seed, verbose=0
    )
    print(found)
    minutes = (time.perf_counter() - started) / 60

    # 2. With twenty labels. SIMULATED: a user looks at the page and fills it in.
    folder.mkdir(parents=True, exist_ok=True)
    question = found.ask(NUM_ASKED, folder / "to_label.csv", seed=seed, overwrite=True)
    truth = np.concatenate([labels for _, labels in target.unshuffled])
    decided = found.decide({int(row): int(truth[row]) for row in question.rows})
    print(f"\nwith {len(question.rows)} labels (simulated): {decided.verdict}")
    print("; ".join(decided.reasons))

    names = ["functional", "defective"]
    tft.export_model(decided.model, folder / "model", class_names=names, overwrite=True)

    # 3. FINAL EVALUATION: target labels, read for this table alone.
    before, after = found.evaluate(target), decided.evaluate(target)
    print(f"\n{before}")
    return {
        "control": percent(before["control"]),
        "estimated for it": percent(found.estimated_accuracy["control"].value),
        f"without labels ({found.verdict})": percent(before["chosen"]),
        f"with {NUM_ASKED} labels ({decided.choice})": percent(after[decided.choice]),
        "with them, on further cells": percent(
            tft.evaluate(decided.model, test).metrics["accuracy"]
        ),
        "minutes without labels": round(minutes, 1),
    }


def percent(share):
    return round(100 * share, 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-budget", type=float)
    parser.add_argument("--output", default="saved_models/adapt_elpv")
    for row, value in main(**vars(parser.parse_args())).items():
        print(f"{value:6.2f}  {row}")
