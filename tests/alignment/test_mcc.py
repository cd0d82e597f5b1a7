import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.alignment.mcc import mcc_loss


def numpy_mcc(logits, temperature):
    """Equations 2 to 6 of the paper, word for word, in float64."""
    scaled = np.asarray(logits, "float64") / temperature
    p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    batch, classes = p.shape
    entropy = -(p * np.log(p)).sum(axis=1)
    w = batch * (1 + np.exp(-entropy)) / (1 + np.exp(-entropy)).sum()
    confusion = np.zeros((classes, classes))
    for i in range(batch):
        confusion += w[i] * np.outer(p[i], p[i])
    confusion /= confusion.sum(axis=1, keepdims=True)
    return (confusion.sum() - np.trace(confusion)) / classes


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_value_is_that_of_the_paper(rng, temperature):
    logits = 3 * rng.normal(size=(12, 4))
    found = float(mcc_loss(logits, temperature))
    assert found == pytest.approx(numpy_mcc(logits, temperature), rel=1e-6)
    half = float(mcc_loss(logits.astype("float16"), temperature))
    assert half == pytest.approx(found, rel=5e-3)


def test_certain_and_undecided_rows():
    assert float(mcc_loss(100 * np.eye(3))) == pytest.approx(0.0, abs=1e-6)
    assert float(mcc_loss(np.zeros((5, 4)))) == pytest.approx(0.75, rel=1e-5)
    alike = np.tile([[50.0, 0.0, 0.0]], (4, 1))  # two classes that no row resembles
    assert 0 <= float(mcc_loss(alike)) < 0.7


def test_gradient_is_finite_for_extreme_logits():
    logits = tf.Variable([[1e4, -1e4], [0.0, 0.0], [-1e4, 1e4]])
    with tf.GradientTape() as tape:
        loss = mcc_loss(logits)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_the_layer_reads_the_target_alone(rng):
    logits = rng.normal(size=(6, 3)).astype("float32")
    layer = tft.MCC(weight=0.5, temperature=2.0)
    loss = layer({"logits": np.full((4, 3), np.nan)}, {"logits": logits})
    assert float(loss) == pytest.approx(0.5 * numpy_mcc(logits, 2.0), rel=1e-5)
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.weight, again.temperature) == (0.5, 2.0)


@pytest.mark.parametrize("temperature", [0, -1.0])
def test_temperatures_are_above_zero(temperature):
    with pytest.raises(ValueError, match=f"Received: temperature={temperature}"):
        tft.MCC(temperature=temperature)
