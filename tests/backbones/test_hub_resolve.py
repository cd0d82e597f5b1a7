"""Handles of SavedModels: local directory, cache, download, and what is none."""

import contextlib
import functools
import hashlib
import http.server
import shutil
import socket
import sys
import threading

import pytest
import tensorflow as tf

from tftransfer.backbones import hub_resolve
from tftransfer.backbones.hub_resolve import (
    cache_directories,
    copy_saved_model,
    find_same,
    fingerprint_saved_model,
    keep_copy,
    resolve_handle,
)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def module(tmp_path):
    saved = tf.Module()
    saved.variable = tf.Variable(1.0)
    tf.saved_model.save(saved, str(tmp_path / "module"))
    return tmp_path / "module"


@contextlib.contextmanager
def serve_folder(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_local_directory_comes_first(module):
    assert resolve_handle(str(module)) == module
    assert resolve_handle(module) == module


@pytest.mark.parametrize("suffix", ["", "?tf-hub-format=compressed"])
def test_the_cache_of_tensorflow_hub_comes_before_the_network(
    module, empty_cache, suffix
):
    url = "https://tfhub.invalid/some/module/1"
    cached = empty_cache / hashlib.sha1((url + suffix).encode()).hexdigest()
    shutil.copytree(module, cached)
    assert resolve_handle(url) == cached


def test_cache_names_are_those_of_tensorflow_hub(monkeypatch):
    hub = hub_resolve._import_tensorflow_hub()
    url = "https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/5"
    theirs = hub.compressed_module_resolver._module_dir(url)
    assert str(cache_directories(url)[0]) == theirs
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    theirs = hub.compressed_module_resolver._module_dir(url)
    assert str(cache_directories(url)[0]) == theirs


def test_a_module_is_downloaded_once(module, tmp_path):
    (tmp_path / "web").mkdir()
    shutil.make_archive(str(tmp_path / "web" / "module"), "gztar", module)
    with serve_folder(tmp_path / "web") as address:
        url = f"{address}/module.tar.gz"
        directory = resolve_handle(url)
    assert fingerprint_saved_model(directory) == fingerprint_saved_model(module)
    assert resolve_handle(url) == directory  # the server is gone


def test_no_network_says_where_to_put_the_module():
    url = "http://127.0.0.1:9/module"  # nobody listens there
    place = cache_directories(url)[0].name
    message = f"(?s)Received: handle='{url}'.*pass its directory as `handle`.*{place}"
    with pytest.raises(ConnectionError, match=message):
        resolve_handle(url)


def test_a_silent_server_does_not_hang(monkeypatch):
    monkeypatch.setattr(hub_resolve, "NETWORK_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/module"
        with pytest.raises(ConnectionError, match="timed out"):
            resolve_handle(url)
    assert socket.getdefaulttimeout() is None


def test_a_missing_tensorflow_hub_gives_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    with pytest.raises(ImportError, match="Run `pip install tensorflow-hub"):
        resolve_handle("http://127.0.0.1:9/module")


def test_other_kinds_of_url_are_refused():
    with pytest.raises(ValueError, match=r"Received: handle='gs://bucket/module'"):
        resolve_handle("gs://bucket/module")


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="Received: handle=3 of type int"):
        resolve_handle(3)


def test_what_is_no_saved_model_is_named(tmp_path, module):
    message = "Received: handle='.*nowhere'. There is no such directory"
    with pytest.raises(ValueError, match=message):
        resolve_handle(str(tmp_path / "nowhere"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("")
    message = r"Received: .*no saved_model.pb. It holds \['notes.txt'\]"
    with pytest.raises(ValueError, match=message):
        resolve_handle(tmp_path / "other")
    with pytest.raises(ValueError, match="Received: .*It is a file. Unpack"):
        resolve_handle(tmp_path / "other" / "notes.txt")
    shutil.copytree(module, tmp_path / "served" / "1")
    message = "Received: .*versions in sub-directories. Pass .*served/1"
    with pytest.raises(ValueError, match=message):
        resolve_handle(tmp_path / "served")


def test_copies_hold_the_saved_model_and_nothing_else(module, tmp_path):
    (module / "private.txt").write_text("not ours")
    copy_saved_model(module, tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert {"saved_model.pb", "variables"} <= names
    assert "private.txt" not in names
    assert fingerprint_saved_model(tmp_path / "copy") == fingerprint_saved_model(module)


def test_fingerprints_follow_program_values_and_assets(module, tmp_path):
    seen = {fingerprint_saved_model(module)}
    for start in (1.0, 2.0):
        other = tf.Module()
        other.variable = tf.Variable(start)
        other.second = tf.Variable(start)
        tf.saved_model.save(other, str(tmp_path / "other"))
        seen.add(fingerprint_saved_model(tmp_path / "other"))
    (tmp_path / "other" / "assets" / "words.txt").write_text("word")
    seen.add(fingerprint_saved_model(tmp_path / "other"))
    assert len(seen) == 4


def test_kept_copies_stand_in_for_a_module_that_is_gone(module, monkeypatch):
    monkeypatch.setattr(hub_resolve, "_kept_copies", {})
    fingerprint = fingerprint_saved_model(module)
    assert find_same(module, fingerprint) == module
    assert find_same(module, "another") is None
    copy = keep_copy(module)
    assert keep_copy(module) == copy
    shutil.rmtree(module)
    assert find_same(module, fingerprint) == copy
