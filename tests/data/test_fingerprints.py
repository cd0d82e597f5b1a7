import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tftransfer.data.fingerprints import describe_files, digest, make_fingerprint
from tftransfer.data.folders import load_folder
from tftransfer.data.pipelines import Preparation, make_dataset
from tftransfer.data.synthetic import load_synthetic
from tftransfer.data.tables import load_table
from tftransfer.resizing import build_resizing

SEVERAL_CALLS = """
from tftransfer.data.folders import load_folder
from tftransfer.data.synthetic import load_synthetic

for part in [*load_folder({root!r}, image_size=5), *load_synthetic(2)]:
    print(part.fingerprint)
"""


def name(**options):
    return make_fingerprint(["rows"], Preparation(**options))


@pytest.fixture
def root(make_folder):
    return make_folder({"a": 4, "b": 4})


def names(root, **options):
    options = {"image_size": 5, "validation_fraction": 0.5, **options}
    return [part.fingerprint for part in load_folder(root, **options)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"image_size": (8, 9)},
        {"image_size": 8, "interpolation": "area"},
        {"image_size": 8, "crop": True},
        {"image_size": keras.layers.Resizing(8, 8)},
        {"image_size": keras.layers.Resizing(8, 8, dtype="float16")},
    ],
)
def test_another_preparation_has_another_name(options):
    assert name(image_size=8) != name(**options)
    assert len(name(**options)) == 64 and set(name(**options)) <= set(
        "0123456789abcdef"
    )


def test_what_changes_no_pixel_leaves_the_name():
    plain = name(image_size=8)
    assert plain == name(image_size=8, batch_size=7, cache=True, seed=3)
    assert plain == name(image_size=build_resizing(8, name="of a model"))
    assert plain == name(image_size=8, augment=("flip",))  # nobody applied it


def test_augmentation_counts_with_its_order_and_seed():
    def augmented(*steps, seed=0):
        return make_fingerprint(["rows"], Preparation(seed=seed), steps)

    found = [
        name(),
        augmented("flip"),
        augmented("flip", "crop"),
        augmented("crop", "flip"),
        augmented("flip", seed=1),
    ]
    assert len(set(found)) == 5
    assert augmented("flip") == augmented("flip")


def test_what_cannot_be_told_has_no_name():
    class Own(keras.layers.Resizing):
        pass

    assert make_fingerprint(None, Preparation()) is None
    assert make_fingerprint(["rows"], Preparation(), (lambda x, seed: x,)) is None
    assert name(image_size=Own(8, 8)) is None


def test_digests_tell_values_shapes_and_types():
    values = [
        np.zeros(4),
        np.zeros((4, 1)),
        np.zeros(4, "float32"),
        np.ones(4),
        [0, 0, 0, 0],
        "0000",
    ]
    assert len({digest(value) for value in values}) == len(values)
    assert digest(np.arange(6).reshape(2, 3).T) == digest(
        np.array([[0, 3], [1, 4], [2, 5]])
    )
    with pytest.raises(TypeError, match="not JSON serializable"):
        digest([lambda: None])
    with pytest.raises(TypeError, match="not JSON serializable"):
        digest(np.array([object()]))


def test_files_are_told_by_name_size_and_time(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    ((found, size, time),) = describe_files([str(tmp_path / "x")])
    assert (found, size) == ("x", 3) and time > 1e18
    assert describe_files([str(tmp_path / "missing")]) is None


def test_the_datasets_say_whether_they_shuffle_and_augment(root):
    (plain,) = load_folder(root, image_size=5, validation_fraction=1.0)
    assert (plain.shuffles, plain.augmented) == (False, False)
    assert plain.unshuffled is plain
    train, _ = load_folder(root, image_size=5, augment=("flip",))
    assert (train.shuffles, train.augmented) == (True, True)
    first = train.unshuffled
    assert (first.shuffles, first.augmented) == (False, False)
    assert first.unshuffled is first and first.fingerprint != train.fingerprint


def test_training_and_evaluation_of_the_same_rows_share_the_plain_name(root):
    (train,) = load_folder(root, image_size=5, validation_fraction=0)
    (plain,) = load_folder(root, image_size=5, validation_fraction=1.0)
    (augmented,) = load_folder(
        root, image_size=5, validation_fraction=0, augment=("flip",)
    )
    shared = {part.unshuffled.fingerprint for part in (train, plain, augmented)}
    assert shared == {plain.fingerprint} == {train.fingerprint}
    assert augmented.fingerprint not in shared


def test_one_changed_pixel_file_changes_the_name_and_a_copy_does_not(
    root, make_folder, tmp_path
):
    before = names(root, validation_fraction=0)
    assert names(make_folder({"a": 4, "b": 4}, root=tmp_path / "copy"))
    copied = names(tmp_path / "copy", validation_fraction=0)
    assert copied == before
    path = root / "a" / "000.png"
    pixels = np.array(Image.open(path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    after = names(root, validation_fraction=0)
    assert after != before


@pytest.mark.slow
def test_another_call_of_a_folder_has_other_names(root):
    seen = set(names(root))
    for options in (
        {"image_size": (5, 6)},
        {"interpolation": "nearest"},
        {"crop": True},
        {"seed": 1},
        {"validation_fraction": 0.25},
        {"class_names": ["b", "a"]},
    ):
        found = names(root, **options)
        assert len({*found} - seen) == 2, options
        seen.update(found)


def test_files_that_change_places_change_the_name(root):
    before = names(root, validation_fraction=0)
    (root / "a" / "000.png").rename(root / "a" / "zzz.png")
    assert names(root, validation_fraction=0) != before


def test_tables_are_told_by_their_labels_and_images(root):
    def table(*labels):
        files = ["a/000.png", "a/001.png", "b/000.png", "b/001.png"]
        rows = zip(files, labels, strict=True)
        path = root / "table.csv"
        path.write_text("file,y\n" + "".join(f"{f},{label}\n" for f, label in rows))
        (part,) = load_table(
            path, "file", "y", image_size=5, task="regression", validation_fraction=1.0
        )
        return part.fingerprint

    assert table(1, 2, 3, 4) == table(1, 2, 3, 4) != table(1, 2, 3, 5)
    first = table(1, 2, 3, 4)
    (root / "b" / "001.png").write_bytes((root / "b" / "002.png").read_bytes())
    assert table(1, 2, 3, 4) != first


@pytest.mark.slow
def test_another_process_gives_the_same_names(root):
    code = SEVERAL_CALLS.format(root=str(root))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    here = [*load_folder(root, image_size=5), *load_synthetic(2)]
    assert done.stdout.split() == [part.fingerprint for part in here]
    assert len(set(done.stdout.split())) == 4


def test_examples_of_unknown_origin_have_no_name():
    examples = tf.data.Dataset.from_tensor_slices((np.zeros((2, 4, 4, 3)), [0, 1]))
    dataset = make_dataset(examples, tf.identity, Preparation(), training=True)
    assert dataset.fingerprint is None and dataset.unshuffled.fingerprint is None
    assert dataset.shuffles
