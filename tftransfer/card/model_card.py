"""Write the card of an exported model: one HTML page, and Markdown."""

from pathlib import Path

from tftransfer.card.markdown import to_markdown
from tftransfer.card.page import to_page
from tftransfer.card.reading import read_export
from tftransfer.card.sections import build_sections, summarize
from tftransfer.writing import replace_when_whole

PAGE, MARKDOWN = "card.html", "card.md"


def write_model_card(path, *, title=None):
    """Write what is known of an export for those who are to use it.

    What it is, data and weights with hashes and licenses, figures with intervals, per
    class, confusion, reliability, right and wrong examples with heat maps, training,
    proof of each format, limits. All of it is read from the folder: an export that
    `tftransfer train` wrote holds it, one of `export_model` as much as was put beside
    it (`evaluation.save(folder / "evaluation.json")`, figures under the names that
    `tftransfer train` gives them; `"measured_on"` in the `metadata` of the export says
    which data these were).

    Args:
        path: Folder that `export_model` or `tftransfer train` wrote. Into it go
            `card.html`, one page that asks no network, and `card.md`, which shows the
            figures beside it. Earlier ones are replaced.
        title: Heading; `None` takes the folder's name.

    Returns:
        `pathlib.Path` of the page.

    Raises:
        ValueError: If there is no export, or a file of it cannot be read.

    Example:

    ```python
    tft.write_model_card("saved_models/photos")
    ```

    Reference:
        [Mitchell et al., 2019](https://arxiv.org/abs/1810.03993), model cards.
    """
    export = read_export(path)
    title = title or Path(path).resolve().name
    card = title, summarize(export.about), build_sections(export)
    for name, text in ((MARKDOWN, to_markdown(*card)), (PAGE, to_page(*card))):
        with replace_when_whole(export.folder / name, overwrite=True) as partial:
            partial.write_text(text, encoding="utf-8")
    return export.folder / PAGE
