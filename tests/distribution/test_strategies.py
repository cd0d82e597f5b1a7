"""The same numbers on one device, on two devices, and in two processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

JOBS = (
    *("fit", "head", "upper_block", "all_blocks", "aligned", "held_near", "rates"),
    *("lora", "freeze_threshold", "predictions"),
)
RESUMED = ("resumed_fit", "resumed_fine_tune")
AT_MOST = 600  # seconds


@pytest.mark.slow
def test_two_devices_give_what_one_gives(tmp_path):
    one = run("one", tmp_path / "one", *JOBS)
    assert one["freeze_threshold"]["frozen"] == ["block2"]
    two = run("mirrored", tmp_path / "two", *JOBS, *RESUMED)
    check_equal(one, two)
    check_resumed(two)


@pytest.mark.slow
def test_two_workers_give_what_one_process_gives(tmp_path):
    one = run("one", tmp_path / "one", *JOBS)
    workers = run_workers(tmp_path / "workers", *JOBS, *RESUMED, "drawn_order")
    assert workers[0]["drawn_order"] == workers[1]["drawn_order"]
    for found in workers:
        check_equal(one, found)
        check_resumed(found)


@pytest.mark.slow
def test_jax_divides_the_data_among_two_devices(tmp_path):
    pytest.importorskip("jax")
    devices = "--xla_force_host_platform_device_count="
    one, two = (
        run(kind, tmp_path / kind, *JOBS, KERAS_BACKEND="jax", XLA_FLAGS=devices + n)
        for kind, n in (("one", "1"), ("parallel", "2"))
    )
    check_equal(one, two)


@pytest.mark.slow
def test_a_worker_dies_and_returns(tmp_path):
    shared = tmp_path / "checkpoints"
    for failed in run_workers(tmp_path / "dead", "to_the_end", shared=shared, death=9):
        assert not failed
    told = (shared / "death").glob("checkpoint-*.npz")
    assert len(list(told)) == 2
    again = run_workers(tmp_path / "again", "to_the_end", shared=shared)
    whole = run_workers(tmp_path / "whole", "to_the_end")
    assert again == whole
    assert len(whole[0]["to_the_end"]["loss"]) == 4


def check_equal(one, other):
    """Compare with what one device gave, in float32."""
    assert set(JOBS) <= set(other)
    for job in JOBS:
        for name, value in one[job].items():
            compare(value, other[job][name], f"{job} {name}")


def compare(value, found, name):
    if isinstance(value, dict):
        assert value.keys() == found.keys()
        for key in value:
            compare(value[key], found[key], f"{name} {key}")
    elif name == "freeze_threshold frozen":
        assert value == found
    elif name == "aligned alignment_loss":
        # Each replica draws its own halves of the domains together.
        assert np.all(np.array(found) > 0)
    else:
        np.testing.assert_allclose(found, value, rtol=0, atol=1e-5, err_msg=name)


def check_resumed(found):
    """What was killed ends as what was not, to the bit."""
    for job in RESUMED:
        # Of 15 steps 8 went before; the checkpoint of the 8th may not have been whole.
        assert found[job]["step"] == 8
        assert found[job]["again"] in (7, 8, 9)
        assert found[job]["resumed"] == found[job]["whole"], job


def run(kind, folder, *jobs, **environment):
    codes, errors = wait([start(kind, folder, *jobs, **environment)])
    assert codes == [0], errors
    return read(folder)


def run_workers(folder, *jobs, shared=None, death=0):
    """Run jobs in two processes on this machine; return what each found.

    With `death` the second one kills itself behind that step, and both end in errors.
    """
    ports = free_ports(2)
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    processes = []
    for index in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        environment = {"TF_CONFIG": json.dumps(task)}
        environment["CHECKPOINTS"] = str(shared or folder / "checkpoints")
        environment["DEATH_AT"] = str(death * index)
        own = folder / str(index)
        processes.append(start("worker", own, *jobs, **environment))
    codes, errors = wait(processes)
    assert 0 not in codes if death else codes == [0, 0], errors
    return [read(folder / str(index)) for index in range(2)]


def wait(processes):
    """Return exit codes, and the ends of what was said; leave none alive."""
    try:
        errors = [each.communicate(timeout=AT_MOST)[1] for each in processes]
    finally:
        for each in processes:
            each.kill()
    return [each.returncode for each in processes], [x[-3000:] for x in errors]


def start(kind, folder, *jobs, **environment):
    folder.mkdir(parents=True)
    root = Path(__file__).parents[2]
    own = {"CHECKPOINTS": str(folder / "checkpoints"), **environment}
    own["TFTRANSFER_CACHE"] = str(folder / "cache")
    return subprocess.Popen(
        [sys.executable, "-m", "tests.distribution.program", kind, folder, *jobs],
        cwd=root,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def read(folder):
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def free_ports(count):
    """Return ports that nobody listens on."""
    opened = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in opened]
    for each in opened:
        each.close()
    return ports
