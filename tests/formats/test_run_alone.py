import numpy as np
import pytest

from tftransfer.formats.run_alone import compute, time_batches


def serve(rows):
    return {
        "logits": rows.astype("float32") * 2,
        "class_id": np.zeros(len(rows), "int64"),
        "label": np.array([b"a"] * len(rows), object),
    }


def test_outputs_of_all_batches_are_joined_and_only_numbers_kept():
    outputs = compute(serve, np.arange(7), 3)
    assert list(outputs) == ["logits"]
    assert outputs["logits"].tolist() == [0, 2, 4, 6, 8, 10, 12]


def test_batches_are_full_however_few_rows_there_are():
    seen = []
    taken = time_batches(lambda rows: seen.append(rows), np.arange(3), 4, 2, 9.0)
    assert [len(rows) for rows in seen] == [4] * 5  # three to warm up
    assert [rows.tolist() for rows in seen[3:]] == [[0, 1, 2, 0], [1, 2, 0, 1]]
    assert len(taken) == 2 and (taken >= 0).all()


@pytest.mark.parametrize(("seconds", "runs"), [(0.0, 3), (1e9, 5)])
def test_time_ends_the_runs_after_three(seconds, runs):
    assert len(time_batches(lambda rows: None, np.arange(3), 1, 5, seconds)) == runs
