import pytest

from tftransfer.scoring.journal import Journal

JOB = {"model": "a", "batch_size": 2}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / ".partial-out.csv"
    with Journal(path, JOB) as journal:
        journal.append([[0.1, 0.9], "is not there"])
        journal.append([[1e-45, 1.0]])
    return path


def test_what_was_written_comes_back(path):
    with Journal(path, JOB) as journal:
        assert journal.num_batches == 2
        assert list(journal) == [[[0.1, 0.9], "is not there"], [[1e-45, 1.0]]]


@pytest.mark.parametrize("cut", [1, 5, 14])
def test_a_line_that_was_cut_off_is_dropped(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, JOB) as journal:
        assert journal.num_batches == 1
        journal.append(["again"])
        assert list(journal) == [[[0.1, 0.9], "is not there"], ["again"]]


def test_a_first_line_that_was_cut_off_begins_anew(path):
    path.write_bytes(path.read_bytes()[:10])
    with Journal(path, JOB) as journal:
        assert journal.num_batches == 0
        assert list(journal) == []


def test_another_job_begins_anew(path):
    with Journal(path, JOB | {"model": "b"}) as journal:
        assert journal.num_batches == 0


def test_two_at_once_are_refused(path):
    with Journal(path, JOB):
        with pytest.raises(ValueError, match="Wait for it, or choose another output"):
            Journal(path, JOB)
    Journal(path, JOB).remove()
    assert not list(path.parent.iterdir())
