import numpy as np

from tftransfer.ranking.scoring import draw_rows


def test_all_rows_are_taken_where_there_are_few():
    np.testing.assert_array_equal(draw_rows(np.zeros(5), 5, seed=0), np.arange(5))


def test_classes_keep_their_shares(rng):
    labels = rng.permutation(np.repeat([0, 1, 2], [700, 200, 100]))
    drawn = draw_rows(labels, 50, seed=0)
    assert len(set(drawn)) == 50 and (np.diff(drawn) > 0).all()
    assert np.bincount(labels[drawn]).tolist() == [35, 10, 5]
    assert (drawn != draw_rows(labels, 50, seed=1)).any()


def test_values_keep_their_spread():
    values = np.stack([np.arange(1000.0), np.zeros(1000)], axis=1)
    assert draw_rows(values, 4, seed=0).tolist() == [125, 375, 625, 875]
