import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.alignment.coral import CORAL
from tftransfer.branches.residual_adapter import ResidualAdapter, add_residual_adapters
from tftransfer.branches.side_network import add_side_network
from tftransfer.data.domains import pair_domains
from tftransfer.freezing.blocks import model_blocks
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.models import AlignedModel, load_model
from tftransfer.training.fine_tune import fine_tune
from tftransfer.validation.model_outputs import reader_of


@pytest.mark.parametrize("shape", [(5, 4), (5, 3, 4), (5, 3, 2, 4)])
def test_the_layer_adds_what_the_equation_says(shape, rng):
    layer = ResidualAdapter(3)
    x = rng.normal(size=shape).astype("float32")
    np.testing.assert_array_equal(layer(x), x)
    values = [rng.normal(size=w.shape).astype("float32") for w in layer.weights]
    layer.set_weights(values)
    down, down_bias, up, up_bias = values
    expected = x + np.maximum(x @ down + down_bias, 0) @ up + up_bias
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_nothing_changes_before_the_adapters_have_learned(model, data):
    adapted = add_residual_adapters(model, width=2)
    np.testing.assert_array_equal(
        adapted.predict(data[0], verbose=0), model.predict(data[0], verbose=0)
    )


def test_each_block_has_one_and_only_they_and_the_head_learn(model):
    adapted = add_residual_adapters(model, width=2)
    names = [block.name for block in model_blocks(adapted)]
    assert names == ["block1", "block2", "block3"]
    learning = {weight.path.rsplit("/", 1)[0] for weight in adapted.trainable_weights}
    assert {
        name.split("/")[-2] if "adapter" in name else name for name in learning
    } == {
        "block1_relu_adapter",
        "block2_relu_adapter",
        "block3_relu_adapter",
        "logits",
    }
    # (4*2 + 2 + 2*4 + 4) + (6*2 + 2 + 2*6 + 6) + (8*2 + 2 + 2*8 + 8), and the head
    count = sum(int(np.prod(w.shape)) for w in adapted.trainable_weights)
    assert count == 22 + 32 + 42 + 8 * 2 + 2


def test_the_depth_counts_adapters_of_the_last_blocks(model):
    adapted = add_residual_adapters(model, width=2)
    set_trainable_depth(adapted, 1)
    open_layers = [x.name for x in adapted.layers if x.trainable_weights]
    assert open_layers == ["block3_relu_adapter", "logits"]


@pytest.mark.slow
def test_training_leaves_the_backbone_as_it_was(model, data):
    adapted = add_residual_adapters(model, width=2)
    pretrained = [x for x in adapted.layers if x.name.endswith(("_conv", "_bn"))]
    before = [weight.numpy() for layer in pretrained for weight in layer.weights]
    loss = adapted.evaluate(*data, verbose=0)[0]
    fine_tune(
        *(adapted, data), strategy="residual_adapter", epochs=4, seed=0, verbose=0
    )
    after = [weight.numpy() for layer in pretrained for weight in layer.weights]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    moved = adapted.get_layer("block1_relu_adapter").up.kernel
    assert np.abs(moved).max() > 0
    assert adapted.evaluate(*data, verbose=0)[0] < loss


def test_a_file_of_it_loads(model, data, tmp_path):
    adapted = add_residual_adapters(model, width=2)
    adapted.get_layer("block1_relu_adapter").up.bias.assign(np.ones(4))
    adapted.save(tmp_path / "adapted.keras")
    loaded = load_model(tmp_path / "adapted.keras")
    np.testing.assert_array_equal(
        loaded.predict(data[0], verbose=0), adapted.predict(data[0], verbose=0)
    )


def test_models_that_cannot_take_adapters_are_refused(model):
    with pytest.raises(ValueError, match="must have no residual adapters yet"):
        add_residual_adapters(add_residual_adapters(model))
    with pytest.raises(TypeError, match="functional keras.Model.*type AlignedModel. B"):
        add_residual_adapters(AlignedModel(model))
    nested = keras.Sequential([keras.Input((8, 8, 3)), model])
    with pytest.raises(ValueError, match="one flat graph.*a nested model 'functional"):
        add_residual_adapters(nested)
    with pytest.raises(ValueError, match="`width` must be"):
        add_residual_adapters(model, width=0)


@pytest.mark.parametrize("add", [add_residual_adapters, add_side_network])
def test_alignment_looks_at_what_the_head_reads(add, model, data):
    added = add(model)
    for weight in added.trainable_weights:
        weight.assign(weight + 0.1)
    aligned = AlignedModel(added, CORAL(0.5))
    parts = aligned._parts
    rows = parts.head.predict(parts.backbone.predict(data[0], verbose=0), verbose=0)
    np.testing.assert_allclose(
        rows, added.predict(data[0], verbose=0), rtol=1e-4, atol=1e-4
    )
    aligned.compile(keras.optimizers.SGD(0.01), model.loss)
    batches = pair_domains(
        tf.data.Dataset.from_tensor_slices(data).batch(8),
        tf.data.Dataset.from_tensor_slices(data[0] / 2).batch(8),
    )
    history = fine_tune(aligned, batches, epochs=1, frozen_epochs=0, verbose=0)
    assert history.history["alignment_loss"][0] > 0


def test_scores_without_labels_read_the_adapted_model(model, data):
    adapted = add_residual_adapters(model)
    for weight in adapted.trainable_weights:
        weight.assign(weight + 0.1)
    features, outputs = reader_of(adapted).predict(data[0], verbose=0)
    np.testing.assert_array_equal(outputs, adapted.predict(data[0], verbose=0))
    assert features.shape == (16, 8)
