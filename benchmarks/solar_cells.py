"""What benchmarks on solar cells (ELPV) share: the cells and the network to tune.

A script beside this file writes `from solar_cells import build_model, load_cells`.
"""

import tftransfer as tft

ASIDE = 1 / 6  # of the training cells, for choices
SMOKE_SIZE = (32, 32)
TURNED = ("flip", "flip_vertical", "rotate90")  # a cell has no upper side


def load_cells(seed, options, augment=TURNED):
    """Return training cells, cells set aside, test cells.

    Args:
        seed: Of the split.
        options: With `size`, pixels a side, and `smoke` for made-up images.
        augment: Of the training cells, `None` for none.
    """
    if options.smoke:
        data = tft.load_synthetic(2, num_examples=64, seed=seed)
        return data[0], data[1], data[1]
    return tft.load_elpv(
        seed,
        image_size=(options.size, options.size),
        validation_fraction=ASIDE,
        augment=augment,
    )


def build_model(seed, options):
    """Return EfficientNet-Lite0 with a new head for two classes."""
    weights = {"weights": None} if options.smoke else {}
    size = SMOKE_SIZE if options.smoke else (options.size, options.size)
    return tft.build_transfer_model(
        tft.load_backbone("pip:efficientnet_lite0", image_size=size, **weights),
        num_classes=2,
        seed=seed,
    )
