"""Small image files and a prepared data set for the data tests."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def make_folder(tmp_path):
    """Write `{class: count}` images of one size below a directory, all different."""

    def write(counts, root=tmp_path / "photos", size=(8, 6), suffix=".png"):
        random = np.random.default_rng(0)
        for name, count in counts.items():
            (root / name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                pixels = random.integers(0, 256, (*size, 3), "uint8")
                Image.fromarray(pixels).save(root / name / f"{i:03d}{suffix}")
        return root

    return write
