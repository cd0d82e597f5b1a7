import codecs
import csv
import io

import pytest

from tftransfer.asking.labels_file import (
    make_row_id,
    read_labels,
    to_cell,
    write_table,
)

CLASSES = ["cat", "dog", "Grüße"]
IDS = {row: make_row_id(row, CLASSES) for row in (12, 3, 40)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "to_label.csv"


def fill(path, lines, header="row,label,preview", encoding="utf-8"):
    path.write_bytes("\r\n".join([header, *lines]).encode(encoding) + b"\r\n")
    return path


def test_labels_come_back_in_the_order_of_the_file_or_of_the_question(path):
    fill(path, [f"{IDS[3]},dog,", f"{IDS[12]},cat,", f"{IDS[40]},,"])
    assert list(read_labels(path, CLASSES).items()) == [(3, "dog"), (12, "cat")]
    asked = read_labels(path, CLASSES, rows=[12, 40, 3])
    assert list(asked.items()) == [(12, "cat"), (3, "dog")]


def test_a_file_as_written_has_no_labels(path):
    write_table(path, IDS.values(), [['a, "b"', "cat", "dog"]] * 3)
    assert read_labels(path, CLASSES, rows=list(IDS)) == {}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_what_spreadsheets_save_is_understood(path, separator, encoding):
    table = io.StringIO()
    writer = csv.writer(table, delimiter=separator)
    writer.writerow(["preview", "Label", "row", "mine"])
    writer.writerow(["one, two; three", " Grüße ", IDS[12].upper(), "?"])
    writer.writerow(["", "", "", ""])
    writer.writerow(["x\ny", "dog", IDS[3], ""])
    path.write_bytes(table.getvalue().encode(encoding))
    assert read_labels(path, CLASSES) == {12: "Grüße", 3: "dog"}


def test_a_line_that_names_the_separator_and_missing_cells_do_no_harm(path):
    path.write_text(f"sep=;\nrow;label\n{IDS[12]};dog\n{IDS[3]}\n")
    assert read_labels(path, CLASSES) == {12: "dog"}
    assert path.read_bytes()[:3] != codecs.BOM_UTF8


def test_a_deleted_line_is_a_row_without_a_label(path):
    fill(path, [f"{IDS[12]},cat,"])
    assert read_labels(path, CLASSES, rows=list(IDS)) == {12: "cat"}


@pytest.mark.parametrize(
    ("classes", "cell", "label"),
    [
        (CLASSES, "DOG", "dog"),
        (["01", "02"], "1", "01"),
        ([0, 1, 2], "1", 1),
        ([0, 1, 2], "1.0", 1),
        ([0, 1, 2], "2,0", 2),
        (["a  b", "c"], "A b", "a  b"),
        (["Cat", "cat"], "cat", "cat"),
    ],
)
def test_a_label_may_be_written_in_another_way(path, classes, cell, label):
    quoted = f'"{cell}"'
    fill(path, [f"{make_row_id(5, classes)},{quoted}"])
    read = read_labels(path, classes)[5]
    assert read == label and type(read) is type(label)


def test_one_thing_that_could_mean_two_classes_is_refused(path):
    classes = ["Cat", "cat"]
    fill(path, [f"{make_row_id(5, classes)},CAT"])
    with pytest.raises(ValueError, match="with label 'CAT' in line 2"):
        read_labels(path, classes)


def test_an_unknown_label_is_named_with_its_line(path):
    fill(path, [f"{IDS[12]},cat,", f"{IDS[3]},horse,"])
    with pytest.raises(
        ValueError, match=r"labels out of 'cat', 'dog', .*with label 'horse' in line 3"
    ):
        read_labels(path, CLASSES)


def edited(row_id):
    return row_id.replace("r12", "r13"), row_id[:-1] + "x", "12", "=A1", "Dec 12"


@pytest.mark.parametrize("row_id", [*edited(IDS[12]), ""])
def test_an_edited_or_missing_row_id_is_noticed(path, row_id):
    fill(path, [f"{IDS[3]},dog,", f"{row_id},cat,"])
    with pytest.raises(ValueError, match="must keep the column row.*Received.*line 3"):
        read_labels(path, CLASSES)


def test_a_column_that_slipped_by_a_line_is_noticed(path):
    fill(path, [f"{IDS[3]},dog,", ",cat,"])
    with pytest.raises(ValueError, match="with no row id in line 3"):
        read_labels(path, CLASSES)


def test_a_row_that_occurs_twice_is_noticed(path):
    fill(path, [f"{IDS[3]},dog,", f"{IDS[12]},,", f"{IDS[3]},dog,"])
    with pytest.raises(ValueError, match=f"'{IDS[3]}' is in line 2 and in line 4"):
        read_labels(path, CLASSES)


@pytest.mark.parametrize(
    "theirs",
    [make_row_id(3, CLASSES, "other data"), make_row_id(3, ["cat", "dog"])],
    ids=["other data", "other classes"],
)
def test_the_ids_of_another_file_are_noticed(path, theirs):
    fill(path, [f"{theirs},dog,"])
    with pytest.raises(ValueError, match="with the row ids of another one"):
        read_labels(path, CLASSES)


def test_a_row_that_was_not_asked_is_noticed(path):
    fill(path, [f"{IDS[3]},dog,", f"{IDS[12]},dog,"])
    with pytest.raises(ValueError, match="with row 12 in line 3, which was not"):
        read_labels(path, CLASSES, rows=[3, 40])


@pytest.mark.parametrize("content", ["", "\n\n", "id,label\n1,2\n", "row label\n"])
def test_a_file_without_its_columns_is_refused(path, content):
    path.write_text(content)
    with pytest.raises(ValueError, match="Received: path=.* beginning with"):
        read_labels(path, CLASSES)


def test_a_file_that_is_not_there_is_refused(path):
    with pytest.raises(ValueError, match=r"Received: path=.*to_label\.csv', No such"):
        read_labels(path, CLASSES)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1"])
def test_no_cell_is_a_formula(text):
    assert to_cell(text).startswith("'")


def test_ids_look_like_no_number_and_no_date_and_differ():
    ids = {make_row_id(row, CLASSES) for row in range(2000)}
    assert len({row_id.split("-")[1] for row_id in ids}) > 1990
    assert all(row_id.startswith("r") for row_id in ids)
