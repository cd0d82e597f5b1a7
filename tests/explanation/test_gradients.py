import numpy as np
from keras import ops

from tftransfer.explanation.gradients import gradient_of_sum


def test_the_gradient_is_that_by_hand(rng):
    point = rng.normal(size=(4, 3)).astype("float32")
    found = gradient_of_sum(lambda x: ops.sin(x) * x, point)
    expected = np.cos(point) * point + np.sin(point)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), expected, rtol=1e-4, atol=1e-6
    )


def test_what_does_not_matter_has_no_gradient():
    point = np.ones((2, 3), "float32")
    found = ops.convert_to_numpy(gradient_of_sum(lambda x: x[:, :1], point))
    np.testing.assert_array_equal(found, [[1, 0, 0]] * 2)
