import numpy as np
import pytest

from tftransfer.alignment.layer import Alignment

DOMAINS = (
    {"features": np.zeros((2, 3)), "logits": np.zeros((2, 2))},
    {"features": np.ones((2, 3)), "logits": np.full((2, 2), 2.0)},
)


class MeanDistance(Alignment):
    def distance(self, source, target):
        return ((target - source) ** 2).numpy().mean() + 0 * source[0, 0]


@pytest.mark.parametrize(
    ("on", "features_learn", "expected"),
    [
        ("features", False, 1.0),
        ("logits", True, 4.0),
        ("auto", True, 1.0),
        ("auto", False, 4.0),
    ],
)
def test_place_of_the_alignment(on, features_learn, expected):
    layer = MeanDistance(on=on)
    assert float(layer(*DOMAINS, features_learn=features_learn)) == expected


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_that_are_no_factor_are_refused(weight):
    with pytest.raises(ValueError, match="Received: weight="):
        Alignment(weight=weight)


def test_wrong_types_and_places_are_refused():
    with pytest.raises(TypeError, match="Received: weight='much' of type str"):
        Alignment(weight="much")
    with pytest.raises(ValueError, match="Received: on='pixels'"):
        Alignment(on="pixels")


def test_a_subclass_must_define_the_distance():
    with pytest.raises(NotImplementedError, match="must define `distance`"):
        Alignment()(*DOMAINS)
