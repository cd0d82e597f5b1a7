"""What SOURCE and TARGET of `tftransfer adapt` may be, and what is refused."""

import argparse

import numpy as np
import pytest
from PIL import Image

from tftransfer.cli import adapt
from tftransfer.cli.domains import is_features, load_source, load_target, read_features


def parse(*words):
    parser = argparse.ArgumentParser()
    adapt.add_arguments(parser)
    return parser.parse_args([*map(str, words), "--output", "out"])


def save_images(folder, names, count=24):
    for number in range(count):
        path = folder / names[number % len(names)] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    return folder


def rows_of(domain):
    return np.concatenate([np.asarray(batch) for batch in domain])


def test_only_the_arrays_asked_for_are_read(tmp_path):
    path = tmp_path / "a.npz"
    objects = np.array([object()])
    np.savez(path, features=np.ones((2, 3)), labels=objects)
    (features,), has_labels = read_features("TARGET", path, ["features"])
    assert features.shape == (2, 3) and has_labels
    with pytest.raises(ValueError, match="Received: .*a.npz', with Object arrays"):
        read_features("SOURCE", path, ["features", "labels"])


@pytest.mark.parametrize("content", [None, b"", b"no zip"])
def test_files_that_are_no_features_are_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="with arrays 'features'. Received: .*a.npz'"):
        read_features("TARGET", path, ["features"])


def test_missing_arrays_are_told_with_those_that_are_there(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"with arrays \['x'\]. Write it with"):
        read_features("TARGET", tmp_path / "a.npz", ["features"])


def test_features_are_told_by_their_ending():
    assert is_features("a/b.NPZ") and not is_features("a.csv")


def test_a_source_is_loaded_whole_and_in_its_order(tmp_path):
    folder = save_images(tmp_path / "photos", ["a", "b"])
    source = load_source(parse(folder, "x"), None)
    labels = np.concatenate([labels for _, labels in source.as_numpy_iterator()])
    assert labels.tolist() == [0] * 12 + [1] * 12
    assert source.class_names == ["a", "b"]


def test_several_labels_for_a_row_are_refused(tmp_path):
    save_images(tmp_path, ["."])
    lines = [f"{number}.png,1,{number % 2}" for number in range(24)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["image,x,y", *lines]))
    with pytest.raises(ValueError, match="one class for each row. Received: labels of"):
        load_source(parse(table, "x", "--label-columns", "x,y"), None)


@pytest.mark.parametrize("folders", [["."], ["a", "b"]])
def test_a_target_may_lie_in_classes_or_not(tmp_path, folders):
    folder = save_images(tmp_path / "photos", folders)
    (folder / ".hidden").write_text("no image")
    target = load_target(parse("x", folder), None, ["a", "b"])
    assert rows_of(target.data).shape == (24, 4, 4, 3)
    assert len(target.names) == 24 and target.names == sorted(target.names)
    assert target.notes == []
    first = rows_of(target.data)[:, 0, 0, 0]
    stems = [int(name.split("/")[-1].split(".")[0]) for name in target.names]
    assert first.tolist() == stems


def test_a_class_that_the_target_lacks_is_told_and_another_one_is_refused(tmp_path):
    folder = save_images(tmp_path / "photos", ["a", "b"])
    target = load_target(parse("x", folder), None, ["a", "b", "c"])
    assert target.notes == ["TARGET has nothing called ['c']"]
    words = ["x", folder]
    with pytest.raises(ValueError, match=r"Received: \['b'\] in .*add --any-classes"):
        load_target(parse(*words), None, ["a", "c"])
    assert load_target(parse(*words, "--any-classes"), None, ["a", "c"]).notes == []


def test_of_a_folder_with_splits_the_first_is_taken(tmp_path):
    save_images(tmp_path / "photos" / "train", ["a", "b"])
    save_images(tmp_path / "photos" / "test", ["a", "b"])
    target = load_target(parse("x", tmp_path / "photos"), None, ["a", "b"])
    assert len(target.names) == 24


def test_the_key_follows_the_files(tmp_path):
    folder = save_images(tmp_path / "photos", ["."])
    first = load_target(parse("x", folder), None, ["a", "b"]).key
    assert load_target(parse("x", folder), None, ["a", "b"]).key == first
    (folder / "0.png").rename(folder / "other.png")
    assert load_target(parse("x", folder), None, ["a", "b"]).key != first


def test_labels_in_a_table_of_the_target_are_not_even_read(tmp_path):
    table = tmp_path / "target.csv"
    lines = [f"text {number},{'' if number else 'x'}" for number in range(24)]
    table.write_text("\n".join(["review,label", *lines]))
    words = parse("x", table, "--text-column", "review")
    target = load_target(words, None, ["a", "b"])
    texts = [text for batch in target.data for text in np.asarray(batch)]
    assert texts == [f"text {number}".encode() for number in range(24)]


def test_texts_in_files_are_read_and_empty_ones_refused(tmp_path):
    for number in range(20):
        (tmp_path / f"{number:02}.txt").write_text(f"line {number}\nsecond")
    words = parse("x", tmp_path)
    target = load_target(words, None, ["a", "b"])
    texts = [text for batch in target.data for text in np.asarray(batch)]
    assert texts[3] == b"line 3\nsecond" and target.names[3] == "03.txt"
    (tmp_path / "03.txt").write_text(" ")
    with pytest.raises(ValueError, match="Received: '03.txt', which is empty"):
        load_target(words, None, ["a", "b"])
    (tmp_path / "03.txt").rename(tmp_path / "03.md")
    (tmp_path / "03.md").write_text("text")
    with pytest.raises(ValueError, match="Received: '03.md', which is not called .txt"):
        load_target(words, None, ["a", "b"])


def test_too_few_files_are_refused(tmp_path):
    folder = save_images(tmp_path / "photos", ["."], count=19)
    with pytest.raises(ValueError, match="at least 20 .* which holds 19 files"):
        load_target(parse("x", folder), None, ["a", "b"])
