import numpy as np
import pytest
from PIL import Image

from tftransfer.export.images import list_files, why_unreadable
from tftransfer.export.inference import ExportedModel
from tftransfer.export.predictions import build_predictions


class Stub(ExportedModel):
    """Answers by the first letter of a file's name, or the length of a text."""

    def __init__(self, kind="images", task="classification", names=("a", "b", "c")):
        metadata = {"input": kind, "task": task, "class_names": list(names)}
        super().__init__(None, metadata)
        self.asked = []
        self.stop_at = None

    def predict(self, rows, *, batch_size=32, on_error="raise"):
        self.asked.append(list(rows))
        if self.stop_at == len(self.asked):
            raise KeyboardInterrupt
        if self.metadata["input"] == "texts":
            numbers, errors = [len(row) for row in rows], {}
        else:
            assert on_error == "keep"
            found = [why_unreadable(file) for file in list_files(rows)]
            errors = {row: reason for row, reason in enumerate(found) if reason}
            numbers = [ord(file.rsplit("/", 1)[-1][0]) for file in rows]
        outputs = np.outer(numbers, np.arange(1, 1 + len(self.labels))) % 7 / 7
        return build_predictions(
            rows, outputs.astype("float32"), self.task, self.labels, errors
        )


@pytest.fixture
def stub():
    return Stub


@pytest.fixture
def photos(tmp_path):
    """Ten images in two folders, and a file that is none."""
    folder = tmp_path / "photos"
    for number in range(10):
        path = folder / f"part{number % 2}" / f"{'abcdefghij'[number]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((4, 4, 3), 20 * number, "uint8")
        Image.fromarray(pixels).save(path)
    (folder / "part1" / "broken.png").write_text("no image")
    (folder / "part1" / "notes.txt").write_text("not asked for")
    return folder
