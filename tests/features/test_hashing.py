import hashlib
import itertools

import ml_dtypes
import numpy as np
import pytest

from tftransfer.features.hashing import ContentHasher, hash_arrays

ROWS = np.arange(24.0, dtype="float32").reshape(6, 2, 2)
LABELS = np.arange(6)


def hash_in_batches(structure, sizes, ordered=True):
    hasher, start = ContentHasher(ordered), 0
    for size in sizes:
        images, labels = structure
        hasher.add((images[start : start + size], labels[start : start + size]))
        start += size
    return hasher.hexdigest()


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("sizes", [[6], [1] * 6, [4, 2], [2, 0, 4]])
def test_the_cuts_between_batches_make_no_difference(sizes, ordered):
    whole = hash_arrays((ROWS, LABELS), ordered)
    assert hash_in_batches((ROWS, LABELS), sizes, ordered) == whole


def test_the_order_counts_unless_it_is_told_not_to():
    other = np.array([5, 0, 1, 2, 4, 3])
    shuffled = ROWS[other], LABELS[other]
    assert hash_arrays(shuffled) != hash_arrays((ROWS, LABELS))
    same = hash_arrays((ROWS, LABELS), ordered=False)
    assert hash_arrays(shuffled, ordered=False) == same


def test_a_label_stays_with_its_image():
    swapped = LABELS[::-1].copy()
    without_order = {hash_arrays((ROWS, y), ordered=False) for y in (LABELS, swapped)}
    assert len(without_order) == 2


def test_an_example_that_comes_twice_is_not_one_that_comes_once():
    twice = np.concatenate([ROWS, ROWS])
    for ordered in (True, False):
        assert hash_arrays(twice, ordered) != hash_arrays(ROWS, ordered)


def test_all_that_differs_gives_another_identity():
    changed = ROWS.copy()
    changed[3, 1, 1] = np.nextafter(changed[3, 1, 1], 100, dtype="float32")
    contents = [
        ROWS,
        changed,
        ROWS[:5],
        ROWS[:0],
        ROWS.reshape(6, 4),
        ROWS.reshape(6, 4, 1),
        ROWS.view("int32"),
        ROWS.astype("float64"),
        ROWS.astype(ml_dtypes.bfloat16),
        (ROWS,),
        [ROWS],
        (ROWS, None),
        {"image": ROWS},
        {"picture": ROWS},
        (ROWS, LABELS),
        (LABELS, ROWS),
        ((ROWS, LABELS),),
    ]
    for ordered in (True, False):
        found = [hash_arrays(content, ordered) for content in contents]
        for one, other in itertools.combinations(found, 2):
            assert one != other


def test_what_lies_in_memory_otherwise_is_the_same_content():
    whole = hash_arrays(ROWS)
    assert hash_arrays(np.asfortranarray(ROWS)) == whole
    assert hash_arrays(ROWS.astype(">f4")) == whole
    assert hash_arrays(np.repeat(ROWS, 2, axis=0)[::2]) == whole
    first, second = {"a": ROWS, "b": LABELS}, {"b": LABELS, "a": ROWS}
    assert hash_arrays(first) == hash_arrays(second)


def test_text_is_hashed_by_what_it_says():
    whole = hash_arrays(np.array(["a", "bcd", ""]))
    hasher = ContentHasher()
    for batch in (["a"], ["bcd", ""]):
        hasher.add(np.array(batch))  # NumPy gives each batch its own width
    assert hasher.hexdigest() == whole
    assert hash_arrays(np.array(["a", "bcd", ""], object)) == whole
    assert hash_arrays(np.array([b"a", b"bcd", b""])) != whole
    pairs = [[["ab", "c"]], [["a", "bc"]]]
    assert len({hash_arrays(np.array(pair)) for pair in pairs}) == 2


def test_rows_without_numbers_are_counted():
    assert hash_arrays(np.zeros((3, 0))) != hash_arrays(np.zeros((4, 0)))


def test_the_identity_can_be_worked_out_by_hand():
    rows = [hashlib.sha256(b"array['int16()']" + bytes([n, 0])) for n in (1, 2)]
    joined = hashlib.sha256(b"".join(row.digest() for row in rows)).hexdigest()
    expected = hashlib.sha256(f"ordered 2 {joined}".encode()).hexdigest()
    assert hash_arrays(np.array([1, 2], "int16")) == expected
    total = sum(int.from_bytes(row.digest(), "big") for row in rows) % 2**256
    expected = hashlib.sha256(f"any order 2 {hex(total)}".encode()).hexdigest()
    assert hash_arrays(np.array([1, 2], "int16"), ordered=False) == expected


@pytest.mark.parametrize(
    ("batch", "shapes"),
    [
        ((ROWS, LABELS[:4]), r"\[\(6, 2, 2\), \(4,\)\]"),
        ((ROWS, np.float32(1)), r"\[\(6, 2, 2\), \(\)\]"),
        ((), r"\[\]"),
    ],
)
def test_arrays_without_a_common_first_axis_are_refused(batch, shapes):
    with pytest.raises(ValueError, match=f"Received: shapes={shapes}"):
        hash_arrays(batch)


def test_objects_that_are_no_text_are_refused():
    with pytest.raises(TypeError, match="Received: an array with int inside"):
        hash_arrays(np.array([1, "a"], object))
    with pytest.raises(TypeError, match="Received: an array with .* inside"):
        hash_arrays(np.zeros(2, [("a", object)]))
