import hashlib

import ml_dtypes
import numpy as np
import pytest

from tftransfer.store.shards import to_rows, write_rows


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "uint8", "int64", "float16", "float32", "float64", "complex64"],
)
def test_a_file_is_what_numpy_would_save(tmp_path, rng, dtype):
    rows = (100 * rng.random((5, 2, 3))).astype(dtype)
    noted = write_rows(tmp_path / "a.npy", [rows[:2], rows[2:]])
    np.save(tmp_path / "b.npy", rows)
    content = (tmp_path / "a.npy").read_bytes()
    assert content == (tmp_path / "b.npy").read_bytes()
    assert noted == {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "dtype": rows.dtype.str,
    }


def test_byte_strings_of_several_widths_go_into_one_file(tmp_path):
    batches = [np.array([b"a", b"bc"]), np.array([b"defg"])]
    assert [to_rows("text", batch)[1] for batch in batches] == ["S", "S"]
    noted = write_rows(tmp_path / "a.npy", batches)
    assert noted["dtype"] == "|S4"
    assert np.load(tmp_path / "a.npy").tolist() == [b"a", b"bc", b"defg"]


def test_rows_are_a_copy_in_native_order():
    value = np.arange(6, dtype=">i4").reshape(2, 3)[:, ::2]
    rows, dtype = to_rows("a", value)
    assert dtype == "<i4" and rows.flags.c_contiguous
    assert rows.tolist() == [[0, 2], [3, 5]]
    own = np.zeros(2)
    assert not np.shares_memory(to_rows("a", own)[0], own)


def test_bfloat16_is_stored_as_its_two_bytes():
    rows, dtype = to_rows("a", np.array([1.0, -2.5], ml_dtypes.bfloat16))
    # 1.0 in float32 is 0x3f800000, -2.5 is 0xc0200000
    assert dtype == "bfloat16" and rows.tolist() == [0x3F80, 0xC020]


@pytest.mark.parametrize(
    "value",
    [
        np.array(["text"]),
        np.array([b"a", None], dtype=object),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.zeros(2, ml_dtypes.float8_e4m3fn),
    ],
)
def test_what_has_no_plain_bytes_is_refused(value):
    with pytest.raises(TypeError, match=r"`arrays\['a'\]` must be .*Received: dtype "):
        to_rows("a", value)


def test_a_single_value_is_refused():
    with pytest.raises(ValueError, match=r"Received: arrays\['a'\]=3.0"):
        to_rows("a", 3.0)


def test_a_file_without_rows_can_be_read(tmp_path):
    write_rows(tmp_path / "a.npy", [np.zeros((2, 0))])
    assert np.load(tmp_path / "a.npy").shape == (2, 0)
