"""Transfer learning for Keras: adapt a pretrained network to your data and serve it.

Names are loaded when they are first used, so that `import tftransfer` takes
milliseconds and pulls in neither TensorFlow nor Keras.
"""

import importlib

from tftransfer._version import __version__

_HOMES = {  # public name -> module that defines it
    "Alignment": "tftransfer.alignment.layer",
    "AlignedModel": "tftransfer.models",
    "Backbone": "tftransfer.backbones.catalog",
    "CORAL": "tftransfer.alignment.coral",
    "MMD": "tftransfer.alignment.mmd",
    "build_resizing": "tftransfer.resizing",
    "build_transfer_model": "tftransfer.models",
    "coral_loss": "tftransfer.alignment.coral",
    "decode_image": "tftransfer.decoding",
    "load_backbone": "tftransfer.backbones.catalog",
    "load_model": "tftransfer.models",
    "mmd_loss": "tftransfer.alignment.mmd",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'tftransfer' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
