import numpy as np

from tftransfer.methods.unit_rows import unit_rows


def test_products_are_cosines(rng):
    rows = rng.normal(size=(5, 3))
    angles = np.arccos(np.clip(unit_rows(rows) @ unit_rows(rows).T, -1, 1))
    turned = np.arccos(
        rows[0] @ rows[1] / np.sqrt(rows[0] @ rows[0] * rows[1] @ rows[1])
    )
    np.testing.assert_allclose(angles[0, 1], turned)


def test_a_row_of_zeros_has_no_direction():
    assert unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [
        [0.6, 0.8],
        [0, 0],
    ]
