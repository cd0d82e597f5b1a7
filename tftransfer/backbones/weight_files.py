"""Weights from a local file, with an error that names file and network."""

import os

_SUFFIXES = (".weights.h5", ".h5", ".keras")


def check_weights(weights):
    """Raise unless `weights` is `"imagenet"`, `None` or an existing weights file.

    Raises:
        ValueError: If it is a string or path but no such file.
        TypeError: If it is neither a string, a path nor `None`.
    """
    if weights is None:
        return
    if not isinstance(weights, (str, os.PathLike)):
        raise TypeError(
            '`weights` must be "imagenet", None or the path of a file. Received: '
            f"weights={weights!r} of type {type(weights).__name__}. Save arrays with "
            "model.save_weights and pass that file."
        )
    path = os.fspath(weights)
    if path == "imagenet":
        return
    if not path.endswith(_SUFFIXES) or not os.path.isfile(path):
        raise ValueError(
            '`weights` must be "imagenet", None or an existing file ending in one of '
            f"{list(_SUFFIXES)}. Received: weights={path!r}. Check the path."
        )


def load_weights_file(model, path, network):
    """Load a weights file into a built model.

    Args:
        model: Built `keras.Model`.
        path: `.weights.h5`, `.h5` or `.keras` file.
        network: How the network is built, for the message.

    Raises:
        ValueError: If the file is damaged or holds the weights of another network.
    """
    try:
        model.load_weights(path)
    except Exception as error:
        raise ValueError(
            f"`weights` must hold the weights of {network}. Received: "
            f"weights={os.fspath(path)!r}, which does not fit: "
            f"{' '.join(str(error).split())[:300]}. Take a file saved from that "
            "network; if this should be one, it is damaged: delete it and fetch it "
            "again."
        ) from error
