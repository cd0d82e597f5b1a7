import io
import warnings

import numpy as np
import pytest
from PIL import Image

from tftransfer.data.files import common_shape, find_readable, read_image, split_off
from tftransfer.data.pipelines import Preparation

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), "uint8")


def encoded(suffix):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, {"jpg": "jpeg"}.get(suffix, suffix))
    return buffer.getvalue()


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in files], list(files)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_pixels_are_those_that_pillow_reads(tmp_path, suffix):
    (path,), _ = write(tmp_path, {f"a.{suffix}": encoded(suffix)})
    np.testing.assert_array_equal(read_image(path), np.asarray(Image.open(path)))


def test_gray_files_have_three_equal_channels(tmp_path):
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "gray.png")
    image = read_image(str(tmp_path / "gray.png")).numpy()
    np.testing.assert_array_equal(image, np.repeat(PIXELS[..., :1], 3, axis=2))


def test_whole_files_are_found_readable_with_their_sizes(tmp_path):
    files = {f"a.{suffix}": encoded(suffix) for suffix in ("png", "jpg", "bmp", "gif")}
    paths, names = write(tmp_path, files)
    readable, sizes, hashes = find_readable(paths, names, on_corrupt="error")
    assert readable.tolist() == [0, 1, 2, 3]
    assert len(set(hashes.tolist())) == 4 and 0 not in hashes
    assert sizes.tolist() == [[40, 30]] * 4


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
def test_a_truncated_file_is_named_although_its_header_is_good(tmp_path, suffix):
    whole = encoded(suffix)
    files = {"good.png": encoded("png"), f"cut.{suffix}": whole[: len(whole) // 2]}
    paths, names = write(tmp_path, files)
    with pytest.raises(ValueError, match=rf"Received: 1 file\(s\).*cut.{suffix} \("):
        find_readable(paths, names, on_corrupt="error")


def test_what_is_no_image_is_skipped_by_choice_in_one_warning(tmp_path):
    files = {"notes.txt": b"hello", "good.png": encoded("png"), "empty.jpg": b""}
    paths, names = write(tmp_path, files)
    with pytest.warns(UserWarning) as caught:
        readable, _, hashes = find_readable(paths, names, on_corrupt="skip")
    assert readable.tolist() == [1] and len(caught) == 1
    assert (hashes != 0).tolist() == [False, True, False]
    assert "Skipped 2 file(s)" in str(caught[0].message)
    assert "notes.txt" in str(caught[0].message)
    assert "empty.jpg" in str(caught[0].message)


def test_long_lists_are_cut(tmp_path):
    paths, names = write(tmp_path, {f"{i:02d}.png": b"x" for i in range(15)})
    with pytest.raises(
        ValueError, match=r"Received: 15 file\(s\).*09.png.*; \.\.\.\."
    ) as e:
        find_readable(paths, names, on_corrupt="error")
    assert "10.png" not in str(e.value)


def test_common_shape_is_told_only_where_there_is_one():
    same, mixed = np.array([[4, 6], [4, 6]]), np.array([[4, 6], [6, 4]])
    assert common_shape(same, ["a", "b"], Preparation()) == (4, 6, 3)
    assert common_shape(mixed, ["a", "b"], Preparation(image_size=4)) is None
    with pytest.raises(
        ValueError, match=r"Received: image_size=None .*a \(4, 6\) and b"
    ):
        common_shape(mixed, ["a", "b"], Preparation())


@pytest.mark.parametrize(
    ("fraction", "sizes"), [(0, (10, 0)), (1, (0, 10)), (0.2, (8, 2))]
)
def test_fractions_of_nothing_and_all_may_be_set_aside(fraction, sizes):
    with warnings.catch_warnings():
        kept, aside = split_off([0, 1] * 5, fraction, 0)
    assert (len(kept), len(aside)) == sizes
