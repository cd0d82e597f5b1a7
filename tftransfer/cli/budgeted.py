"""`tftransfer train --time-budget`: what to transfer, and how deep, is found out."""

import tftransfer as tft
from tftransfer.cli.datasets import read_image_size

_DECIDED = (  # what the search decides, with what argparse puts in by itself
    ("strategy", None),
    ("frozen_epochs", None),
    ("trainable_depth", None),
    ("head_rate", None),
    ("learning_rate", None),
    ("epochs", 0),
    ("head", "linear"),
    ("dropout", 0.0),
    ("weights", "imagenet"),
)
_SIZE = 224  # pixels, where no backbone tells


def check_budgeted(arguments):
    """Raise `ValueError` where something is given that the search decides."""
    given = [name for name, usual in _DECIDED if getattr(arguments, name) != usual]
    found = ["--" + name.replace("_", "-") for name in given]
    if arguments.task == "multi_label":
        found.append("--task multi_label")
    if found:
        flags = ", ".join(found)
        raise ValueError(
            "`--time-budget` must come without what it finds out itself, and not for "
            f"several labels. Received: --time-budget and {flags}. Leave one out."
        )


def choose_image_size(arguments, handles=None):
    """Return the largest size that a network takes; each resizes to its own.

    Args:
        arguments: Parsed arguments, with `image_size` and `text_column`.
        handles: List of str, or `None` for all whose weights are here.
    """
    asked = read_image_size(arguments)
    if asked is not None or arguments.text_column:
        return asked
    known = tft.list_backbones(local_only=handles is None)
    sizes = [
        max(info.image_size)
        for info in known
        if info.image_size and (handles is None or info.handle in handles)
    ]
    return (max(sizes, default=_SIZE),) * 2


def train_in_time(arguments, train, augment):
    """Search on the training part alone; what is held out takes no part.

    Args:
        arguments: Parsed arguments.
        train: Dataset, not augmented.
        augment: Tuple of names.

    Returns:
        `AutoTransfer`.
    """
    handle = arguments.backbone
    found = tft.auto_transfer(
        train,
        arguments.time_budget,
        backbones="available" if handle is None else [handle],
        task=arguments.task or "classification",
        augment=augment,
        seed=arguments.seed,
    )
    print(f"\n{found}")
    return found
