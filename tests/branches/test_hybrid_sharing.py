import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.alignment.coral import CORAL
from tftransfer.alignment.layer import Alignment
from tftransfer.branches.hybrid_sharing import HybridSharing
from tftransfer.data.labeled_domains import pair_labeled_domains
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.lora.adapters import add_lora
from tftransfer.models import load_model
from tftransfer.training.fine_tune import fine_tune


@pytest.fixture
def pairs(data):
    images, labels = data
    source = tf.data.Dataset.from_tensor_slices((images[:8], labels[:8])).batch(4)
    target = tf.data.Dataset.from_tensor_slices((images[8:], 1 - labels[8:])).batch(2)
    return pair_labeled_domains(source, target)


def test_both_models_give_the_same_before_training(model, data):
    shared = HybridSharing(model, private_depth=1)
    expected = model.predict(data[0], verbose=0)
    np.testing.assert_array_equal(shared.predict(data[0], verbose=0), expected)
    np.testing.assert_allclose(
        shared.source_model.predict(data[0], verbose=0), expected, rtol=1e-6
    )
    both = shared([data[0][:2], data[0][2:5]])
    np.testing.assert_allclose(both, expected[:5], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "depth, private", [(0, []), (1, ["block3"]), (2, ["block2", "block3"])]
)
def test_the_last_blocks_exist_twice(depth, private, model):
    shared = HybridSharing(model, private_depth=depth)
    own = [x.name for x in shared.source_model.layers if x not in model.layers]
    blocks = sorted({name.split("_")[0] for name in own if name.startswith("block")})
    assert blocks == private
    assert "logits_source" in own


def test_the_loss_is_the_weighted_mean_of_both_domains(model, data, pairs):
    shared = HybridSharing(model, private_depth=1)
    (source, target), labels, weights = next(iter(pairs))
    logits = shared([source, target])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found = shared.compute_loss(None, labels, logits, weights)
    one = loss(labels[:4], shared.source_model(source))
    other = loss(labels[4:], model(target))
    np.testing.assert_allclose(found, (one + other) / 2, rtol=1e-5)


@pytest.mark.parametrize("private_depth", [0, 1])
def test_an_alignment_draws_the_features_of_both_together(
    private_depth, model, data, pairs
):
    class MeanDistance(Alignment):
        def distance(self, source, target):
            means = [keras.ops.mean(x, axis=0) for x in (source, target)]
            return keras.ops.sum(keras.ops.square(means[0] - means[1]))

    layer = MeanDistance(0.25, on="features")
    shared = HybridSharing(model, private_depth, layer)
    layer_of_source = shared.source_model.layers[-1]
    layer_of_source.set_weights([np.full((8, 2), 2.0), np.ones(2)])
    (source, target), labels, weights = next(iter(pairs))
    features = keras.Model(model.input, model.get_layer("features").output)
    # Copies have equal weights, so one network gives the features of both.
    means = [np.mean(features(x, training=True), axis=0) for x in (source, target)]
    shared([source, target], training=True)
    np.testing.assert_allclose(
        shared.losses, [0.25 * np.sum((means[0] - means[1]) ** 2)], rtol=1e-4
    )
    logits = shared([source, target])
    assert not shared.losses
    np.testing.assert_allclose(logits[:4], shared.source_model(source), rtol=1e-5)
    np.testing.assert_allclose(logits[4:], model(target), rtol=1e-5)


def test_a_file_of_an_aligned_one_loads(model, data, tmp_path):
    shared = HybridSharing(model, 1, CORAL(0.5))
    shared.save(tmp_path / "shared.keras")
    loaded = load_model(tmp_path / "shared.keras")
    assert loaded.alignment.weight == 0.5
    np.testing.assert_array_equal(
        shared.predict(data[0], verbose=0), loaded.predict(data[0], verbose=0)
    )


@pytest.mark.slow
def test_fixed_layers_stay_shared_ones_learn_and_private_ones_part(model, pairs, data):
    shared = HybridSharing(model, private_depth=1)
    before = {x.name: x.get_weights() for x in model.layers if x.weights}
    history = fine_tune(
        *(shared, pairs),
        validation_data=data,
        epochs=3,
        trainable_depth=2,
        verbose=0,
    )
    assert "val_accuracy" in history.history

    def moved(name):
        after = model.get_layer(name).get_weights()
        pairs = zip(before[name], after, strict=True)
        return any((a != b).any() for a, b in pairs)

    assert [moved(f"block{n}_conv") for n in (1, 2, 3)] == [False, True, True]
    one = shared.source_model.get_layer("block3_conv_source").kernel
    assert (np.array(one) != model.get_layer("block3_conv").kernel).any()
    # Statistics rest in the source's own copy as they do in the target's.
    copy = shared.source_model.get_layer("block3_bn_source")
    np.testing.assert_array_equal(copy.moving_mean, before["block3_bn"][2])


def test_the_depth_counts_for_both_copies(model):
    shared = HybridSharing(model, private_depth=2)
    set_trainable_depth(shared, 1)
    own = shared.source_model
    names = ["block2_conv_source", "block3_conv_source", "logits_source"]
    assert [own.get_layer(name).trainable for name in names] == [False, True, True]
    assert not own.get_layer("block1_conv").trainable


@pytest.mark.parametrize("private_depth", [0, 1, 2])
def test_a_file_of_it_loads_with_both_models(private_depth, model, data, tmp_path):
    shared = HybridSharing(model, private_depth)
    layer = shared.source_model.get_layer("logits_source")
    layer.set_weights([np.ones((8, 2)), np.ones(2)])
    shared.save(tmp_path / "shared.keras")
    loaded = load_model(tmp_path / "shared.keras")
    assert loaded.private_depth == private_depth
    for one, other in ((shared, loaded), (shared.source_model, loaded.source_model)):
        np.testing.assert_array_equal(
            one.predict(data[0], verbose=0), other.predict(data[0], verbose=0)
        )


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(ValueError, match="from 0 to 3.*trainable_depth=4"):
        HybridSharing(model, private_depth=4)
    with pytest.raises(TypeError, match="functional keras.Model.*type int"):
        HybridSharing(3)


def test_adapters_in_private_blocks_are_refused(model):
    add_lora(model, 1, targets="block3")
    with pytest.raises(ValueError, match="no adapters in the blocks.*'block3_conv'"):
        HybridSharing(model, private_depth=1)
    assert HybridSharing(model, private_depth=0).source_model is not None
