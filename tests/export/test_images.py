import re

import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export.images import (
    check_images,
    list_files,
    refuse_file,
    why_undecodable,
    why_unreadable,
)
from tftransfer.export.loading import load_exported


@pytest.fixture
def folder(tmp_path, photo):
    for name in ("b.png", "a.jpg"):
        encode = tf.io.encode_png if name.endswith("png") else tf.io.encode_jpeg
        (tmp_path / name).write_bytes(encode(photo(4, 5)).numpy())
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_one_file_several_files_and_a_folder_are_found(folder):
    first, second = str(folder / "a.jpg"), str(folder / "b.png")
    assert list_files(second) == [second]
    assert list_files([folder / "b.png", first]) == [second, first]
    assert list_files(folder) == [first, second]  # by name; notes.txt is no image


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jpg", None, None),
        ("lost.jpg", None, "is not there"),
        ("null\0.jpg", None, "cannot be read (embedded null byte)"),
        ("n" * 300, None, "cannot be read (File name too long)"),
        (".", None, "is a folder"),
        ("c.jpg", b"", "begins with b'', so is no JPEG, PNG, BMP or GIF"),
        ("c.jpg", b"%PDF-1.7", "begins with b'%PDF-1.7', so is no JPEG, PNG, BMP or G"),
    ],
)
def test_files_that_cannot_be_images_are_told(name, content, reason, folder):
    if content is not None:
        (folder / name).write_bytes(content)
    found = why_unreadable(folder / name)
    assert found == reason or found.startswith(reason)


def test_a_refusal_names_the_file_and_the_way_on():
    with pytest.raises(ValueError, match=r"Received: 'a.jpg', which is odd. .* out\.$"):
        refuse_file("a.jpg", "is odd")


@pytest.mark.parametrize("content", [None, b"\xff\xd8 not whole"])
def test_predict_alone_may_go_on_without_a_file(exports, tmp_path, content):
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    exported = load_exported(exports["classes"].path)
    with pytest.raises(
        ValueError, match='or pass on_error="keep" .--on-error keep. to have'
    ):
        exported.predict([str(tmp_path / "a.jpg")])


def test_folder_without_images_is_refused(folder):
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"Received: rows='.*empty', where there is n"):
        list_files(folder / "empty")


def test_bytes_that_are_no_whole_image_are_told(folder):
    whole = (folder / "a.jpg").read_bytes()
    assert why_undecodable(whole, 3) is None
    for broken in (whole[:40], b"\x89PNG\r\n\x1a\n", b"BM" + bytes(60)):
        # TensorFlow's reason without the names of its graph nodes.
        reason = why_undecodable(broken, 3)
        assert re.fullmatch(r"cannot be decoded \([^{}[\]]+\)", reason)


def test_images_of_any_size_and_dtype_become_uint8():
    given = [np.full((2, 3, 3), 7.0), np.full((4, 1, 3), 255, "int64")]
    images = check_images(given, 3)
    assert [image.dtype for image in images] == [np.uint8, np.uint8]
    assert [image.max() for image in images] == [7, 255]


def test_grey_images_may_come_without_channel():
    (image,) = check_images(np.zeros((1, 4, 5), "uint8"), 1)
    assert image.shape == (4, 5, 1)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (0, 5, 3), (1, 4, 5, 3)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="Received: row 1 of shape"):
        check_images([np.zeros((2, 2, 3)), np.zeros(shape)], 3)


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0, np.nan, np.inf])
def test_pixels_that_no_file_holds_are_refused(value):
    with pytest.raises(TypeError, match="Received: row 0 of dtype float64, "):
        check_images(np.full((1, 2, 2, 3), value), 3)


def test_arrays_of_text_are_refused():
    with pytest.raises(TypeError, match="Received: row 0 of dtype <U1. Undo"):
        check_images(np.full((1, 2, 2, 3), "a"), 3)
