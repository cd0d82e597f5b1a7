import os
import socket
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tftransfer.data.leakage import check_leakage
from tftransfer.data.tfds import load_tfds
from tftransfer.resizing import build_resizing, resize_images

COLOR = np.random.default_rng(0).integers(0, 256, (30, 8, 6, 3), "uint8")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A directory with small prepared data sets of several kinds."""
    directory = tmp_path_factory.mktemp("tiny")
    pets = {"label": tfds.features.ClassLabel(names=["ant", "bee", "cow"])}

    def store(name, features, **splits):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict(features),
            data_dir=str(directory),
            split_datasets={
                split: list(enumerate(rows)) for split, rows in splits.items()
            },
            disable_shuffling=True,
        )

    rows = [{"image": image, "label": i % 3} for i, image in enumerate(COLOR)]
    image = tfds.features.Image(shape=(8, 6, 3))
    store("pets", {"image": image, **pets}, train=rows[:20], test=rows[20:])
    gray = [{"image": x[..., :1], "label": i % 3} for i, x in enumerate(COLOR[:6])]
    store("gray", {"image": tfds.features.Image(shape=(8, 6, 1)), **pets}, train=gray)
    mixed = [{**rows[0], "image": COLOR[0, :4]}, *rows[1:6]]
    store("mixed", {"image": tfds.features.Image(), **pets}, train=mixed)
    texts = [{"text": f"word {i}", "label": i % 3} for i in range(6)]
    store("texts", {"text": tfds.features.Text(), **pets}, train=texts)
    one = tfds.features.ClassLabel(names=["only"])
    store("single", {"image": image, "label": one}, train=[{**rows[0], "label": 0}])
    plain = {"value": tfds.features.Scalar(np.int64)}
    store("numbers", plain, train=[{"value": 1}])
    unlabeled = {"image": image, "label": tfds.features.ClassLabel(num_classes=3)}
    store("unlabeled", unlabeled, train=[{**rows[0], "label": -1}])
    return directory


@pytest.fixture(scope="session")
def news(tmp_path_factory):
    """A prepared data set with two texts in each example, one title empty."""
    directory = tmp_path_factory.mktemp("news")
    text = tfds.features.Text()
    moods = tfds.features.ClassLabel(names=["good", "bad"])
    rows = [
        {"title": f"T {i}" if i != 1 else "", "body": f"b {i}", "label": i % 2}
        for i in range(3)
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="news",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {"title": text, "body": text, "label": moods}
        ),
        data_dir=str(directory),
        split_datasets={"train": list(enumerate(rows))},
        disable_shuffling=True,
    )
    return directory


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def gather(dataset):
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_splits_come_in_their_order_with_pixels_and_labels(tiny, no_network):
    train, test = load_tfds("pets", ["train", "test"], data_dir=tiny, shuffle=False)
    images, labels = gather(train)
    np.testing.assert_array_equal(images, COLOR[:20])
    assert labels.tolist() == [i % 3 for i in range(20)]
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    np.testing.assert_array_equal(gather(test)[0], COLOR[20:])
    assert train.class_names == ["ant", "bee", "cow"] and test.split_name == "test"


def test_one_split_gives_one_dataset_and_slices_work(tiny):
    dataset = load_tfds("pets", "train[50%:]", data_dir=tiny, shuffle=False)
    np.testing.assert_array_equal(gather(dataset)[0], COLOR[10:20])
    both = load_tfds("pets:1.0.0", "train[:2]+test", data_dir=str(tiny), shuffle=False)
    assert len(gather(both)[0]) == 12


def test_resizing_is_that_of_models(tiny):
    dataset = load_tfds("pets", "test", data_dir=tiny, image_size=(5, 7), crop=True)
    wanted = resize_images(COLOR[20:], build_resizing((5, 7), crop=True))
    np.testing.assert_array_equal(gather(dataset)[0], wanted)


@pytest.mark.slow
def test_the_first_split_trains_unless_it_is_called_test(tiny):
    def orders(splits, **options):
        data = load_tfds("pets", splits, data_dir=tiny, batch_size=4, **options)
        data = data if isinstance(data, list) else [data]
        return [[gather(part)[0].tobytes() for _ in range(2)] for part in data]

    (train, test) = orders(["train[:15]", "test"])
    assert train[0] != train[1] and test[0] == test[1]
    assert orders(["train[:15]", "test"])[0] == train
    assert orders(["train[:15]", "test"], seed=1)[0] != train
    (alone,) = orders("test[:9]")
    assert alone[0] == alone[1]
    (asked,) = orders("test", shuffle=True)
    assert asked[0] != asked[1]


def test_images_stay_with_their_labels_when_shuffled(tiny):
    label_of = {image.tobytes(): i % 3 for i, image in enumerate(COLOR)}
    images, labels = gather(load_tfds("pets", "train", data_dir=tiny))
    assert [label_of[image.tobytes()] for image in images] == labels.tolist()


def test_large_splits_shuffle_files_and_a_buffer_reproducibly(tiny, monkeypatch):
    monkeypatch.setattr("tftransfer.data.tfds._shuffle_buffer", lambda splits: 5)
    parts = [load_tfds("pets", "train", data_dir=tiny) for _ in range(2)]
    epochs = [[gather(part)[0] for _ in range(2)] for part in parts]
    np.testing.assert_array_equal(epochs[0], epochs[1])
    assert (epochs[0][0] != epochs[0][1]).any()
    assert {x.tobytes() for x in epochs[0][0]} == {x.tobytes() for x in COLOR[:20]}


def test_large_splits_have_a_first_order_too(tiny, monkeypatch):
    monkeypatch.setattr("tftransfer.data.tfds._shuffle_buffer", lambda splits: 5)
    train = load_tfds("pets", "train", data_dir=tiny)
    for _ in range(2):
        np.testing.assert_array_equal(gather(train.unshuffled)[0], COLOR[:20])
    cached = load_tfds("pets", "train", data_dir=tiny, cache=True)
    orders = [gather(cached)[0].tobytes() for _ in range(3)]
    assert len(set(orders)) == 3
    np.testing.assert_array_equal(gather(cached.unshuffled)[0], COLOR[:20])


@pytest.mark.slow
def test_fingerprints_tell_data_set_split_and_preparation(tiny):
    def name(split="train", source="pets", **options):
        return load_tfds(source, split, data_dir=tiny, **options).fingerprint

    first = name(image_size=8)
    assert first == name(image_size=8, batch_size=3, seed=4, shuffle=False)
    assert first == name("train[:100%]", image_size=8)
    others = [
        name("test", image_size=8),
        name("train[:19]", image_size=8),
        name("train[1:]", image_size=8),
        name("train+test", image_size=8),
        name(source="gray", image_size=8),
        name(),
        name(image_size=9),
        name(image_size=8, crop=True),
        name(image_size=8, augment=("flip",)),
    ]
    assert len({first, *others}) == 10 and None not in others
    train = load_tfds("pets", "train", data_dir=tiny, image_size=8, augment=("flip",))
    assert train.unshuffled.fingerprint == first


def test_a_touched_shard_has_another_fingerprint(tiny):
    def name():
        return load_tfds("gray", "train", data_dir=tiny).fingerprint

    before = name()
    (shard,) = (tiny / "gray").rglob("*.tfrecord*")
    times = shard.stat()
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert name() != before


def test_augmentation_reaches_the_training_split_only(tiny):
    train, test = load_tfds(
        "pets", ["train", "test"], data_dir=tiny, augment=("brightness",), cache=True
    )
    np.testing.assert_array_equal(gather(test)[0], COLOR[20:])
    np.testing.assert_array_equal(gather(train.unshuffled)[0], COLOR[:20])
    known = {image.tobytes() for image in COLOR}
    assert not all(image.tobytes() in known for image in gather(train)[0])


def test_gray_images_get_three_equal_channels(tiny):
    images, _ = gather(load_tfds("gray", "train", data_dir=tiny, shuffle=False))
    np.testing.assert_array_equal(images, np.repeat(COLOR[:6, ..., :1], 3, axis=3))


def test_images_of_different_sizes_need_an_image_size(tiny):
    with pytest.raises(ValueError, match="Received: image_size=None for name='mixed'"):
        load_tfds("mixed", "train", data_dir=tiny)
    images, _ = gather(load_tfds("mixed", "train", data_dir=tiny, image_size=4))
    assert images.shape == (6, 4, 4, 3)


def test_texts_are_passed_on(tiny):
    texts, labels = gather(load_tfds("texts", "train", data_dir=tiny, shuffle=False))
    assert texts.tolist() == [f"word {i}".encode() for i in range(6)]
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(ValueError, match="Received: image_size=8, augment=.*'texts'"):
        load_tfds("texts", "train", data_dir=tiny, image_size=8)


def test_data_that_is_not_there_is_explained_without_network(tiny, no_network):
    with pytest.raises(FileNotFoundError) as error:
        load_tfds("mnist", "train", data_dir=tiny)
    text = str(error.value)
    assert f"Received: name='mnist', data_dir='{tiny}'" in text
    assert f"Looked in ['{tiny}'], which holds ['gray', 'mixed'" in text
    assert "tfds.load('mnist', data_dir='DIRECTORY')" in text
    assert "download=True" in text


def test_the_default_directory_is_named(monkeypatch, no_network, tmp_path):
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="which holds no data set") as error:
        load_tfds("mnist", "train")
    assert f"Looked in ['{tmp_path}']" in str(error.value)


@pytest.mark.parametrize(
    ("name", "nearest"), [("cifar-10", "cifar10"), ("pet", "pets"), ("mnits", "mnist")]
)
def test_unknown_names_get_the_nearest_without_network(tiny, no_network, name, nearest):
    with pytest.raises(ValueError, match=f"Received: name='{name}'.*'{nearest}'"):
        load_tfds(name, "train", data_dir=tiny)


def test_names_must_be_text(tiny):
    with pytest.raises(TypeError, match="Received: name=7"):
        load_tfds(7, "train", data_dir=tiny)


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ("trian", r"'train': 20, 'test': 10.*Received: 'trian'.*Did you mean 'train'"),
        ("train[", r"Received: 'train\['"),
        ("train[200%:]", r"Received: 'train\[200%:\]'"),
        ("train[40:]", r"Received: 'train\[40:\]'"),
        ("train[5:5]", r"Received: 'train\[5:5\]' \(which holds no examples"),
        ("", r"Received: ''"),
    ],
)
def test_split_syntax_is_checked(tiny, split, text):
    with pytest.raises(ValueError, match=text):
        load_tfds("pets", ["test", split], data_dir=tiny)


@pytest.mark.parametrize("splits", [[], None, ["train", 3], {"train"}])
def test_splits_must_be_text(tiny, splits):
    with pytest.raises(TypeError, match="Received: splits="):
        load_tfds("pets", splits, data_dir=tiny)


def test_one_class_only_is_refused(tiny):
    with pytest.raises(ValueError, match="Received: name='single' with num_classes=1"):
        load_tfds("single", "train", data_dir=tiny)


def test_a_data_set_without_images_or_texts_is_refused(tiny):
    with pytest.raises(ValueError, match="Received: name='numbers' with features"):
        load_tfds("numbers", "train", data_dir=tiny)


def test_unlabeled_examples_are_refused_when_they_are_met(tiny):
    dataset = load_tfds("unlabeled", "train", data_dir=tiny)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Labels must be 0..2"):
        next(iter(dataset))


def test_a_download_without_network_fails_soon(monkeypatch, tmp_path):
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="cannot be reached .*'mnist'"):
        load_tfds("mnist", "train", data_dir=tmp_path, download=True)


def prepare(shared_data, tmp_path_factory, name):
    """Lay real data out as a user's download would be, once for all tests."""
    directory = tmp_path_factory.getbasetemp() / "prepared"
    script = shared_data / "prepare_data.py"
    command = [sys.executable, str(script), str(directory), name]
    subprocess.run(command, check=True, capture_output=True)
    return directory


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_real_digits_are_those_of_their_source(
    shared_data, tmp_path_factory, no_network
):
    directory = prepare(shared_data, tmp_path_factory, "usps")
    train, test = load_tfds("usps", ["train", "test"], data_dir=directory)
    images, labels = gather(test)
    with h5py.File(shared_data / "usps.h5") as file:
        pixels = np.rint(255 * file["test"]["data"][()]).reshape(-1, 16, 16)
        digits = file["test"]["target"][()]
    assert images.shape == (2007, 16, 16, 3) and len(gather(train)[1]) == 7291
    # TFDS stores examples in an order of its own: compare what is there, sorted.
    ours = sorted((x[..., 0].tobytes(), y) for x, y in zip(images, labels, strict=True))
    theirs = zip(pixels.astype("uint8"), digits, strict=True)
    assert ours == sorted((x.tobytes(), y) for x, y in theirs)
    assert train.class_names == [str(digit) for digit in range(10)]


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_real_photographs_train_and_test_without_leakage(shared_data, tmp_path_factory):
    directory = prepare(shared_data, tmp_path_factory, "cifar10")
    train, valid, test = load_tfds(
        "cifar10",
        ["train[:90%]", "train[90%:]", "test"],
        data_dir=directory,
        batch_size=250,
    )
    assert [len(part) for part in (train, valid, test)] == [180, 20, 40]
    assert train.class_names[3] == "cat"
    assert np.bincount(gather(test)[1]).tolist() == [1000] * 10
    assert not check_leakage(valid, test)
    assert check_leakage(valid, valid.take(2)).count("exact") == 500


