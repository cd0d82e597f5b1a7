"""The page is used as a person would, in a headless Chromium driven over a pipe."""

import base64
import csv
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tftransfer.asking.labeling_page import write_labeling_files
from tftransfer.asking.labels_file import read_labels

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
# Chromium reads commands from file 3 and answers on file 4.
START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
    *("--no-first-run", "--disable-extensions", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--force-color-profile=srgb"),
]
KEYS = {
    **{"ArrowLeft": 37, "ArrowRight": 39, "Backspace": 8, "Delete": 46, "Enter": 13},
    **{"Escape": 27, "Tab": 9, "/": 191},
}


class Browser:
    """One page of one Chromium.

    Attributes:
        requests: Addresses asked for, but for those inside the page.
        errors: What scripts threw, and what the policy of a page forbade.
    """

    def __init__(self, folder):
        self.folder, self.requests, self.errors = folder, [], []
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (commands, answers)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, *map(str, high), CHROMIUM, *FLAGS]
            + [f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=high,
            stderr=subprocess.DEVNULL,
        )
        for fd in (commands, answers, *high):
            os.close(fd)
        self._number, self._buffer, self._session = 0, b"", None
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(each for each in targets if each["type"] == "page")
        attached = self.send(
            "Target.attachToTarget", targetId=page["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session and not method.startswith("Browser."):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _receive(self):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], 60)
            assert ready, "Chromium does not answer"
            piece = os.read(self._read, 1 << 16)
            assert piece, "Chromium ended"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        params = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            address = params["request"]["url"]
            if not address.startswith(("data:", "blob:", "file:")):
                self.requests.append(address)
        if event["method"] == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"])
        if event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])

    def evaluate(self, expression):
        answer = self.send(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_until(self, expression):
        end = time.monotonic() + 30
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never became true: {expression}"
            time.sleep(0.02)

    def open(self, path, width=1200, height=800, dark=False, forget=True):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send(
            "Emulation.setEmulatedMedia",
            features=[scheme, {"name": "hover", "value": "hover"}],
        )
        self.resize(width, height)
        for _ in range(2 if forget else 1):  # what an earlier test kept is of no use
            self.send("Page.navigate", url=path.as_uri())
            self.wait_until(
                "document.readyState === 'complete' && "
                f"location.href === {path.as_uri()!r} && !window.left"
            )
            if forget:
                self.evaluate("localStorage.clear(); window.left = true; 0")
                forget = False
        self.evaluate("window.left = undefined; 0")
        self.wait_until("[...document.images].every((image) => image.complete)")

    def resize(self, width, height):
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def press(self, *keys, modifiers=0):
        for key in keys:
            code = KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            told = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            text = {} if modifiers or not text else {"text": text}
            self.send("Input.dispatchKeyEvent", type="keyDown", **told, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", **told)

    def click(self, selector):
        x, y = self.evaluate(
            f"(() => {{const b = document.querySelector({selector!r})"
            ".getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                **{"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1},
            )

    def text(self, selector):
        return self.evaluate(f"document.querySelector({selector!r}).innerText")

    def download(self, selector, name):
        folder = self.folder / "downloads"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.send(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder)
        )
        self.click(selector)
        end = time.monotonic() + 30
        while not (folder / name).exists():
            assert time.monotonic() < end, "nothing was downloaded"
            time.sleep(0.02)
        return folder / name

    def screenshot(self, path):
        picture = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(picture))

    def close(self):
        try:
            self.send("Browser.close")
        finally:
            os.close(self._write)
            os.close(self._read)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("needs a browser: install chromium")
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


CLASSES = ["cat", "dog", "<b>bird</b>, or not"]
NASTY = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>"
IMAGE = np.arange(48, dtype="uint8").reshape(4, 4, 3)
ROWS = [12, 3, 40, 7]


def write(
    folder, previews=("one", NASTY, "three", "four"), classes=CLASSES, **settings
):
    rows = ROWS[: len(previews)]
    return write_labeling_files(folder, rows, classes, list(previews), **settings)


def labels_in(browser):
    return browser.evaluate("labels")


def test_keys_label_move_clear_and_take_back(browser, tmp_path):
    _, page = write(tmp_path)
    browser.open(page)
    assert browser.text("#place") == "1 of 4" and browser.text("#content") == "one"
    browser.press("2")
    assert browser.text("#place") == "2 of 4" and browser.text("#count").startswith(
        "1 "
    )
    browser.press("ArrowRight", "1", "ArrowLeft", "ArrowLeft")
    assert labels_in(browser) == ["dog", "", "cat", ""]
    assert browser.text("#place") == "2 of 4"
    browser.press("3")  # and on to the next row without a label
    assert browser.text("#place") == "4 of 4"
    browser.press("Backspace")
    assert labels_in(browser) == ["dog", "", "cat", ""]
    browser.press("z", modifiers=2)
    assert labels_in(browser) == ["dog", "", "", ""]
    browser.press("ArrowLeft", "ArrowLeft", "Delete")
    assert labels_in(browser) == ["", "", "", ""]
    browser.press("9", "x", "ArrowLeft", "1", modifiers=2)
    assert labels_in(browser) == ["", "", "", ""]  # no class has these keys
    assert not browser.errors


