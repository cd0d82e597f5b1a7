"""A model card as Markdown, its figures as links."""

import functools

from tftransfer.card.blocks import Code, Figure, Points, Table, Text


def to_markdown(title, summary, sections):
    """Return the card as Markdown text."""
    parts = [f"# {_escape(title)}", _escape(summary)]
    for section in sections:
        parts += [f"## {section.title}", *map(_write, section.blocks)]
    return "\n\n".join(parts) + "\n"


@functools.singledispatch
def _write(block):
    raise TypeError(f"no block of a card. Received: {block!r}.")


@_write.register
def _(block: Text):
    return _escape(block.text)


@_write.register
def _(block: Points):
    return "\n".join(f"- {_escape(point)}" for point in block.points)


@_write.register
def _(block: Table):
    lines = [block.head, ["---"] * len(block.head), *block.rows]
    return "\n".join(
        f"| {' | '.join(_escape(cell).replace('|', chr(92) + '|') for cell in line)} |"
        for line in lines
    )


@_write.register
def _(block: Figure):
    return f"![{_escape(block.caption)}]({block.path.name})"


@_write.register
def _(block: Code):
    return f"```{block.language}\n{block.lines}\n```"


def _escape(text):
    for sign in "\\`*_<[":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
