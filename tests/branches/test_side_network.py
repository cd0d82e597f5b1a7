import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.branches.side_network import add_side_network
from tftransfer.freezing.blocks import model_blocks
from tftransfer.training.fine_tune import fine_tune


def test_nothing_changes_before_it_has_learned(model, data):
    wider = add_side_network(model, widths=(2, 3))
    np.testing.assert_array_equal(
        wider.predict(data[0], verbose=0), model.predict(data[0], verbose=0)
    )


@pytest.mark.slow
def test_the_backbone_keeps_its_blocks_and_stays_frozen(model, data):
    wider = add_side_network(model, widths=(2, 3))
    assert [block.name for block in model_blocks(wider)] == [
        "block1",
        "block2",
        "block3",
    ]
    before = [weight.numpy() for weight in model.get_layer("block3_bn").weights]
    loss = wider.evaluate(*data, verbose=0)[0]
    fine_tune(
        *(wider, data),
        strategy="feature_extractor_network",
        epochs=4,
        seed=0,
        verbose=0,
    )
    after = [weight.numpy() for weight in model.get_layer("block3_bn").weights]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(wider.get_layer("side_conv1").kernel).max() > 0
    assert wider.evaluate(*data, verbose=0)[0] < loss


def test_what_the_network_makes_is_added_to_the_features(model, data):
    def network(images):
        return layers.GlobalMaxPooling2D()(images)

    wider = add_side_network(model, widths=network)
    kernel = np.arange(24, dtype="float32").reshape(3, 8)
    wider.get_layer("side").set_weights([kernel, np.ones(8)])
    features = keras.Model(model.input, model.get_layer("features").output)
    resized = keras.Model(model.input, model.get_layer("resizing").output)
    brightest = resized.predict(data[0], verbose=0).max(axis=(1, 2))
    total = features.predict(data[0], verbose=0) + brightest @ kernel + 1
    head = model.get_layer("logits")
    np.testing.assert_allclose(
        wider.predict(data[0], verbose=0), head(total), rtol=1e-4, atol=1e-2
    )


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(ValueError, match="must have no side network yet"):
        add_side_network(add_side_network(model, (2,)), (2,))
    with pytest.raises(TypeError, match=r"`widths` must be a tuple.*widths=\(\)"):
        add_side_network(model, ())
    with pytest.raises(ValueError, match="`widths` must be"):
        add_side_network(model, (4, 0))
    inputs = keras.Input((4,))
    vectors = keras.Model(inputs, layers.Dense(2, name="features")(inputs))
    with pytest.raises(ValueError, match=r"must take images.*inputs \(None, 4\)"):
        add_side_network(vectors)