def test_the_downloaded_csv_is_what_was_chosen(browser, tmp_path):
    table, page = write(
        tmp_path, control=["cat"] * 4, candidate=["dog", CLASSES[2], "dog", "dog"]
    )
    browser.open(page)
    browser.press("2", "3")
    browser.click("#classes button:nth-child(1)")
    file = browser.download("#download", "to_label.csv")
    assert read_labels(file, CLASSES, rows=ROWS) == {
        12: "dog",
        3: CLASSES[2],
        40: "cat",
    }
    # But for the labels it is the file that was written.
    empty = [line[:1] + line[2:] for line in read_table(table)]
    assert empty == [line[:1] + line[2:] for line in read_table(file)]
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")


def read_table(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_files_and_the_download_are_called_as_wanted(browser, tmp_path):
    table, page = write(tmp_path, name="second")
    assert (table.name, page.name) == ("second.csv", "second.html")
    browser.open(page)
    browser.press("1")
    file = browser.download("#download", "second.csv")
    assert read_labels(file, CLASSES) == {12: "cat"}
    assert browser.text("#status") == "second.csv is downloaded."


def test_labels_outlive_the_page_and_belong_to_its_rows(browser, tmp_path):
    _, page = write(tmp_path / "a")
    browser.open(page)
    browser.press("1", "2")
    browser.open(page, forget=False)
    assert labels_in(browser) == ["cat", "dog", "", ""]
    assert browser.text("#place") == "3 of 4"
    _, other = write(tmp_path / "b", data_key="other data")
    browser.open(other, forget=False)
    assert labels_in(browser) == [""] * 4


def test_text_from_data_stays_text_and_nothing_is_fetched(browser, tmp_path):
    _, page = write(tmp_path, title="{{data}} " + NASTY)
    browser.requests.clear()
    browser.open(page)
    browser.press("ArrowRight")
    assert browser.text("#content") == NASTY
    assert browser.text("h1") == "{{data}} " + NASTY
    assert browser.text("#classes button:nth-child(3) span") == CLASSES[2]
    assert browser.evaluate("window.bad") is None
    assert browser.evaluate("document.querySelectorAll('#content *').length") == 1
    assert browser.requests == [] and browser.errors == []
    # Were there a script in spite of all this, the page forbids it, and any network.
    browser.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        "document.body.append(s); 0"
    )
    blocked = "fetch('https://example.org').then(() => 'open', () => 'blocked')"
    assert browser.evaluate(blocked) == "blocked"
    assert browser.evaluate("window.bad") is None
    browser.errors.clear()