def test_texts_are_joined_from_the_features_asked_for(news):
    def texts(**options):
        dataset = load_tfds("news", "train", data_dir=news, shuffle=False, **options)
        return gather(dataset)[0].tolist()

    assert texts(text_features=("title", "body")) == [b"T 0 b 0", b"b 1", b"T 2 b 2"]
    assert texts(text_features=["body", "title"])[0] == b"b 0 T 0"
    assert texts(text_features="title") == [b"T 0", b"", b"T 2"]
    names = [
        load_tfds("news", "train", data_dir=news, text_features=keys).fingerprint
        for keys in ("title", "body", ["title", "body"], ["body", "title"])
    ]
    assert len(set(names)) == 4


def test_several_texts_need_a_choice(news):
    with pytest.raises(ValueError, match="Received: name='news' with .*text_features="):
        load_tfds("news", "train", data_dir=news)


@pytest.mark.parametrize("features", ["label", ["title", "text"], [], 3])
def test_features_that_are_no_texts_are_refused(news, features):
    with pytest.raises(
        ValueError, match=r"\['body', 'title'\]. Received: text_features="
    ):
        load_tfds("news", "train", data_dir=news, text_features=features)


def test_texts_shuffle_and_keep_a_first_order(news):
    train = load_tfds("news", "train", data_dir=news, text_features="body")
    orders = {tuple(gather(train)[0].tolist()) for _ in range(8)}
    assert len(orders) > 1
    assert gather(train.unshuffled)[0].tolist() == [b"b 0", b"b 1", b"b 2"]
    assert (train.shuffles, train.augmented, train.batch_size) == (True, False, 32)
    assert (train.num_examples, train.class_names) == (3, ["good", "bad"])


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_real_reviews_and_news_are_all_there(shared_data, tmp_path_factory):
    directory = prepare(shared_data, tmp_path_factory, "imdb_reviews")
    train, test = load_tfds("imdb_reviews", ["train", "test"], data_dir=directory)
    assert (train.class_names, train.num_examples) == (["neg", "pos"], 25000)
    assert np.bincount(gather(test)[1]).tolist() == [12500, 12500]
    # known of these data: some reviews stand in both halves
    assert 0 < check_leakage(train, test).count("exact") < 200
    directory = prepare(shared_data, tmp_path_factory, "ag_news_subset")
    test = load_tfds(
        "ag_news_subset",
        "test",
        data_dir=directory,
        text_features=("title", "description"),
    )
    texts, labels = gather(test)
    assert np.bincount(labels).tolist() == [1900] * 4 and len(test.class_names) == 4
    assert sum(text.startswith(b"Fears for T N pension") for text in texts) == 1
