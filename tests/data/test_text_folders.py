"""`load_folder` on directories of `.txt` files."""

from pathlib import Path

import numpy as np
import pytest

from tftransfer.data.folders import load_folder


@pytest.fixture
def write_texts(tmp_path):
    """Write `{class: [content, ...]}` as text files below a directory."""

    def write(classes, root=tmp_path / "texts"):
        for name, contents in classes.items():
            (root / name).mkdir(parents=True, exist_ok=True)
            for i, content in enumerate(contents):
                content = content if isinstance(content, bytes) else content.encode()
                (root / name / f"{i:03d}.txt").write_bytes(content)
        return root

    return write


def gather(dataset):
    texts, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(texts).tolist(), np.concatenate(labels).tolist()


def numbered(word, count):
    return [f"{word} {i}" for i in range(count)]


def test_files_are_texts_with_the_class_of_their_directory(write_texts):
    root = write_texts({"pos": ["Fine.\n", "grün"], "neg": ["bad"]})
    (dataset,) = load_folder(root, validation_fraction=1.0, batch_size=2)
    assert gather(dataset) == ([b"bad", b"Fine.\n", "grün".encode()], [0, 1, 1])
    assert dataset.class_names == ["neg", "pos"] and dataset.num_examples == 3
    names = [path.removeprefix(str(root)) for path in dataset.file_paths]
    assert names == ["/neg/000.txt", "/pos/000.txt", "/pos/001.txt"]


def test_a_share_is_set_aside_by_class_and_training_shuffles(write_texts):
    root = write_texts({"a": numbered("a", 20), "b": numbered("b", 10)})
    train, validation = load_folder(root, validation_fraction=0.2)
    assert np.bincount(gather(train)[1]).tolist() == [16, 8]
    assert np.bincount(gather(validation)[1]).tolist() == [4, 2]
    assert not set(gather(train)[0]) & set(gather(validation)[0])
    assert gather(train) != gather(train)
    first = gather(train.unshuffled)
    assert first == gather(train.unshuffled) and first[1] == sorted(first[1])
    assert [Path(path).read_bytes() for path in train.file_paths] == first[0]


def test_the_layout_of_the_large_movie_reviews_is_understood(write_texts, tmp_path):
    root = tmp_path / "aclImdb"
    write_texts({"pos": numbered("p", 5), "neg": numbered("n", 5)}, root / "train")
    write_texts({"unsup": numbered("u", 9)}, root / "train")
    write_texts({"pos": numbered("q", 2), "neg": numbered("m", 2)}, root / "test")
    (root / "train" / "labeledBow.feat").write_text("1 0:9")
    (root / "imdb.vocab").write_text("the")
    parts = load_folder(root, validation_fraction=0.2)
    assert [part.split_name for part in parts] == ["train", "validation", "test"]
    assert [len(gather(part)[0]) for part in parts] == [8, 2, 4]
    assert gather(parts[2]) == ([b"m 0", b"m 1", b"q 0", b"q 1"], [0, 0, 1, 1])
    assert {part.class_names[0] for part in parts} == {"neg"}


def test_a_class_of_images_may_be_called_as_one_likes(make_folder):
    root = make_folder({"sup": 2, "unsup": 2})
    (train,) = load_folder(root, validation_fraction=0)
    assert train.class_names == ["sup", "unsup"]


def test_the_mark_of_utf8_goes_and_other_bytes_stay(write_texts):
    root = write_texts({"a": [b"\xef\xbb\xbfmarked"], "b": [b"caf\xe9 \x00"]})
    with pytest.warns(UserWarning, match=r"1 text\(s\) are not UTF-8: b.000.txt\. The"):
        (dataset,) = load_folder(root, validation_fraction=0)
    assert gather(dataset.unshuffled)[0] == [b"marked", b"caf\xe9 \x00"]


def test_files_that_hold_no_text_are_refused_or_skipped(write_texts):
    contents = ["fine", "", " \n", b"\xef\xbb\xbf", "fine too".encode("utf-16")]
    root = write_texts({"a": contents, "b": ["good"]})
    with pytest.raises(ValueError) as error:
        load_folder(root)
    text = str(error.value)
    assert "Received: 4 that are not: a/001.txt (empty); a/002.txt (empty); " in text
    assert "a/003.txt (empty); a/004.txt (UTF-16: save it as UTF-8)" in text
    with pytest.warns(UserWarning, match="Skipped 4 without a text: a/001") as caught:
        (dataset,) = load_folder(root, validation_fraction=1.0, on_corrupt="skip")
    assert gather(dataset) == ([b"fine", b"good"], [0, 1])
    assert caught[0].filename == __file__  # the line that called
    assert len(dataset.file_paths) == 2


def test_images_among_texts_and_texts_among_images_are_refused(
    write_texts, make_folder, tmp_path
):
    root = write_texts({"a": numbered("a", 3), "b": numbered("b", 3)})
    make_folder({"a": 1}, root=root)
    with pytest.raises(
        ValueError, match=r"Received: 1 that .*000.png \(not called .tx"
    ):
        load_folder(root)
    images = make_folder({"a": 3, "b": 3})
    write_texts({"b": ["a note"]}, images)
    with pytest.raises(
        ValueError, match=r"must be a whole JPEG.*Received: 1 file.*txt"
    ):
        load_folder(images)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"image_size": 8}, "Received: image_size=8, .* for path=.*which holds texts"),
        ({"augment": ("flip",)}, r"Received: .*augment=\('flip',\), crop=False"),
        ({"class_names": ["a", "c"]}, r"Received: directories \['b'\]"),
    ],
)
def test_options_that_do_not_fit_are_refused(write_texts, options, text):
    root = write_texts({"a": ["x"], "b": ["y"]})
    with pytest.raises(ValueError, match=text):
        load_folder(root, **options)


def test_one_class_and_empty_ones_are_refused(write_texts):
    root = write_texts({"a": ["x"]})
    with pytest.raises(ValueError, match=r"Received: classes \['a'\]"):
        load_folder(root)
    (root / "b").mkdir()
    with pytest.raises(ValueError, match=r"Received: none for \['b'\]"):
        load_folder(root)


def test_fingerprints_tell_contents_and_not_places(write_texts, tmp_path):
    def name(root, **options):
        return load_folder(root, validation_fraction=0, **options)[0].fingerprint

    contents = {"a": numbered("a", 3), "b": ["b"]}
    first = name(write_texts(contents))
    assert first == name(write_texts(contents, tmp_path / "copy"), batch_size=2, seed=1)
    changed = write_texts({**contents, "b": ["B"]}, tmp_path / "other")
    assert len({first, name(changed), name(changed, class_names=["b", "a"])}) == 3