def test_images_and_features_are_shown(browser, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    features = {"size": np.float32(1.5), "name": "x", "count": 3}
    _, page = write(
        tmp_path, [IMAGE, tmp_path / "a.png", features, np.arange(70.0)], ["a", "b"]
    )
    browser.open(page)
    draw = (
        "(() => {const i = document.querySelector('#content img'); const c = "
        "document.createElement('canvas'); c.width = c.height = 4; const g = "
        "c.getContext('2d'); g.drawImage(i, 0, 0); "
        "return [...g.getImageData(0, 0, 4, 4).data]})()"
    )
    for _ in range(2):
        browser.wait_until("document.querySelector('#content img').complete")
        pixels = np.array(browser.evaluate(draw)).reshape(4, 4, 4)
        np.testing.assert_array_equal(pixels[..., :3], IMAGE)
        assert browser.evaluate("document.querySelector('#content img').alt")
        browser.press("ArrowRight")
    assert browser.text("#content").split() == [
        "size",
        "1.5",
        "name",
        "x",
        "count",
        "3",
    ]
    browser.press("ArrowRight")
    assert "and 10 more" in browser.text("#content")


def test_many_classes_have_letters_and_a_search(browser, tmp_path):
    names = [f"kind {number}" for number in range(50)] + ["Zebra"]
    _, page = write(tmp_path, classes=names)
    browser.open(page)
    browser.press("a", "z")
    assert labels_in(browser)[:2] == ["kind 9", "kind 34"]
    browser.press("/", *"ZEB")
    assert browser.text("#found") == "1 class. Enter takes “Zebra”."
    browser.press("Enter")
    assert labels_in(browser)[2] == "Zebra"
    browser.press("/", *"none of them", "Enter")
    assert labels_in(browser)[3] == ""  # and digits typed there choose nothing
    assert browser.text("#found") == "No such class."
    browser.press("Escape", "1")
    assert labels_in(browser)[3] == "kind 0"
    assert browser.evaluate("!document.getElementById('all').hidden")


def test_classes_named_by_digits_have_these_as_keys(browser, tmp_path):
    _, page = write(tmp_path, classes=list(range(10)))
    browser.open(page)
    browser.press("0", "7")
    assert labels_in(browser)[:2] == ["0", "7"]


@pytest.mark.parametrize("dark", [False, True])
def test_everything_has_a_name_and_contrast_and_can_be_reached(browser, tmp_path, dark):
    _, page = write(tmp_path, classes=[f"kind {number}" for number in range(12)])
    browser.open(page, dark=dark)
    browser.press("1")
    nameless = (
        "[...document.querySelectorAll('button, input')].filter((b) => !(b.innerText "
        "|| b.getAttribute('aria-label') || b.labels?.length)).length"
    )
    assert browser.evaluate(nameless) == 0
    assert browser.evaluate(CONTRAST) == []
    seen = set()
    for _ in range(12):
        browser.press("Tab")
        seen.add(browser.evaluate("document.activeElement.id"))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert browser.evaluate(outline) == "solid"
    assert {"download", "search", "forth"} <= seen
    assert browser.evaluate("document.querySelector('#status').textContent")


# Texts of less than 4.5 : 1 against what is behind them, by WCAG 2.2.
CONTRAST = """(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) =>
    v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((s, v, k) => s + v * [.2126, .7152, .0722][k], 0);
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() &&
    !e.closest(':disabled, .unseen, script, style') && e.tagName !== 'PROGRESS' &&
    [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
    .map((e) => {
      const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
      return [e.textContent, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)];
    }).filter(([, ratio]) => ratio < 4.5);
})()"""


@pytest.mark.parametrize("width", [320, 390, 900, 1600])
def test_nothing_is_wider_than_the_window(browser, tmp_path, width):
    root, wide = "document.documentElement", np.zeros((40, 500, 3), "uint8")
    long = "a" * 300
    _, page = write(tmp_path, [wide, long, {long: long}, "x"], ["b" * 80, "dog"])
    browser.open(page, width=width, height=700)
    for _ in range(3):
        assert browser.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0
        browser.press("ArrowRight")


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    table, page = write(tmp_path / "new")
    before = page.read_bytes(), table.read_bytes()
    with pytest.raises(ValueError, match="Received: path=.*which exists"):
        write(tmp_path / "new")
    assert (page.read_bytes(), table.read_bytes()) == before
    write(tmp_path / "new", overwrite=True, title="Another")
    assert page.read_bytes() != before[0]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "to_label.csv",
        "to_label.html",
    ]


def test_what_models_say_is_in_the_table_and_not_on_the_page_to_see(browser, tmp_path):
    _, page = write(tmp_path, control=["model says so"] * 4)
    browser.open(page)
    assert "model says so" not in browser.text("body")
    assert "script-src 'sha256-" in page.read_text(encoding="utf-8")


REFUSED = {
    "no rows": (([], ["a"], []), "Received: rows=\\[\\]"),
    "a row twice": (([1, 1], ["a"], ["x", "y"]), "Received: rows=\\[1, 1\\]"),
    "part of a row": (([0.5], ["a"], ["x"]), "Received: rows=\\[0.5\\]"),
    "no classes": (([1], [], ["x"]), "Received: classes=\\[\\]"),
    "a class twice": (([1], ["a", "a "], ["x"]), "Received: classes="),
    "a preview missing": (([1, 2], ["a"], ["x"]), "Received: 1 previews, 2 rows"),
    "no image": (([1], ["a"], [Path("no_such_file")]), "which is none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_asked_is_refused(tmp_path, name):
    arguments, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        write_labeling_files(tmp_path / "new", *arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "preview", [IMAGE.astype("float32"), np.zeros((4, 4, 7), "uint8"), None, object()]
)
def test_previews_that_cannot_be_shown_are_refused(tmp_path, preview):
    with pytest.raises(TypeError, match="Received: previews with .* for row 1"):
        write_labeling_files(tmp_path, [1], ["a"], [preview])


def test_labels_of_the_models_must_fit_the_rows(tmp_path):
    with pytest.raises(ValueError, match="Received: control with 1 classes, 4 rows"):
        write(tmp_path, control=["cat"])
