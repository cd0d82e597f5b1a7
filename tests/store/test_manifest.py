import hashlib
import json
import os
import time

import pytest

from tftransfer.store import manifest
from tftransfer.store.manifest import (
    Damage,
    check_shards,
    file_digest,
    read_manifest,
    to_json,
    write_manifest,
)

CONTENT = {"shards": [{"rows": 2}], "extra": {"engine": "openvino"}}


@pytest.fixture
def shard(tmp_path):
    (tmp_path / "a-00000.npy").write_bytes(b"rows")
    digest = hashlib.sha256(b"rows").hexdigest()
    return {"rows": 1, "files": {"a-00000.npy": {"bytes": 4, "sha256": digest}}}


def test_what_is_written_is_read(tmp_path):
    write_manifest(tmp_path, CONTENT)
    assert read_manifest(tmp_path) == CONTENT


def test_an_altered_manifest_is_found(tmp_path):
    write_manifest(tmp_path, CONTENT)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 2', '"rows": 3'))
    with pytest.raises(Damage, match="manifest.json was altered"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', None])
def test_a_manifest_that_is_none_is_found(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(Damage, match="manifest.json is missing or cut short"):
        read_manifest(tmp_path)


def test_another_format_is_told_apart(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 7}))
    with pytest.raises(Damage, match="has format 7, not 1"):
        read_manifest(tmp_path)


def test_whole_shards_pass(tmp_path, shard):
    check_shards(tmp_path, [shard])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"rowz", "a-00000.npy was altered"),
        (b"row", "a-00000.npy has 3 bytes, not 4"),
        (None, "a-00000.npy is missing"),
    ],
)
def test_a_damaged_shard_is_named(tmp_path, shard, content, message):
    path = tmp_path / "a-00000.npy"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(Damage, match=message):
        check_shards(tmp_path, [shard])


def test_an_unchanged_file_is_hashed_once_in_a_process(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"rows")
    old = time.time_ns() - 10**9
    os.utime(path, ns=(old, old))
    first = file_digest(path)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert file_digest(path) == first == hashlib.sha256(b"rows").hexdigest()
    os.utime(path, ns=(old + 1, old + 1))
    with pytest.raises(TypeError, match="not callable"):
        file_digest(path)


def test_a_file_written_this_instant_is_not_taken_on_trust(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"rows")
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    manifest._known.clear()
    file_digest(path)
    assert not manifest._known


def test_only_plain_values_go_into_a_manifest():
    assert to_json("extra", {"a": [1, None]}) == '{"a": [1, null]}'
    with pytest.raises(TypeError, match="Received: extra={'a': <object"):
        to_json("extra", {"a": object()})
