import importlib.util

import numpy as np
import pytest
from PIL import Image

from tftransfer.data.elpv import ELPV_LICENSE, load_elpv, read_elpv, split_elpv


@pytest.fixture(scope="module")
def table():
    return read_elpv()


def shares(probabilities, wafers):
    return {
        (round(p, 2), w): np.mean(
            (np.round(probabilities, 2) == round(p, 2)) & (wafers == w)
        )
        for p in (0, 1 / 3, 2 / 3, 1)
        for w in ("mono", "poly")
    }


def test_the_package_holds_the_published_cells(table):
    paths, probabilities, wafers = table
    assert len(paths) == 2624 and (wafers == "mono").sum() == 1074
    counts = [np.isclose(probabilities, p).sum() for p in (0, 1 / 3, 2 / 3, 1)]
    assert counts == [1508, 295, 106, 715]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_split_is_75_to_25_within_all_eight_strata(table, seed):
    _, probabilities, wafers = table
    parts = split_elpv(probabilities, wafers, seed=seed)
    assert [len(parts[name]) for name in ("train", "test")] == [1968, 656]
    everything = shares(probabilities, wafers)
    for part in (parts["train"], parts["test"]):
        for stratum, share in shares(probabilities[part], wafers[part]).items():
            assert share == pytest.approx(everything[stratum], abs=1.5 / len(part))


def test_the_test_part_depends_on_the_seed_alone(table):
    _, probabilities, wafers = table
    one = split_elpv(probabilities, wafers, seed=1)
    other = split_elpv(probabilities, wafers, 0.2, seed=1)
    np.testing.assert_array_equal(one["test"], other["test"])
    assert len(other["validation"]) == pytest.approx(0.2 * 1968, abs=1)
    both = np.sort(np.concatenate([other["train"], other["validation"]]))
    np.testing.assert_array_equal(both, one["train"])
    assert (split_elpv(probabilities, wafers, seed=2)["test"] != one["test"]).any()


def test_cells_are_gray_pixels_in_three_channels_with_their_label(table):
    _, test = load_elpv(seed=3, batch_size=8)
    images, labels = next(test.as_numpy_iterator())
    assert images.shape == (8, 300, 300, 3) and images.dtype == np.uint8
    assert test.class_names == ["functional", "defective"]
    probability = dict(zip(table[0], table[1], strict=True))
    for image, label, path in zip(images, labels, test.file_paths, strict=False):
        pixels = np.asarray(Image.open(path).convert("L"))
        np.testing.assert_array_equal(image, np.repeat(pixels[..., None], 3, axis=2))
        assert label == (probability[path] > 0.5)


@pytest.mark.slow
def test_training_is_reshuffled_reproducibly():
    epochs = []
    for _ in range(2):
        train, _ = load_elpv(seed=3, batch_size=64)
        epochs += [np.concatenate([y for _, y in train.take(4)]) for _ in range(2)]
    np.testing.assert_array_equal(epochs[0], epochs[2])
    np.testing.assert_array_equal(epochs[1], epochs[3])
    assert (epochs[0] != epochs[1]).any()


def test_wafers_are_domains_of_the_same_split(table):
    wafer_of = dict(zip(table[0], table[2], strict=True))
    both = load_elpv()
    mono, poly = (load_elpv(wafer=wafer) for wafer in ("mono", "poly"))
    for i in range(2):
        assert {wafer_of[path] for path in mono[i].file_paths} == {"mono"}
        assert sorted(mono[i].file_paths + poly[i].file_paths) == sorted(
            both[i].file_paths
        )


def test_probabilities_may_be_the_label(table):
    _, test = load_elpv(label="probability", image_size=8)
    labels = np.concatenate([y for _, y in test.take(3).as_numpy_iterator()])
    probability = dict(zip(table[0], table[1], strict=True))
    wanted = [probability[path] for path in test.file_paths[: len(labels)]]
    np.testing.assert_allclose(labels[:, 0], np.float32(wanted))


def test_a_validation_part_comes_between():
    train, validation, test = load_elpv(validation_fraction=0.25, image_size=8)
    names = [part.split_name for part in (train, validation, test)]
    assert names == ["train", "validation", "test"]
    assert [len(p.file_paths) for p in (train, validation, test)] == [1476, 492, 656]


@pytest.mark.slow
def test_fingerprints_tell_the_cells_and_their_labels():
    def names(**options):
        return [part.fingerprint for part in load_elpv(image_size=8, **options)]

    train, test = names()
    assert names(batch_size=5) == [train, test] and len({train, test}) == 2
    others = [
        *names(seed=1),
        *names(wafer="mono"),
        *names(label="probability"),
    ]
    assert len({train, test, *others}) == 8
    augmented = load_elpv(image_size=8, augment=("flip",))[0]
    assert augmented.fingerprint != train == augmented.unshuffled.fingerprint


def test_the_license_is_told():
    assert "CC BY-NC-SA 4.0" in ELPV_LICENSE
    assert "CC BY-NC-SA 4.0" in load_elpv.__doc__


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "tftransfer\[demo\]"'):
        load_elpv()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"wafer": "thin"}, "Received: wafer='thin'"),
        ({"label": "grade"}, "Received: label='grade'"),
        ({"validation_fraction": 1.0}, "Received: validation_fraction=1.0"),
        ({"seed": -1}, "Received: seed=-1"),
    ],
)
def test_unusable_options_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        load_elpv(**options)
