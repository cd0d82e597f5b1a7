"""A model card as one HTML page that asks no network."""

import base64
import functools
import html
from importlib import resources

from tftransfer.card.blocks import Code, Figure, Points, Table, Text

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="summary">{summary}</p>
{sections}
</main>
</body>
</html>
"""


def to_page(title, summary, sections):
    """Return the card as HTML text, figures inside."""
    style = resources.files("tftransfer.card").joinpath("card.css")
    written = [
        f"<section>\n<h2>{html.escape(section.title)}</h2>\n"
        + "\n".join(map(_write, section.blocks))
        + "\n</section>"
        for section in sections
    ]
    return _PAGE.format(
        title=html.escape(title),
        summary=html.escape(summary),
        style=style.read_text(encoding="utf-8"),
        sections="\n".join(written),
    )


@functools.singledispatch
def _write(block):
    raise TypeError(f"no block of a card. Received: {block!r}.")


@_write.register
def _(block: Text):
    return f"<p>{html.escape(block.text)}</p>"


@_write.register
def _(block: Points):
    points = "".join(f"<li>{html.escape(point)}</li>\n" for point in block.points)
    return f"<ul>\n{points}</ul>"


@_write.register
def _(block: Table):
    head = ""
    if any(block.head):
        head = f"<thead>{_row(block.head, 'th')}</thead>\n"
    rows = "\n".join(_row(row, "td") for row in block.rows)
    return f'<div class="wide"><table>\n{head}<tbody>\n{rows}\n</tbody>\n</table></div>'


def _row(cells, tag):
    return "<tr>" + "".join(f"<{tag}>{html.escape(x)}</{tag}>" for x in cells) + "</tr>"


@_write.register
def _(block: Figure):
    content = base64.b64encode(block.path.read_bytes()).decode()
    caption = html.escape(block.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{content}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


@_write.register
def _(block: Code):
    return f"<pre><code>{html.escape(block.lines)}</code></pre>"
