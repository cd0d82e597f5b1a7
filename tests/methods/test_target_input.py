import numpy as np
import pytest

from tftransfer.methods.target_input import first_guess, target_input


@pytest.mark.parametrize("units", ["source", "target"])
def test_rows_and_scaling_belong_together(moved, units):
    rows, scaling = target_input(moved[0], units)
    np.testing.assert_array_equal(scaling(moved[0].target), rows)


def test_what_a_method_starts_from(moved):
    assert first_guess(*moved[:2], "source") is moved[1]
    assert first_guess(*moved[:2], "target").name == "adabn"


def test_other_units_are_refused(moved):
    with pytest.raises(ValueError, match="Received: units='both'"):
        target_input(moved[0], "both")
