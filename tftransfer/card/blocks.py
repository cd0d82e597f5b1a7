"""What a model card is made of, before it is written as HTML or Markdown."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclasses.dataclass(frozen=True)
class Points:
    """A list of short texts."""

    points: list


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of cells below a head; cells are str."""

    head: list
    rows: list


@dataclasses.dataclass(frozen=True)
class Figure:
    """An image file and what it shows."""

    path: Path
    caption: str


@dataclasses.dataclass(frozen=True)
class Code:
    """Lines to copy, in a language."""

    language: str
    lines: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: list
