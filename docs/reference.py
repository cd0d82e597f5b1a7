"""Hooks of the site: a reference page for each room, from the docstrings."""

import re

import griffe
from mkdocs.structure.files import File

import tftransfer

_EXAMPLE = re.compile(r"(?:\A|\n)(>>> .*?)(?=\n\n(?!>>>)|\Z)", re.DOTALL)


class FencedExamples(griffe.Extension):
    """Puts examples between fences, which Markdown would take for quotations."""

    def on_object(self, *, obj, **_):
        """Change the docstring of one object."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = _EXAMPLE.sub(r"\n```pycon\n\1\n```", text)


def on_config(config):
    """Add the reference to the navigation."""
    pages = [{room: f"reference/{room}.md"} for room in _rooms()]
    config.nav.append({"Reference": pages})
    return config


def on_files(files, config):
    """Add a page for each room, made of directives that read its docstrings."""
    for room, names in _rooms().items():
        lines = [f"# {room}\n"]
        for name, home in names:
            lines.append(f"::: tftransfer.{home}.{name}\n")
        content = "\n".join(lines)
        files.append(File.generated(config, f"reference/{room}.md", content=content))
    return files


def _rooms():
    """Return a dict from room to the public names in it, with their modules."""
    rooms: dict = {}
    for name, home in sorted(
        tftransfer._HOMES.items(), key=lambda pair: pair[0].lower()
    ):
        rooms.setdefault(home.split(".")[0], []).append((name, home))
    return dict(sorted(rooms.items()))
