import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.alignment.coral import coral_loss
from tftransfer.alignment.mcc import mcc_loss
from tftransfer.alignment.several import SeveralAlignments


def build_model(alignment):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5, activation="tanh", name="block")(inputs)
    x = keras.layers.Activation("linear", name="features")(x)
    body = keras.Model(inputs, x)
    return tft.build_transfer_model(
        body, num_classes=3, trainable_depth="all", alignment=alignment
    )


@pytest.fixture
def pairs(rng):
    source = rng.normal(size=(32, 6)).astype("float32")
    target = (source + 1).astype("float32")
    data = tf.data.Dataset.from_tensor_slices(((source, target), np.arange(32) % 3))
    return data.batch(16)


def test_the_sum_is_weighted_and_each_part_is_shown(rng):
    both = SeveralAlignments([tft.CORAL(0.5, on="features"), tft.MCC(2.0)])
    source, target = (
        {"features": rng.normal(size=(8, 4)), "logits": rng.normal(size=(8, 3))}
        for _ in range(2)
    )
    parts = [
        float(coral_loss(source["features"], target["features"])),
        float(mcc_loss(target["logits"])),
    ]
    assert float(both(source, target)) == pytest.approx(
        0.5 * parts[0] + 2 * parts[1], rel=1e-5
    )
    shown = {tracker.name: float(tracker.result()) for tracker in both.trackers}
    assert shown["coral"] == pytest.approx(parts[0], rel=1e-5)
    assert shown["mcc"] == pytest.approx(parts[1], rel=1e-5)


def test_an_aligned_model_takes_a_list_as_well():
    plain = build_model(None)
    aligned = tft.AlignedModel(plain, [tft.CORAL(0.5), tft.MCC(1.0)])
    assert isinstance(aligned.alignment, SeveralAlignments)
    assert [part.weight for part in aligned.alignment.alignments] == [0.5, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: [tft.CORAL(0.5), tft.MCC(1.0), tft.CORAL(0.1)],
        lambda: tft.DANN(0.3, steps=10),
        lambda: [tft.CDAN(0.3), tft.MMD(0.1)],
        lambda: tft.MCC(0.5),
    ],
)
def test_models_learn_are_saved_and_go_on(make, pairs, tmp_path):
    model = build_model(make())
    history = model.fit(pairs, epochs=2, shuffle=False, verbose=0).history
    assert np.isfinite(history["alignment_loss"]).all()
    if isinstance(make(), list) and len(make()) == 3:
        assert {"coral", "mcc", "coral_2"} <= set(history)
    model.save(tmp_path / "aligned.keras")
    again = tft.load_model(tmp_path / "aligned.keras")
    for mine, loaded in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine, loaded)
    assert [x.shape for x in model.alignment.weights] == [
        x.shape for x in again.alignment.weights
    ]
    keras.utils.set_random_seed(1)
    one = model.fit(pairs, shuffle=False, verbose=0).history
    keras.utils.set_random_seed(1)
    other = again.fit(pairs, shuffle=False, verbose=0).history
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_discriminators_learn_beside_the_model(pairs):
    model = build_model(tft.DANN(1.0))
    before = [np.array(x) for x in model.alignment.trainable_variables]
    model.fit(pairs, shuffle=False, verbose=0)
    network = model.alignment.discriminators["features"]
    assert len(before) >= 6 and len(network.trainable_variables) == 6
    moved = [
        not np.array_equal(a, b)
        for a, b in zip(before, model.alignment.trainable_variables, strict=True)
    ]
    assert sum(moved) >= 6


@pytest.mark.parametrize(
    ("alignment", "error", "message"),
    [
        ([], ValueError, r"Received: alignments=\[\]"),
        ([tft.MCC(), "coral"], TypeError, "Received: 'coral' of type str"),
    ],
)
def test_refusals(alignment, error, message):
    with pytest.raises(error, match=message):
        build_model(alignment)
