"""Packages that a SavedModel needs besides TensorFlow, because of its operations."""

import importlib
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

TENSORFLOW_TEXT = "tensorflow_text"
_MODULES = (TENSORFLOW_TEXT,)  # that bring operations of their own


def list_requirements(saved_model):
    """List the Python packages whose operations are in a SavedModel.

    Args:
        saved_model: Folder of the SavedModel.

    Returns:
        List of names to import, empty where TensorFlow alone can serve it.
    """
    file, content = Path(saved_model, "saved_model.pb"), SavedModel()
    if not file.is_file():
        return []  # loading it says so
    content.ParseFromString(file.read_bytes())
    nodes = [node for part in content.meta_graphs for node in _list_nodes(part)]
    foreign = {node.op for node in nodes if not _is_own(node.op)}
    functions = {
        function.signature.name
        for part in content.meta_graphs
        for function in part.graph_def.library.function
    }
    return list(_MODULES) if foreign - functions else []


def import_requirements(modules):
    """Import what an export needs, so that its operations are known.

    Args:
        modules: What `list_requirements` returned.

    Raises:
        ImportError: If a package is missing; the message gives the pip line.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            package = module.replace("_", "-")
            release = ".".join(tf.__version__.split(".")[:2])
            raise ImportError(
                f"This export needs the package {package}, whose operations split its "
                f'texts. Run `pip install "{package}=={release}.*"`: it must be of the '
                "same release as TensorFlow."
            ) from error


def _list_nodes(part):
    nodes = list(part.graph_def.node)
    for function in part.graph_def.library.function:
        nodes += function.node_def
    return nodes


def _is_own(name):
    return hasattr(tf.raw_ops, name) or name.startswith("_")
