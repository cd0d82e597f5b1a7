import csv
import json
import os

import pytest

import tftransfer as tft


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_is_answered_to_its_depth(photos, stub, tmp_path):
    model, output = stub(), tmp_path / "new" / "out.csv"
    done = tft.batch_predict(model, photos, output, batch_size=4, verbose=0)
    assert (done.num_rows, done.num_errors, done.num_resumed) == (11, 1, 0)
    assert str(done) == (
        f"11 rows in {output}; 1 could not be read: see the column error"
    )
    assert [len(rows) for rows in model.asked] == [4, 4, 3]
    rows = read(output)
    names = [f"part0/{x}.png" for x in "acegi"]
    names += [f"part1/{x}.png" for x in ("b", "broken", "d", "f", "h", "j")]
    assert [row["source"] for row in rows] == [str(photos / name) for name in names]
    # ord("a") * (1, 2, 3) modulo 7 is 6, 5, 4.
    assert rows[0]["label"] == "a" and rows[0]["error"] == ""
    found = [float(rows[0][f"probability of {name}"]) for name in "abc"]
    assert found == pytest.approx([6 / 7, 5 / 7, 4 / 7])
    assert float(rows[0]["probability"]) == pytest.approx(6 / 7)
    broken = rows[6]
    assert broken["error"].startswith("begins with b'no image'")
    assert broken["label"] == broken["probability of a"] == ""
    assert [file.name for file in output.parent.iterdir()] == ["out.csv"]


