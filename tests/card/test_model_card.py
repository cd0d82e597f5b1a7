import json
import subprocess
from html import escape

import numpy as np
import pytest
from PIL import Image

import tftransfer as tft
from tftransfer.card.blocks import Code, Figure, Points, Section, Table, Text
from tftransfer.card.markdown import to_markdown
from tftransfer.card.page import to_page
from tftransfer.card.reading import read_export
from tftransfer.card.sections import build_sections, list_limits, summarize

ABOUT = {
    "task": "classification",
    "class_names": ["good", "<bad>"],
    "input": "images",
    "image_size": [32, 24],
    "requires": ["tensorflow-text"],
    "created": "2026-11-22T12:00:00+00:00",
    "tftransfer": "1",
    "keras": "3",
    "tensorflow": "2",
    "weights_sha256": "ab" * 32,
    "parity": {"max_abs_difference": 1.25e-7, "where": "fresh process, CPU"},
    "metadata": {
        "data": "cells/",
        "backbone_license": "Apache-2.0",
        "measured_on": "the test data",
    },
}


@pytest.fixture
def folder(tmp_path):
    """A folder as `tftransfer train` leaves it, its SavedModel empty."""
    path = tmp_path / "cells"
    (path / "1").mkdir(parents=True)
    (path / "1" / "saved_model.pb").touch()
    (path / "metadata.json").write_text(json.dumps(ABOUT))
    labels = np.arange(50) % 2
    probabilities = np.where(np.arange(50) < 40, labels, 1 - labels) * 0.8 + 0.1
    found = tft.evaluate_predictions(
        labels, probabilities, class_names=["good", "<bad>"]
    )
    found.save(path / "evaluation.json")
    (path / "history.json").write_text(json.dumps({"loss": [2.0, 1.0, 0.5]}))
    proof = {"accepted": True, "precision": "float32", "latency": {"p50_ms": 2}}
    parity = {"formats": {"onnx": proof, "litert": {"accepted": False}}}
    (path / "parity.json").write_text(json.dumps(parity))
    for name in ("confusion", "examples", "heat_maps", "history", "reliability"):
        Image.new("RGB", (600, 40), "steelblue").save(path / f"{name}.png")
    return path


def test_the_card_holds_what_lies_in_the_folder(folder):
    page = tft.write_model_card(folder)
    assert page == folder / "card.html"
    html, markdown = page.read_text(), (folder / "card.md").read_text()
    for text in (
        "good, &lt;bad&gt;.",
        "seen at 32 × 24 pixels",
        "TensorFlow, tensorflow-text",
        "ab" * 32,
        "cells/",
        "Apache-2.0",
        "On 50 rows, the test data.",
        "0.8000",  # accuracy
        "0.6696 to 0.8876",  # its Wilson interval
        "3 epochs.",
        "by 1.2e-07 at most",
        "Fewer than 30 rows were measured of: good, &lt;bad&gt;.",
        "off by 10 points in the mean",
        "tftransfer predict cells photo.jpg",
    ):
        assert text in html
        plain = text.replace("&lt;", "\\<").replace("&gt;", ">").replace("_", "\\_")
        if "\n" not in plain and not plain.startswith("tftransfer"):
            assert plain in markdown
    assert html.count("<img ") == 5 == markdown.count("](")
    assert "<bad>" not in html
    assert "http" not in html.replace("http-equiv", "")


def test_what_is_not_there_is_left_out_and_said(folder):
    for file in folder.glob("*.png"):
        file.unlink()
    for name in ("evaluation.json", "history.json", "parity.json"):
        (folder / name).unlink()
    html = tft.write_model_card(folder, title="Cells & more").read_text()
    assert "<h1>Cells &amp; more</h1>" in html
    assert "Nothing here says how good it is" in html
    assert "How good it is" not in html and "<img" not in html


def test_formats_stand_side_by_side(folder):
    (proven,) = [
        section
        for section in build_sections(read_export(folder))
        if section.title == "What was proven"
    ]
    assert proven.blocks[1] == Table(
        ["format", "accepted", "precision"],
        [["onnx", "True", "float32"], ["litert", "False", "–"]],
    )


