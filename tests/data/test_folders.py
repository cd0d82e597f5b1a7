import numpy as np
import pytest
from PIL import Image

from tftransfer.data.folders import load_folder
from tftransfer.resizing import build_resizing, resize_images


def labels_of(dataset):
    return np.concatenate([labels for _, labels in dataset.as_numpy_iterator()])


def test_one_directory_per_class_is_split_by_class(make_folder):
    root = make_folder({"cat": 10, "ant": 5})
    train, validation = load_folder(root, image_size=None, validation_fraction=0.2)
    assert train.class_names == validation.class_names == ["ant", "cat"]
    assert (train.split_name, validation.split_name) == ("train", "validation")
    assert np.bincount(labels_of(train)).tolist() == [4, 8]
    assert np.bincount(labels_of(validation)).tolist() == [1, 2]
    assert not set(train.file_paths) & set(validation.file_paths)


def test_images_are_the_files_resized_as_models_resize(make_folder):
    root = make_folder({"a": 2, "b": 2})
    (dataset,) = load_folder(root, image_size=(5, 4), validation_fraction=1.0)
    images, labels = next(dataset.as_numpy_iterator())
    pixels = np.stack([np.asarray(Image.open(path)) for path in dataset.file_paths])
    np.testing.assert_array_equal(images, resize_images(pixels, build_resizing((5, 4))))
    assert labels.tolist() == [0, 0, 1, 1] and images.dtype == np.float32


def test_images_of_different_sizes_are_batched_after_resizing(make_folder):
    root = make_folder({"a": 2})
    make_folder({"b": 2}, root=root, size=(20, 10), suffix=".jpg")
    (train,) = load_folder(root, image_size=8, validation_fraction=0)
    assert next(iter(train))[0].shape == (4, 8, 8, 3)
    with pytest.raises(ValueError, match="Received: image_size=None"):
        load_folder(root, image_size=None)


def test_same_seed_same_split_and_order(make_folder):
    root = make_folder({"a": 20, "b": 20})
    first, again, other = (
        load_folder(root, image_size=None, seed=seed) for seed in (1, 1, 2)
    )
    assert first[1].file_paths == again[1].file_paths != other[1].file_paths
    epochs = [labels_of(first[0]).tolist() for _ in range(2)]
    assert epochs == [labels_of(again[0]).tolist() for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert labels_of(first[1]).tolist() == labels_of(first[1]).tolist()


def test_split_directories_are_used_as_they_are(make_folder, tmp_path):
    for split, count in (("train", 4), ("val", 3), ("test", 2)):
        make_folder({"a": count, "b": count}, root=tmp_path / "all" / split)
    parts = load_folder(tmp_path / "all", image_size=None)
    assert [part.split_name for part in parts] == ["train", "validation", "test"]
    assert [len(labels_of(part)) for part in parts] == [8, 6, 4]


def test_validation_is_cut_from_train_where_it_has_no_directory(make_folder, tmp_path):
    make_folder({"a": 10, "b": 10}, root=tmp_path / "all" / "train")
    make_folder({"a": 3}, root=tmp_path / "all" / "test")
    parts = load_folder(tmp_path / "all", image_size=None, validation_fraction=0.5)
    assert [part.split_name for part in parts] == ["train", "validation", "test"]
    assert [len(labels_of(part)) for part in parts] == [10, 10, 3]


def test_subdirectories_count_and_dot_files_do_not(make_folder):
    root = make_folder({"a/deep": 3, "b": 3, ".cache": 2, "a/.thumbs": 1})
    (root / "a" / ".DS_Store").write_bytes(b"x")
    (train,) = load_folder(root, image_size=None, validation_fraction=0)
    assert train.class_names == ["a", "b"] and len(train.file_paths) == 6


def test_class_names_fix_the_order(make_folder):
    root = make_folder({"a": 2, "b": 3})
    names = ["b", "c", "a"]
    with pytest.raises(ValueError, match=r"Received: none for \['c'\]"):
        load_folder(root, image_size=None, class_names=names)
    (train,) = load_folder(
        root, image_size=None, class_names=["b", "a"], validation_fraction=0
    )
    assert np.bincount(labels_of(train)).tolist() == [3, 2]


def test_evaluation_may_lack_classes_of_the_model(make_folder):
    root = make_folder({"a": 2, "b": 3})
    (all_of_it,) = load_folder(
        root, image_size=None, class_names=["b", "c", "a"], validation_fraction=1.0
    )
    assert np.bincount(labels_of(all_of_it)).tolist() == [3, 0, 2]


def test_augmentation_reaches_train_only(make_folder):
    root = make_folder({"a": 6, "b": 6})
    options = dict(image_size=None, batch_size=99, validation_fraction=0.5)
    plain = load_folder(root, **options)
    train, validation = load_folder(root, augment=("brightness",), **options)
    np.testing.assert_array_equal(next(iter(validation))[0], next(iter(plain[1]))[0])
    assert (next(iter(train))[0].numpy() != next(iter(plain[0]))[0].numpy()).any()


def test_broken_files_are_refused_or_skipped(make_folder):
    root = make_folder({"a": 3, "b": 3})
    whole = (root / "a" / "000.png").read_bytes()
    (root / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"Received: 2 file\(s\).*a.cut.png.*b.notes"):
        load_folder(root, image_size=None)
    with pytest.warns(UserWarning, match=r"Skipped 2 file\(s\).*a.cut.png") as caught:
        (train,) = load_folder(
            root, image_size=None, validation_fraction=0, on_corrupt="skip"
        )
    assert len(labels_of(train)) == 6
    assert caught[0].filename == __file__  # the line that called


def test_grey_and_transparent_images_become_three_channels(make_folder):
    root = make_folder({"a": 1, "b": 1})
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 4), "uint8")
    Image.fromarray(pixels).save(root / "a" / "transparent.png")
    Image.fromarray(pixels[..., 0]).save(root / "b" / "grey.png")
    (dataset,) = load_folder(root, image_size=None, validation_fraction=1.0)
    images, _ = next(dataset.as_numpy_iterator())
    assert images.shape == (4, 8, 6, 3)
    np.testing.assert_array_equal(images[1], pixels[..., :3])
    np.testing.assert_array_equal(images[3], np.repeat(pixels[..., :1], 3, axis=2))


