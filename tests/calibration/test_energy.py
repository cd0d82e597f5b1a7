import keras
import numpy as np
import pytest

from tftransfer.calibration.energy import Energy


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_energy_is_that_of_the_formula(rng, temperature):
    logits = 3 * rng.normal(size=(20, 5))
    expected = -temperature * np.log(np.exp(logits / temperature).sum(axis=1))
    np.testing.assert_allclose(Energy(temperature)(logits), expected, rtol=1e-5)


def test_energy_of_several_labels_adds_that_of_each(rng):
    logits = 3 * rng.normal(size=(20, 5))
    expected = sum(
        Energy()(np.stack([np.zeros(20), logits[:, k]], axis=1)) for k in range(5)
    )
    found = Energy(multi_label=True)(logits)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_what_is_added_to_all_logits_lowers_the_energy(rng):
    # Softmax would see no difference.
    logits = rng.normal(size=(20, 5))
    np.testing.assert_allclose(Energy()(logits + 4), Energy()(logits) - 4, rtol=1e-4)


def test_large_logits_stay_finite():
    assert np.asarray(Energy()(np.array([[1e4, 0.0]]))).tolist() == [-1e4]


def test_it_keeps_its_settings():
    layer = Energy(2.0, multi_label=True)
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert (copy.temperature, copy.multi_label) == (2.0, True)


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="Received: temperature=0"):
        Energy(0)
