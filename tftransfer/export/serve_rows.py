"""Run as a script: serve rows from a SavedModel with TensorFlow and nothing else.

Usage: `python serve_rows.py SAVED_MODEL FOLDER [MODULE ...]`. The modules bring
operations that the SavedModel needs. FOLDER holds `calls.json`, a list of
`{"signature", "inputs"}`, and the serialized tensors that its inputs name, each with
its `dtype`; the outputs of call 0 are written to `0.npz`, and so on.
"""

import importlib
import json
import sys
from pathlib import Path

BLOCKED = ("tf_keras", "keras", "tftransfer")


def main(saved_model, folder, *modules):
    """Serve every call listed in `folder` and write the outputs beside it."""
    # TensorFlow Text imports Keras for layers of its own.
    for package in BLOCKED[2:] if modules else BLOCKED:
        # An import of it fails, as on a server that has none.
        sys.modules[package] = None  # type: ignore[assignment]

    import numpy as np
    import tensorflow as tf

    for module in modules:
        importlib.import_module(module)
    signatures = tf.saved_model.load(saved_model).signatures
    calls = json.loads(Path(folder, "calls.json").read_text(encoding="utf-8"))
    for number, call in enumerate(calls):
        inputs = {}
        for name, each in call["inputs"].items():
            stored = tf.io.read_file(str(Path(folder, each["file"])))
            inputs[name] = tf.io.parse_tensor(stored, each["dtype"])
        outputs = signatures[call["signature"]](**inputs)
        arrays = {name: value.numpy() for name, value in outputs.items()}
        if "label" in arrays:
            arrays["label"] = np.array([text.decode() for text in arrays["label"]], "U")
        np.savez(Path(folder, f"{number}.npz"), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
