import collections
import io
import os
import pickle
import struct

import numpy as np
import pytest

from tftransfer.backbones.pth import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C


class FakeGlobal:
    """Pickles as a reference to `module.name` called with `arguments`."""

    def __init__(self, module, name, arguments=()):
        self.reference, self.arguments = (module, name), arguments


class LegacyPickler(pickle._Pickler):
    """Writes what PyTorch wrote before 1.6, without PyTorch."""

    def persistent_id(self, thing):
        return thing if isinstance(thing, tuple) and thing[:1] == ("storage",) else None

    def save(self, thing, save_persistent_id=True):
        if isinstance(thing, FakeGlobal):
            module, name = thing.reference
            self.write(f"c{module}\n{name}\n".encode())
            if thing.arguments is not None:
                super().save(tuple(thing.arguments))
                self.write(b"R")
            return
        super().save(thing, save_persistent_id)


def storage(kind, key, count):
    return ("storage", FakeGlobal("torch", kind, None), key, "cpu", count, None)


def tensor(kind, key, count, shape, strides, offset=0):
    arguments = (storage(kind, key, count), offset, shape, strides, False, {})
    return FakeGlobal("torch._utils", "_rebuild_tensor_v2", arguments)


def write(path, state, storages, magic=MAGIC):
    file = io.BytesIO()
    for thing in (magic, 1001, {"little_endian": True}):
        pickle.dump(thing, file, protocol=2)
    LegacyPickler(file, protocol=2).dump(state)
    pickle.dump(list(storages), file, protocol=2)
    for values in storages.values():
        file.write(struct.pack("<q", len(values)) + values.tobytes())
    path.write_bytes(file.getvalue())
    return path


def test_tensors_are_read_with_their_strides_and_offsets(tmp_path):
    values = np.arange(12, dtype="<f4")
    state = {
        "plain": tensor("FloatStorage", "0", 12, (3, 4), (4, 1)),
        "transposed": tensor("FloatStorage", "0", 12, (4, 3), (1, 4)),
        "part": tensor("FloatStorage", "0", 12, (2,), (1,), offset=5),
        "count": tensor("LongStorage", "1", 1, (), ()),
    }
    path = write(
        tmp_path / "w.pth", state, {"0": values, "1": np.array([7], dtype="<i8")}
    )
    read = read_state_dict(path)
    np.testing.assert_array_equal(read["plain"], values.reshape(3, 4))
    np.testing.assert_array_equal(read["transposed"], values.reshape(3, 4).T)
    np.testing.assert_array_equal(read["part"], [5, 6])
    assert read["count"].shape == () and read["count"] == 7


def test_a_file_that_would_run_code_is_refused_before_it_runs(tmp_path):
    trace = tmp_path / "trace"
    state = {"weight": FakeGlobal("os", "system", (f"touch {trace}",))}
    path = write(tmp_path / "evil.pth", state, {})
    with pytest.raises(ValueError, match="it asks to run os.system, which is refused"):
        read_state_dict(path)
    assert not trace.exists()
    # The same file does run code where it is trusted: the test can fail.
    with open(path, "rb") as file:
        for _ in range(4):
            pickle.load(file)
    assert trace.exists()


def test_code_in_the_first_pickle_of_the_file_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.getcwd, ()

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match="it asks to run posix.getcwd"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EOFError"),
        (b"not a pickle", "Received: path="),
        (b"\x80\x02K\x01.", "magic"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_state_dict(path)


def test_a_cut_off_file_is_refused(tmp_path):
    state = {"plain": tensor("FloatStorage", "0", 12, (3, 4), (4, 1))}
    path = write(tmp_path / "w.pth", state, {"0": np.arange(12, dtype="<f4")})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="the file ends inside a tensor"):
        read_state_dict(path)


@pytest.mark.parametrize("strides", [(400, 1), (-4, 1)])
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, strides):
    state = {"plain": tensor("FloatStorage", "0", 12, (3, 4), strides)}
    path = write(tmp_path / "w.pth", state, {"0": np.arange(12, dtype="<f4")})
    with pytest.raises(ValueError, match="reaches beyond its storage"):
        read_state_dict(path)


def test_an_ordered_dictionary_is_read(tmp_path):
    state = collections.OrderedDict(bias=tensor("HalfStorage", "0", 2, (2,), (1,)))
    path = write(tmp_path / "w.pth", state, {"0": np.array([1, 2], "<f2")})
    assert read_state_dict(path)["bias"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "state",
    [
        [1, 2],
        {"epoch": 3},
        {"a": tensor("FloatStorage", "0", 2, (10**15, 1), (0, 1))},
        {"a": tensor("FloatStorage", "0", 2, (-2,), (1,))},
    ],
)
def test_what_is_no_state_dictionary_is_refused(tmp_path, state):
    path = write(tmp_path / "w.pth", state, {"0": np.array([1, 2], "<f4")})
    with pytest.raises(ValueError, match="must be a PyTorch state dict.* Received: pa"):
        read_state_dict(path)


def test_a_storage_of_an_unknown_kind_is_refused(tmp_path):
    arguments = (("storage", "Float", "0", "cpu", 2, None), 0, (2,), (1,))
    state = {"a": FakeGlobal("torch._utils", "_rebuild_tensor_v2", arguments)}
    path = write(tmp_path / "w.pth", state, {})
    with pytest.raises(ValueError, match="unknown persistent id 'storage'"):
        read_state_dict(path)
