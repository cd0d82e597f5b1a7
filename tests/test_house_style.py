"""The house rules that a machine can read, checked on every run."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tftransfer"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAY_IMPORT = {  # room -> rooms it may import; anything else is a wrong turn
    "__main__": {"cli"},
    "_version": set(),
    "checks": set(),
    "columns": set(),
    "decoding": set(),
    "writing": set(),
    "resizing": {"checks"},
    "tasks": {"checks"},
    "distribution": set(),
    "freezing": {"checks", "distribution"},
    "heads": {"checks"},
    "rates": {"checks", "freezing"},
    "lora": {"checks", "distribution", "freezing", "writing"},
    "adaptation": {
        "acceleration",
        "alignment",
        "asking",
        "backbones",
        "checks",
        "columns",
        "data",
        "distribution",
        "evaluation",
        "features",
        "freezing",
        "methods",
        "models",
        "pacing",
        "report",
        "tasks",
        "validation",
    },
    "automatic": {
        "backbones",
        "checks",
        "columns",
        "data",
        "ensembles",
        "evaluation",
        "features",
        "models",
        "pacing",
        "ranking",
        "selection",
        "tasks",
        "training",
        "writing",
    },
    "pacing": set(),
    "asking": {"checks", "writing"},
    "methods": {"checks", "weighting"},
    "ranking": {
        "backbones",
        "checks",
        "columns",
        "features",
        "methods",
        "selection",
        "validation",
        "weighting",
        "writing",
    },
    "views": {"checks", "resizing"},
    "ensembles": {"freezing", "resizing", "tasks", "views"},
    "card": {"export", "writing"},
    "cluster": {"checks"},
    "scoring": {
        "checks",
        "cluster",
        "data",
        "decoding",
        "export",
        "store",
        "writing",
    },
    "validation": {
        "checks",
        "distribution",
        "freezing",
        "methods",
        "tasks",
        "weighting",
    },
    "alignment": {"checks", "distribution", "freezing", "regularization"},
    "regularization": {"checks", "freezing"},
    "pruning": {
        "checks",
        "distribution",
        "explanation",
        "freezing",
        "regularization",
    },
    "text": {"checks"},
    "weighting": {"checks"},
    "backbones": {"checks", "columns", "freezing", "resizing", "text"},
    "models": {
        "alignment",
        "backbones",
        "branches",
        "checks",
        "distribution",
        "freezing",
        "heads",
        "lora",
        "rates",
        "regularization",
        "resizing",
        "tasks",
    },
    "data": {"checks", "decoding", "resizing", "tasks"},
    "store": {"checks", "columns", "writing"},
    "engines": {"checks", "store", "writing"},
    "features": {"checks", "cluster", "engines", "freezing", "store"},
    "acceleration": {
        "checks",
        "distribution",
        "engines",
        "features",
        "freezing",
        "store",
    },
    "branches": {"alignment", "checks", "distribution", "freezing"},
    "checkpoints": {
        "_version",
        "checks",
        "distribution",
        "features",
        "freezing",
        "store",
        "writing",
    },
    "training": {
        "acceleration",
        "branches",
        "checkpoints",
        "checks",
        "data",
        "distribution",
        "features",
        "freezing",
        "lora",
        "rates",
        "store",
        "tasks",
        "writing",
    },
    "evaluation": {
        "checks",
        "columns",
        "distribution",
        "engines",
        "features",
        "freezing",
        "tasks",
        "views",
        "writing",
    },
    "calibration": {
        "checks",
        "columns",
        "evaluation",
        "features",
        "freezing",
        "tasks",
        "writing",
    },
    "explanation": {"checks", "freezing", "tasks"},
    "selection": {
        "branches",
        "checks",
        "columns",
        "evaluation",
        "tasks",
        "training",
        "writing",
    },
    "formats": {"checks", "columns", "engines"},
    "export": {
        "_version",
        "calibration",
        "checks",
        "columns",
        "decoding",
        "engines",
        "evaluation",
        "explanation",
        "features",
        "formats",
        "freezing",
        "resizing",
        "tasks",
        "views",
        "writing",
    },
    "report": {"checks", "evaluation", "tasks", "writing"},
    "diagnosis": {
        "checks",
        "data",
        "export",
        "freezing",
        "models",
        "rates",
        "tasks",
    },
    # and the front door, `import tftransfer`
    "cli": {"_version", "checks", "store", "writing"},
}
LONGEST_FILE, LONGEST_BODY, MOST_ARGUMENTS = 300, 40, 12
# `fine_tune` about as many as `fit`, in its place; loaders of images and texts.
MAY_TAKE_MORE = {
    "build_transfer_model": 13,
    "export_model": 15,
    "fine_tune": 20,
    "load_table": 13,
    "load_tfds": 13,
}
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE))
)


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def nodes(path, *kinds):
    return [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, kinds)
    ]


def imported_names(path):
    for node in nodes(path, ast.Import):
        yield from (alias.name for alias in node.names)
    for node in nodes(path, ast.ImportFrom):
        assert node.level == 0, f"{path.name}:{node.lineno}: import by full name"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@each_module
def test_imports_follow_the_map(path):
    room = room_of(path)
    if room == "__init__":
        return  # the front door may name every room
    for name in imported_names(path):
        if name.startswith("tftransfer."):
            target = name.split(".")[1]
            assert target == room or target in MAY_IMPORT[room], name
        if name == "tftransfer":
            assert room == "cli", "only the command line goes through the front door"


@each_module
def test_error_messages_are_whole(path):
    for node in nodes(path, ast.Raise):
        if not isinstance(node.exc, ast.Call):
            continue
        where = f"{path.name}:{node.lineno}"
        assert len(node.exc.args) == 1, f"{where}: pass one message"
        (message,) = node.exc.args
        literals = "".join(
            part.value
            for part in ast.walk(message)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        )
        assert "{" not in literals, f"{where}: placeholder outside an f-string"
        if ast.unparse(node.exc.func) in {"ValueError", "TypeError"}:
            assert "Received: " in literals, f"{where}: say what was received"


@each_module
def test_functions_and_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
    for node in nodes(path, ast.FunctionDef):
        documented = ast.get_docstring(node) is not None
        first = node.body[1] if documented and len(node.body) > 1 else node.body[0]
        lines = node.end_lineno - first.lineno + 1
        where = f"{path.name}:{node.name}"
        assert lines <= LONGEST_BODY, f"{where} has {lines} lines of code"
        arguments = node.args.args + node.args.kwonlyargs
        most = MAY_TAKE_MORE.get(node.name, MOST_ARGUMENTS)
        assert len(arguments) <= most, f"{where} takes too many arguments"


@each_module
def test_no_assert_in_the_package(path):
    assert not nodes(path, ast.Assert), "raise ValueError or TypeError instead"


@each_module
def test_public_names_are_documented(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}:{node.name}"


def test_every_room_is_on_the_map():
    rooms = {room_of(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms <= set(MAY_IMPORT)
