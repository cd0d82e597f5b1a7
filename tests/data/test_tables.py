import numpy as np
import pytest
from PIL import Image

from tftransfer.data.tables import load_table


@pytest.fixture
def make_table(make_folder):
    """Write a CSV over ten images; columns are given as lists of ten."""

    def write(**columns):
        root = make_folder({"images": 10})
        columns = {"file": [f"images/{i:03d}.png" for i in range(10)], **columns}
        lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
        (root / "table.csv").write_text("\n".join(lines) + "\n")
        return root / "table.csv"

    return write


def gather(dataset):
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_paths_are_relative_to_the_table_and_labels_stay_with_images(make_table):
    table = make_table(kind=list("abababcbac"))
    (dataset,) = load_table(
        table, "file", "kind", image_size=None, validation_fraction=1.0
    )
    images, labels = gather(dataset)
    for i in range(10):
        path = table.parent / "images" / f"{i:03d}.png"
        np.testing.assert_array_equal(images[i], np.asarray(Image.open(path)))
    assert labels.tolist() == [0, 1, 0, 1, 0, 1, 2, 1, 0, 2]
    assert dataset.class_names == ["a", "b", "c"]


def test_the_split_is_stratified_and_reproducible(make_table):
    table = make_table(kind=["x"] * 5 + ["y"] * 5)
    options = dict(image_size=4, validation_fraction=0.4)
    train, validation = load_table(table, "file", "kind", **options)
    again = load_table(table, "file", "kind", **options)
    assert np.bincount(gather(train)[1]).tolist() == [3, 3]
    assert np.bincount(gather(validation)[1]).tolist() == [2, 2]
    assert validation.file_paths == again[1].file_paths
    assert train.split_name == "train" and gather(train)[0].shape[1:] == (4, 4, 3)


def test_several_columns_make_multi_label_data(make_table):
    table = make_table(crack=["0", "1"] * 5, finger=["1"] * 10)
    (train,) = load_table(
        table, "file", ["crack", "finger"], image_size=None, validation_fraction=0
    )
    labels = gather(train)[1]
    assert labels.dtype == np.float32 and labels.sum(axis=0).tolist() == [5, 10]
    assert train.class_names == ["crack", "finger"]


def test_regression_gives_values(make_table):
    table = make_table(power=[f"{i}.5" for i in range(10)])
    (dataset,) = load_table(
        table,
        "file",
        "power",
        image_size=None,
        task="regression",
        validation_fraction=1.0,
    )
    np.testing.assert_array_equal(gather(dataset)[1][:, 0], np.arange(10) + 0.5)


def test_missing_columns_are_named_beside_those_there_are(make_table):
    table = make_table(kind=["x", "y"] * 5)
    with pytest.raises(ValueError, match=r"\['file', 'kind'\]. Received: column='kin'"):
        load_table(table, "file", "kin", image_size=None)
    with pytest.raises(ValueError, match="Received: column='path'"):
        load_table(table, "path", "kind", image_size=None)


def test_missing_images_are_named_by_row_even_behind_blank_lines(make_table):
    table = make_table(kind=["x", "y"] * 5)
    text = table.read_text().replace("images/003.png", "images/lost.png")
    table.write_text(text.replace("\n", "\n\n", 1))
    with pytest.raises(
        FileNotFoundError, match="Received: 1 that .* row 6: 'images/lost.png'"
    ):
        load_table(table, "file", "kind", image_size=None)


def test_nan_labels_are_named_by_row(make_table):
    table = make_table(kind=["x", "y", "nan", "x", ""] * 2)
    with pytest.raises(ValueError, match=r"Received: .* 4 row\(s\): \[4, 6, 9, 11\]"):
        load_table(table, "file", "kind", image_size=None)


def test_broken_images_are_refused_or_skipped_by_row(make_table):
    table = make_table(kind=["x", "y"] * 5)
    (table.parent / "images" / "004.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"Received: 1 file.*row 6: 'images/004.png'"):
        load_table(table, "file", "kind", image_size=None)
    with pytest.warns(UserWarning, match="Skipped 1 .*row 6"):
        (dataset,) = load_table(
            table,
            "file",
            "kind",
            image_size=None,
            validation_fraction=1.0,
            on_corrupt="skip",
        )
    assert gather(dataset)[1].tolist() == [0, 1, 0, 1, 1, 0, 1, 0, 1]


def test_images_of_which_none_is_whole_are_refused_even_when_skipping(make_table):
    table = make_table(kind=["x", "y"] * 5)
    for path in (table.parent / "images").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"Received: 10 file\(s\).*row 2: 'images/000"):
        load_table(table, "file", "kind", image_size=None, on_corrupt="skip")


def test_a_table_without_rows_is_refused(tmp_path):
    (tmp_path / "empty.csv").write_text("file,kind\n")
    with pytest.raises(ValueError, match="Received: csv=.* no rows"):
        load_table(tmp_path / "empty.csv", "file", "kind", image_size=None)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="Received: csv=.*no.csv"):
        load_table(tmp_path / "no.csv", "file", "kind", image_size=None)
