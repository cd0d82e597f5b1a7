import hashlib

import keras
import numpy as np
import pytest

from tftransfer.export.about import check_files, hash_files, hash_weights


def build(value):
    start = keras.initializers.Constant(value)
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, kernel_initializer=start)]
    )


def test_weights_have_one_hash_whatever_they_are_called():
    expected = hashlib.sha256()
    for values in (np.full((2, 1), 0.5, "float32"), np.zeros(1, "float32")):
        expected.update(f'["float32", [{", ".join(map(str, values.shape))}]]'.encode())
        expected.update(values.tobytes())
    assert hash_weights(build(0.5)) == hash_weights(build(0.5)) == expected.hexdigest()


@pytest.mark.parametrize("value", [0.25, np.nextafter(np.float32(0.5), 1)])
def test_any_other_weight_has_another_hash(value):
    assert hash_weights(build(value)) != hash_weights(build(0.5))


def test_files_are_hashed_under_their_relative_names(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "b").write_bytes(b"x")
    (tmp_path / "a").write_bytes(b"")
    assert hash_files(tmp_path) == {
        "1/b": hashlib.sha256(b"x").hexdigest(),
        "a": hashlib.sha256(b"").hexdigest(),
    }


@pytest.mark.parametrize("change", ["damaged", "missing", "added"])
def test_files_that_are_not_those_exported_are_refused(tmp_path, change):
    for folder in ("1", "onnx"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_bytes(b"x")
    files = hash_files(tmp_path)
    check_files("path", tmp_path, "1", files)
    if change == "missing":
        (tmp_path / "1" / "a").unlink()
    else:
        (tmp_path / "1" / {"damaged": "a", "added": "b"}[change]).write_bytes(b"y")
    with pytest.raises(ValueError, match="Received: path='path', where '1/[ab]' is"):
        check_files("path", tmp_path, "1", files)
    check_files("path", tmp_path, "onnx", files)
