"""Networks of Keras, and all the way from build to export."""

import numpy as np
import pytest

import tftransfer as tft
from tftransfer.pruning.channels import trace_channels


def half_of_everything(model, rng):
    """Half of the units of every layer that can go, as of `shrink_model`."""
    channels = trace_channels(model)
    kept: dict = {}
    seen: set = set()
    for layer, units in channels.makers.values():
        held = channels.reason_to_stay(units)
        if held is None and not seen & set(units.tolist()):
            seen |= set(units.tolist())
            order = rng.permutation(len(units))
            kept[layer.name] = np.sort(order[: max(1, len(units) // 2)])
    return kept


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "ResNet50V2", "ConvNeXtTiny"])
def test_networks_of_keras_get_smaller_and_give_the_same(name, switch_off, rng):
    backbone = tft.load_backbone(f"keras:{name}", weights=None)
    model = tft.build_transfer_model(
        backbone, num_classes=5, image_size=(32, 32), head=(32,)
    )
    for weight in model.weights:
        if weight.name in ("gamma", "beta", "bias", "moving_mean"):
            weight.assign(
                1.0 * (weight.name == "gamma") + 0.1 * rng.normal(size=weight.shape)
            )
    kept = half_of_everything(model, rng)
    small = tft.shrink_model(model, kept)
    assert small.count_params() < 0.65 * model.count_params()
    images = rng.integers(0, 256, (3, 40, 48, 3)).astype("uint8")
    expected = switch_off(model, kept).predict(images, verbose=0)
    found = small.predict(images, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    assert found.std() > 0


@pytest.mark.slow
def test_from_build_to_export(rng, tmp_path):
    backbone = tft.load_backbone("keras:MobileNetV2", alpha=0.35, weights=None)
    model = tft.build_transfer_model(
        backbone, num_classes=2, image_size=(32, 32), head="mlp", trainable_depth=2
    )
    images = rng.integers(0, 256, (16, 32, 32, 3)).astype("uint8")
    data = images, rng.integers(0, 2, 16)
    pruning = tft.StructuredPruning(
        {"head": 8, "block_16": 0.25}, data, epochs=1, max_drop=None, verbose=False
    )
    tft.fine_tune(
        model,
        data,
        frozen_epochs=0,
        epochs=2,
        callbacks=[pruning],
        engine="tensorflow",
        verbose=0,
    )
    small = tft.shrink_model(model, pruning.kept)
    # 336 -> 84 in block_16, 112 -> 28 where it ends, 256 -> 8 in the head.
    widths = {x.name: x.output.shape[-1] for x in small.layers}
    assert widths["block_16_expand"] == widths["block_16_depthwise_BN"] == 84
    assert widths["block_16_project_BN"] == 28
    assert widths["head_dense_1"] == 8
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(
        small.predict(images, verbose=0), expected, atol=1e-5 * np.abs(expected).max()
    )
    tft.export_model(
        small, tmp_path / "export", class_names=["no", "yes"], verbose=False
    )
    exported = tft.load_exported(tmp_path / "export").predict(images)
    shares = [[row.probabilities[name] for name in ("no", "yes")] for row in exported]
    logits = np.exp(expected - expected.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        shares, logits / logits.sum(axis=1, keepdims=True), atol=1e-5
    )
