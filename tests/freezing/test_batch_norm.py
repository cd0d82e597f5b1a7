import keras
import pytest
from keras import layers

from tftransfer.freezing.batch_norm import (
    POLICIES,
    apply_batch_norm,
    batch_norm_mode,
    batch_norms,
)


def build(**options):
    layer = layers.BatchNormalization(**options)
    layer.build((None, 3))
    return layer


@pytest.mark.parametrize("policy", POLICIES)
def test_the_mode_read_is_the_policy_set(policy):
    layer = build()
    apply_batch_norm(layer, policy)
    assert batch_norm_mode([layer]) == policy
    assert not layer.moving_mean.trainable


def test_one_without_scale_and_offset_has_nothing_to_free():
    layer = build(scale=False, center=False)
    apply_batch_norm(layer, "inference")
    assert not layer.trainable
    assert batch_norm_mode([layer]) == "frozen"


def test_those_inside_another_layer_are_found():
    inner = keras.Sequential([layers.Dense(3), layers.BatchNormalization()])
    inner.build((None, 3))
    apply_batch_norm(inner, "inference")
    (found,) = batch_norms(inner)
    assert found.gamma.trainable
    assert not found.trainable
    assert inner.layers[0].trainable


def test_different_modes_are_mixed_and_none_is_none():
    learning, frozen = build(), build()
    apply_batch_norm(frozen, "frozen")
    assert batch_norm_mode([learning, frozen]) == "mixed"
    assert batch_norm_mode([layers.Dense(2)]) is None