def test_all_kinds_of_output_hold_the_same(photos, stub, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = [tmp_path / f"out{suffix}" for suffix in (".csv", ".jsonl", ".parquet")]
    for path in paths:
        tft.batch_predict(stub(), photos, path, verbose=0)
    wanted = [
        {name: value for name, value in row.items() if value} for row in read(paths[0])
    ]
    lines = [json.loads(line) for line in paths[1].read_text().splitlines()]
    assert [{k: str(v) for k, v in row.items()} for row in lines] == wanted
    table = parquet.read_table(paths[2])
    assert table.column_names == list(read(paths[0])[0])
    for row, line in zip(table.to_pylist(), lines, strict=True):
        told = {name: value for name, value in row.items() if value is not None}
        assert told == pytest.approx(line)


@pytest.mark.parametrize("stop_at", [1, 2, 4])
def test_a_stopped_run_goes_on_and_ends_the_same(stop_at, photos, stub, tmp_path):
    whole, output = tmp_path / "whole.csv", tmp_path / "out.csv"
    tft.batch_predict(stub(), photos, whole, batch_size=3, verbose=0)
    model = stub()
    model.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        tft.batch_predict(model, photos, output, batch_size=3, verbose=0)
    assert not output.exists()
    model = stub()
    done = tft.batch_predict(model, photos, output, batch_size=3, verbose=0)
    assert done.num_resumed == 3 * (stop_at - 1)
    assert len(model.asked) == 4 - (stop_at - 1)
    assert output.read_bytes() == whole.read_bytes()


def test_other_rows_or_another_model_begin_anew(photos, stub, tmp_path):
    output = tmp_path / "out.csv"

    def stop_then_go_on(change, names=("a", "b", "c")):
        model = stub()
        model.stop_at = 3
        with pytest.raises(KeyboardInterrupt):
            tft.batch_predict(
                model, photos, output, batch_size=3, overwrite=True, verbose=0
            )
        change()
        done = tft.batch_predict(
            stub(names=names),
            photos,
            output,
            batch_size=3,
            overwrite=True,
            verbose=0,
        )
        return done.num_resumed

    assert stop_then_go_on(lambda: None) == 6
    assert stop_then_go_on(lambda: None, names=("x", "y", "z")) == 0
    changed = photos / "part1" / "broken.png"
    assert stop_then_go_on(lambda: changed.write_text("other")) == 0


def test_a_table_of_texts(stub, tmp_path):
    table = tmp_path / "reviews.csv"
    table.write_text("id,review\n1,fine\n2,\n3,dull and long\n")
    output, model = tmp_path / "out.csv", stub("texts")
    done = tft.batch_predict(model, table, output, text_column="review", verbose=0)
    assert model.asked == [["fine", "dull and long"]]
    rows = read(output)
    assert [row["row"] for row in rows] == ["1", "2", "3"]
    assert [row["error"] for row in rows] == ["", "is empty in the table", ""]
    assert done.num_errors == 1


def test_a_table_of_images_has_paths_relative_to_it(photos, stub, tmp_path):
    table = photos / "list.tsv"
    table.write_text("image\tnote\npart0/a.png\tx\n\ty\nlost.png\tz\n")
    output, model = tmp_path / "out.csv", stub()
    tft.batch_predict(model, table, output, verbose=0)
    assert model.asked == [[str(photos / "part0/a.png"), str(photos / "lost.png")]]
    errors = [row["error"] for row in read(output)]
    assert errors == ["", "is empty in the table", "is not there"]


def test_several_labels_and_values(stub, tmp_path):
    output = tmp_path / "out.csv"
    model = stub("texts", "multi_label")
    # 4 * (1, 2, 3) modulo 7 is 4, 1, 5.
    tft.batch_predict(model, ["four", "seven77"], output, verbose=0)
    assert [row["labels"] for row in read(output)] == ["a;c", ""]
    model = stub("texts", "regression", ("width", "height"))
    tft.batch_predict(model, ["four"], output, overwrite=True, verbose=0)
    (row,) = read(output)
    assert list(row) == ["row", "width", "height", "error"]
    assert float(row["width"]) == pytest.approx(4 / 7)


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        ("", {"output": "out.txt"}, ValueError, r"`output` must be one of.*'\.txt'"),
        ("", {"batch_size": 0}, ValueError, "Received: batch_size=0"),
        ("lost", {}, FileNotFoundError, "which is not there"),
        ("empty", {}, ValueError, "where there is none"),
        ([], {}, TypeError, r"Received: rows=\[\]"),
        ([3], {}, TypeError, r"Received: rows=\[3\]"),
        ("list.csv", {}, ValueError, "`image_column` must be a column of the table"),
        ("list.csv", {"kind": "texts"}, ValueError, "Received: text_column='text'"),
        ("part0/a.png", {"kind": "texts"}, ValueError, "Name the texts' column"),
        ("", {"kind": "numbers"}, ValueError, "Received: a model of numbers"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(
    rows, options, error, message, photos, stub, tmp_path
):
    (photos / "empty").mkdir()
    (photos / "list.csv").write_text("file,review\na.png,x\n")
    model = stub(options.pop("kind", "images"))
    given = rows if isinstance(rows, list) else photos / rows
    output = tmp_path / options.pop("output", "out.csv")
    with pytest.raises(error, match=message):
        tft.batch_predict(model, given, output, verbose=0, **options)
    assert not model.asked
    assert not output.exists()


def test_an_output_that_exists_is_kept(photos, stub, tmp_path):
    output = tmp_path / "out.csv"
    output.write_text("mine")
    with pytest.raises(ValueError, match="which exists"):
        tft.batch_predict(stub(), photos, output, verbose=0)
    assert output.read_text() == "mine"


def test_values_named_as_other_columns_have_columns_of_their_own(stub, tmp_path):
    output = tmp_path / "out.csv"
    model = stub("texts", "regression", ("row", "error", "width"))
    tft.batch_predict(model, ["ab", "abc"], output, verbose=0)
    rows = read(output)
    assert list(rows[0]) == ["row", "value of row", "value of error", "width", "error"]
    assert [row["row"] for row in rows] == ["1", "2"]
    # Lengths 2 and 3 times (1, 2, 3), modulo 7, of 7.
    assert float(rows[1]["value of error"]) == pytest.approx(6 / 7)
    assert {row["error"] for row in rows} == {""}


def test_names_that_are_no_utf8_go_into_parquet(stub, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    folder, output = tmp_path / "photos", tmp_path / "out.parquet"
    folder.mkdir()
    with open(os.fsencode(folder) + b"/a\xff.png", "wb") as file:
        file.write(b"\x89PNG")
    tft.batch_predict(stub(), folder, output, verbose=0)
    (row,) = parquet.read_table(output).to_pylist()
    assert row["source"] == f"{folder}/a\\udcff.png" and row["label"] == "a"
