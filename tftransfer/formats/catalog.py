"""The formats by name, what each needs installed, and checks before the work."""

import importlib.util

from tftransfer.checks import check_choice
from tftransfer.engines.interface import EngineError
from tftransfer.formats.litert_format import write_litert
from tftransfer.formats.onnx_format import write_onnx
from tftransfer.formats.openvino_format import write_openvino

SAVED_MODEL = "tf_saved_model"
WRITERS = {"litert": write_litert, "onnx": write_onnx, "openvino": write_openvino}
FORMATS = tuple(sorted([SAVED_MODEL, *WRITERS]))
QUANTIZATIONS = ("float16", "int8")
# Modules, with those that only int8 needs.
_MODULES = {
    "litert": ("ai_edge_litert",),
    "onnx": ("onnx", "onnxruntime", "tf2onnx"),
    "openvino": ("openvino",),
}
_INT8_MODULES = {"openvino": ("nncf",)}


def check_formats(formats, quantization=None):
    """Return the names of formats, the SavedModel first, after checking them.

    Args:
        formats: List of names out of `FORMATS`, `"tf_saved_model"` among them.
        quantization: `None`, `"float16"` or `"int8"`, of all but the SavedModel.

    Returns:
        Tuple of names.

    Raises:
        TypeError: If `formats` is no list of names.
        ValueError: If a name is unknown, the SavedModel is missing, or there is nothing
            to quantize.
        ImportError: If a package is missing; the message gives the pip line.

    Example:

    >>> check_formats(["tf_saved_model"])
    ('tf_saved_model',)
    """
    if isinstance(formats, str) or not hasattr(formats, "__iter__"):
        raise TypeError(
            f"`formats` must be a list of names out of {list(FORMATS)}. "
            f"Received: formats={formats!r}. Pass for example ['tf_saved_model', "
            "'onnx']."
        )
    formats = tuple(dict.fromkeys(formats))
    for name in formats:
        check_choice("formats", name, FORMATS)
    if SAVED_MODEL not in formats:
        raise ValueError(
            f"`formats` must hold {SAVED_MODEL!r}, the one that takes images of any "
            f"size and names the classes. Received: formats={list(formats)}. Add it."
        )
    others = tuple(name for name in formats if name != SAVED_MODEL)
    if quantization is not None:
        check_choice("quantization", quantization, QUANTIZATIONS)
        if not others:
            raise ValueError(
                "`quantization` must be None for a SavedModel, which stays as trained. "
                f"Received: quantization={quantization!r}, formats={list(formats)}. "
                f"Add one of {sorted(WRITERS)} to the formats."
            )
    for name in others:
        check_installed(name, list_modules(name, quantization))
    return (SAVED_MODEL, *others)


def write_format(name, graph, folder, quantization=None, representative=None):
    """Write a model in one format.

    Args:
        name: One of `WRITERS`.
        graph: A `ServedGraph`.
        folder: Folder that exists and is empty.
        quantization: `None`, `"float16"` or `"int8"`.
        representative: For int8, uint8 images `(n, height, width, channels)` like
            those to come.

    Raises:
        EngineError: If the format cannot hold the graph.
        OSError: If the disk is full.
    """
    try:
        WRITERS[name](graph, folder, quantization, representative)
    except (EngineError, OSError):
        raise
    except Exception as error:  # converters and quantizers raise whatever they meet
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        raise EngineError(reason) from error


def list_modules(name, quantization=None):
    """List the modules that a format needs to be written and proven.

    Example:

    >>> list_modules("openvino", "int8")
    ('openvino', 'nncf')
    """
    more = _INT8_MODULES.get(name, ()) if quantization == "int8" else ()
    return _MODULES.get(name, ()) + more


def check_installed(name, modules):
    """Raise `ImportError` unless modules that a format needs are there.

    Args:
        name: Of the format.
        modules: Names of modules, which are not imported.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        packages = [module.replace("_", "-") for module in missing]
        raise ImportError(
            f"The format {name!r} needs {' and '.join(packages)}. "
            'Install what all formats need: pip install "tftransfer[formats]"'
        )
