"""Features that two workers of a Ray compute, against those of one process."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tftransfer as tft
from tftransfer.store.writer import EntryWriter

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own


@pytest.fixture
def model():
    """A frozen network with layers of ours inside, which workers must come to know."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((None, None, 3))
    x = tft.build_resizing(8)(inputs)
    x = keras.layers.Rescaling(1 / 127.5, -1)(x)
    x = keras.layers.Conv2D(6, 3, name="block1_conv")(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile(loss=lambda y, x: keras.ops.sum(x))  # which no worker knows
    return model


@pytest.fixture
def photos(tmp_path):
    """Images of two classes, of different sizes."""
    draw = np.random.default_rng(0)
    for number in range(600):
        folder = tmp_path / "photos" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (9 + number % 3, 7, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return tft.load_folder(
        tmp_path / "photos", validation_fraction=0, image_size=8, batch_size=20
    )[0]


def extract(model, data, folder, **options):
    options = {"engine": "tensorflow", "directory": folder, "verbose": 0, **options}
    return tft.extract_features(model, data, **options)


def assert_equal(found, wanted):
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.features, wanted.features, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_files_are_read_and_computed_by_the_workers(
    ray, model, photos, tmp_path, monkeypatch, kill_a_worker
):
    wanted = extract(model, photos, tmp_path / "alone")
    killed = []

    def append(writer, arrays):
        if not killed:
            killed.append(kill_a_worker())
        write(writer, arrays)

    write = EntryWriter.append
    monkeypatch.setattr(EntryWriter, "append", append)
    cluster = tft.RayCluster(2)
    found = extract(model, photos, tmp_path / "shared", cluster=cluster)
    assert killed and len(found.features) == 600
    assert_equal(found, wanted)
    # Found again, by one process too: nothing is computed.
    monkeypatch.setattr(EntryWriter, "append", None)
    assert_equal(extract(model, photos, tmp_path / "shared"), wanted)


@pytest.mark.slow
def test_arrays_go_on_where_one_process_was_stopped(
    ray, model, tmp_path, monkeypatch, rng
):
    images = rng.integers(0, 256, (700, 9, 9, 3)).astype("uint8")
    data = images, np.arange(700) % 2, rng.random(700).astype("float32")
    wanted = extract(model, data, tmp_path / "alone")
    with monkeypatch.context() as patched:
        patched.setattr(EntryWriter, "append", stop_after(EntryWriter.append, 330))
        with pytest.raises(KeyboardInterrupt):
            extract(model, data, tmp_path / "shared", batch_size=30)
    seen = []
    finish = EntryWriter.finish
    monkeypatch.setattr(
        EntryWriter, "finish", lambda x, **y: seen.append(x.rows_done) or finish(x, **y)
    )
    found = extract(
        *(model, data, tmp_path / "shared"), batch_size=30, cluster=tft.RayCluster(2)
    )
    assert seen == [330]
    assert_equal(found, wanted)
    np.testing.assert_array_equal(found.sample_weight, data[2])


def stop_after(write, count):
    """Return `EntryWriter.append` that ends the run once so many rows are in."""

    def append(writer, arrays):
        if writer.num_rows >= count:
            raise KeyboardInterrupt
        write(writer, arrays)

    return append


def test_other_data_and_other_clusters_are_refused(model, tmp_path):
    pytest.importorskip("ray")
    data = tf.data.Dataset.from_tensors(np.zeros((2, 9, 9, 3), "uint8"))
    with pytest.raises(ValueError, match="`dataset` must be arrays, or come from a lo"):
        extract(model, data, tmp_path, cluster=tft.RayCluster(2))


def test_only_a_cluster_is_taken(model, tmp_path):
    with pytest.raises(TypeError, match="Received: cluster=2. Pass for example"):
        extract(model, np.zeros((2, 9, 9, 3)), tmp_path, cluster=2)