@pytest.mark.parametrize(
    ("changes", "summary"),
    [
        ({}, "From images to one of 2 classes: good, <bad>."),
        (
            {"task": "multi_label", "input": "texts", "class_names": ["a"]},
            "From texts to any of 1 labels at once: a.",
        ),
        (
            {"task": "regression", "input": "numbers", "class_names": ["width"]},
            "From numbers to 1 value: width.",
        ),
    ],
)
def test_one_sentence_says_what_it_does(changes, summary):
    assert summarize(ABOUT | changes) == summary


def test_limits_follow_the_figures(folder):
    export = read_export(folder)
    few = list_limits(export)
    for row in export.evaluation["per_class"]:
        row["support"] = 30
    export.evaluation["metrics"]["expected_calibration_error"] = 0.05
    limits = list_limits(export)
    assert len(few) - len(limits) == 2
    assert not [limit for limit in limits if "Fewer" in limit or "points" in limit]


def test_a_temperature_is_told_beside_figures_from_before_it(folder):
    export = read_export(folder)
    assert "off by 10 points" in " ".join(list_limits(export))
    export.about["temperature"] = 1.5
    assert "points in the mean" not in " ".join(list_limits(export))  # not known
    figures = {"expected_calibration_error": [0.1, 0.07]}
    export.about["calibration"] = {"figures": figures}
    assert "off by 7 points" in " ".join(list_limits(export))
    about = json.loads((folder / "metadata.json").read_text())
    assert "before its temperature" not in tft.write_model_card(folder).read_text()
    (folder / "metadata.json").write_text(json.dumps(about | {"temperature": 1.5}))
    assert "before its temperature" in tft.write_model_card(folder).read_text()


def test_both_kinds_write_every_block(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (2, 2)).save(path)
    blocks = [
        Text("a*b"),
        Points(["one", "two"]),
        Table(["x", "y"], [["1|2", "3"]]),
        Figure(path, "what"),
        Code("bash", "ls <a>"),
    ]
    markdown = to_markdown("T", "S", [Section("First", blocks)])
    assert markdown.splitlines() == [
        *("# T", "", "S", "", "## First", "", "a\\*b", "", "- one", "- two", ""),
        *("| x | y |", "| --- | --- |", "| 1\\|2 | 3 |", ""),
        *("![what](a.png)", "", "```bash", "ls <a>", "```"),
    ]
    html = to_page("T", "S", [Section("First", blocks)])
    assert "<th>x</th>" in html and "<li>two</li>" in html
    assert "ls &lt;a&gt;" in html and "data:image/png;base64," in html


def test_what_is_no_export_is_refused(tmp_path, folder):
    with pytest.raises(ValueError, match="Received: path='.*'.*Export the model first"):
        tft.write_model_card(tmp_path)
    (folder / "history.json").write_text("{")
    with pytest.raises(ValueError, match="Received: '.*history.json', which is no"):
        tft.write_model_card(folder)
    assert not (folder / "card.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_a_phone_and_a_desk(width, folder, tmp_path):
    import shutil

    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    page = tft.write_model_card(folder)
    probe = tmp_path / "probe.html"
    script = (
        "<script>onload = () => parent.document.title = "
        "document.documentElement.scrollWidth + ' ' + innerWidth</script>"
    )
    text = page.read_text().replace("default-src 'none'", "default-src 'unsafe-inline'")
    text = text.replace("</body>", f"{script}</body>")
    # In a frame: a window of this browser is never narrower than 500 pixels.
    style = f"border:0;width:{width}px;height:800px"
    frame = f'<iframe srcdoc="{escape(text, quote=True)}" style="{style}"></iframe>'
    probe.write_text(f"<title>none</title>{frame}")
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-sync"),
            f"--user-data-dir={tmp_path / 'profile'}",
            *("--window-size=1400,900", "--dump-dom", probe.as_uri()),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    title = done.stdout.split("<title>")[1].split("</title>")[0]
    content, window = map(int, title.split())
    assert content <= window == width
