"""The words that name a pretrained network on the command line."""

import tftransfer as tft
from tftransfer.cli.datasets import read_image_size

FOR_IMAGES, FOR_TEXTS = "pip:efficientnet_lite0", "text:minilm_l6"


def add_backbone_arguments(parser):
    """Add the backbone to the parser of a command, and return the group "model"."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--backbone",
        metavar="HANDLE",
        help=f"default: {FOR_IMAGES}, with --text-column {FOR_TEXTS}",
    )
    group.add_argument("--weights", default="imagenet", help="imagenet, none or a file")
    return group


def load_backbone(arguments):
    """Load what the arguments name, and write into them what it is by default."""
    if arguments.backbone is None:
        arguments.backbone = FOR_TEXTS if arguments.text_column else FOR_IMAGES
    weights = None if arguments.weights == "none" else arguments.weights
    return tft.load_backbone(
        arguments.backbone, weights=weights, image_size=read_image_size(arguments)
    )
