"""Two workers of a Ray begun here: their answers, their deaths, what they refuse."""

import csv
import functools
import os
import signal
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import tftransfer as tft
from tftransfer.cluster.ray_cluster import RayCluster
from tftransfer.scoring.journal import Journal

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own


def begin(flag, death=None, refused=None):
    """Return a function that squares; it dies once, where the flag is not there yet."""

    def square(number):
        if number == death and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == refused:
            raise ArithmeticError(f"{number} has no square")
        return number * number

    return square


@pytest.fixture
def ray(ray):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return ray


@pytest.mark.slow
def test_a_ray_of_its_own_is_begun_and_ended():
    ray = pytest.importorskip("ray")
    make = functools.partial(functools.partial, pow, exp=2)
    assert list(RayCluster(1).map_in_order(make, [])) == []
    assert list(RayCluster(1).map_in_order(make, [1, 2, 3])) == [1, 4, 9]
    assert not ray.is_initialized()


@pytest.mark.slow
def test_answers_keep_their_order_and_a_dead_worker_is_replaced(ray, tmp_path):
    make = functools.partial(begin, tmp_path / "died", death=13)
    found = RayCluster(2).map_in_order(make, list(range(40)))
    assert list(found) == [number**2 for number in range(40)]
    assert (tmp_path / "died").exists() and ray.is_initialized()


@pytest.mark.slow
def test_what_fails_in_a_worker_is_told(ray, tmp_path):
    make = functools.partial(begin, tmp_path / "died", refused=3)
    with pytest.raises(RuntimeError, match="ArithmeticError: 3 has no square. What"):
        list(RayCluster(2).map_in_order(make, list(range(9))))
    make = functools.partial(begin, tmp_path / "died", death=3)
    with pytest.raises(RuntimeError, match="died more than max_restarts=0 times"):
        list(RayCluster(2, max_restarts=0).map_in_order(make, list(range(9))))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An export whose logits are the mean of red and of green."""
    inputs = keras.Input((8, 8, 3))
    dense = keras.layers.Dense(2)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 25)(inputs))
    model = keras.Model(inputs, dense(x))
    dense.set_weights([np.array([[1.0, 0], [0, 1], [0, 0]]), np.zeros(2)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    path = tmp_path_factory.mktemp("export") / "colors"
    tft.export_model(model, path, class_names=["red", "green"], verbose=False)
    return path


@pytest.fixture
def photos(tmp_path):
    """Thirty images, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(30):
        pixels = draw.integers(0, 256, (9, 7, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "17.png").write_text("no image")
    return folder


@pytest.mark.slow
def test_a_folder_is_answered_as_by_one_process_though_a_worker_dies(
    ray, exported, photos, tmp_path, monkeypatch, kill_a_worker
):
    alone, shared = tmp_path / "alone.csv", tmp_path / "shared.csv"
    tft.batch_predict(exported, photos, alone, batch_size=1, verbose=0)
    killed = []

    def append(journal, rows):
        if not killed:
            killed.append(kill_a_worker())
        write(journal, rows)

    write = Journal.append
    monkeypatch.setattr(Journal, "append", append)
    monkeypatch.chdir(photos.parent)
    done = tft.batch_predict(
        exported, "photos", shared, batch_size=1, cluster=tft.RayCluster(2), verbose=0
    )
    assert killed and (done.num_rows, done.num_errors) == (30, 1)
    assert_equal_answers(shared, alone)


@pytest.mark.slow
def test_workers_go_on_where_one_process_was_stopped(
    ray, exported, photos, tmp_path, monkeypatch
):
    alone, output = tmp_path / "alone.csv", tmp_path / "out.csv"
    tft.batch_predict(exported, photos, alone, batch_size=4, verbose=0)
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", stop_at(Journal.append, 5))
        with pytest.raises(KeyboardInterrupt):
            tft.batch_predict(exported, photos, output, batch_size=4, verbose=0)
    done = tft.batch_predict(
        exported, photos, output, batch_size=4, cluster=tft.RayCluster(2), verbose=0
    )
    assert done.num_resumed == 16
    assert_equal_answers(output, alone)


def stop_at(write, number):
    """Return `Journal.append` that ends the run at its `number`-th call."""
    calls = []

    def append(journal, rows):
        calls.append(rows)
        if len(calls) == number:
            raise KeyboardInterrupt
        write(journal, rows)

    return append


def assert_equal_answers(path, wanted):
    with path.open(newline="") as found, wanted.open(newline="") as alone:
        pairs = zip(csv.DictReader(found), csv.DictReader(alone), strict=True)
        for number, (row, right) in enumerate(pairs):
            names = (row.pop("source"), right.pop("source"))
            assert os.path.basename(names[0]) == os.path.basename(names[1])
            for name, value in right.items():
                if name.startswith("probability") and value:
                    assert float(row[name]) == pytest.approx(float(value), rel=1e-6)
                else:
                    assert row[name] == value, (number, name)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_workers": 0}, ValueError, "`num_workers` must be"),
        ({"cpus_per_worker": 1.5}, TypeError, "`cpus_per_worker` must be"),
        ({"gpus_per_worker": -1}, ValueError, "`gpus_per_worker` must be"),
        ({"max_restarts": -1}, ValueError, "`max_restarts` must be"),
        ({"address": 8265}, TypeError, "`address` must be 'local', 'auto' or"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        RayCluster(**arguments)


def test_without_ray_the_line_of_pip_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'needs Ray. Run .*"tftransfer\[ray\]"'):
        RayCluster()


@pytest.mark.parametrize("cluster", [2, "local"])
def test_only_a_cluster_is_taken(cluster, tmp_path):
    with pytest.raises(TypeError, match=f"Received: cluster={cluster!r}. Pass for"):
        tft.batch_predict("nowhere", "photos", tmp_path / "a.csv", cluster=cluster)