def test_a_class_whose_files_are_all_broken_is_refused(make_folder):
    root = make_folder({"a": 3})
    (root / "b").mkdir()
    (root / "b" / "x.png").write_bytes(b"broken")
    with (
        pytest.raises(ValueError, match=r"Received: none for \['b'\]"),
        pytest.warns(UserWarning, match="Skipped 1"),
    ):
        load_folder(root, image_size=None, on_corrupt="skip")


def test_missing_directory_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="Received: path=.*nowhere"):
        load_folder(tmp_path / "nowhere", image_size=32)


@pytest.mark.parametrize("counts", [{}, {"only": 3}], ids=["no class", "one class"])
def test_fewer_than_two_classes_are_refused(make_folder, tmp_path, counts):
    root = tmp_path / "photos"
    root.mkdir()
    make_folder(counts)
    with pytest.raises(ValueError, match=r"at least two .* Received: classes \["):
        load_folder(root, image_size=32)


def test_directories_without_images_are_refused(make_folder):
    root = make_folder({"a": 2, "b": 0})
    with pytest.raises(ValueError, match=r"Received: none for \['b'\]"):
        load_folder(root, image_size=32)
    for path in (root / "a").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"Received: none for \['a', 'b'\]"):
        load_folder(root, image_size=32)


def test_strange_classes_in_a_split_are_refused(make_folder, tmp_path):
    make_folder({"a": 2, "b": 2}, root=tmp_path / "all" / "train")
    make_folder({"a": 2, "c": 2}, root=tmp_path / "all" / "test")
    with pytest.raises(ValueError, match=r"Received: directories \['c'\]"):
        load_folder(tmp_path / "all", image_size=32)


def test_two_directories_for_one_split_are_refused(make_folder, tmp_path):
    for split in ("train", "val", "valid"):
        make_folder({"a": 2, "b": 2}, root=tmp_path / "all" / split)
    with pytest.raises(ValueError, match=r"Received: directories \['train', 'val', "):
        load_folder(tmp_path / "all", image_size=32)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on_corrupt": "ignore"}, "Received: on_corrupt='ignore'"),
        ({"validation_fraction": 1.5}, "Received: validation_fraction=1.5"),
        ({"image_size": (3,)}, "Received: image_size="),
    ],
)
def test_unusable_options_are_refused_before_the_folder_is_read(options, text):
    with pytest.raises(ValueError, match=text):
        load_folder("nowhere", **{"image_size": 32, **options})


def test_the_home_directory_is_understood(make_folder, monkeypatch):
    root = make_folder({"a": 2, "b": 2})
    monkeypatch.setenv("HOME", str(root.parent))
    (train,) = load_folder("~/photos", image_size=None, validation_fraction=0)
    assert len(train.file_paths) == 4
