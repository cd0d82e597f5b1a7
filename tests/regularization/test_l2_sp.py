import keras
import numpy as np
import pytest

import tftransfer as tft


def square(weights):
    return sum(float((w**2).sum()) for w in weights)


def differences(one, other):
    return [a - b for a, b in zip(one, other, strict=True)]


def test_the_loss_has_both_terms_of_the_equation(build, arrays, move, read):
    model = build(tft.L2SP(0.3, head_weight=0.07))
    start = read(model)
    move(model.model)
    now = read(model)
    task_loss = model.evaluate(*arrays, verbose=0)  # of the labels alone
    model.optimizer.learning_rate = 0.0
    history = model.fit(*arrays, batch_size=40, verbose=0).history
    moved = [square(differences(now[x], start[x])) for x in ("block1", "block2")]
    penalty = 0.3 / 2 * sum(moved) + 0.07 / 2 * square(now["logits"])
    np.testing.assert_allclose(history["l2sp"][0], penalty, rtol=1e-6)
    np.testing.assert_allclose(history["loss"][0], task_loss + penalty, rtol=1e-5)


def test_a_step_goes_towards_the_start_and_the_head_towards_zero(
    build, arrays, move, read, fit_without_labels
):
    model = build(tft.L2SP(0.3, head_weight=0.07))
    start = read(model)
    move(model.model)
    before = read(model)
    fit_without_labels(model, arrays[0], rate=0.5)
    after = read(model)
    for name in ("block1", "block2"):
        for new, old, first in zip(after[name], before[name], start[name], strict=True):
            np.testing.assert_allclose(new, old - 0.5 * 0.3 * (old - first), atol=1e-6)
    for new, old in zip(after["logits"], before["logits"], strict=True):
        np.testing.assert_allclose(new, old - 0.5 * 0.07 * old, atol=1e-6)


def test_frozen_weights_pay_nothing(build, arrays, move, read, fit_without_labels):
    model = build(tft.L2SP(0.3, head_weight=0.0))
    start = read(model)
    move(model.model)
    now = read(model)
    tft.set_trainable_depth(model, 1)
    history = fit_without_labels(model, arrays[0])
    expected = 0.15 * square(differences(now["block2"], start["block2"]))
    np.testing.assert_allclose(history["l2sp"][0], expected, rtol=1e-6)


def test_evaluation_counts_the_labels_alone(build, arrays, move):
    model = build(tft.L2SP(10.0))
    move(model.model)
    history = model.fit(*arrays, validation_data=arrays, verbose=0).history
    assert set(history) == {"loss", "l2sp", "val_loss"}
    model.model.compile(loss=model.loss)
    plain = model.model.evaluate(*arrays, verbose=0)
    np.testing.assert_allclose(history["val_loss"][0], plain, rtol=1e-6)


def test_the_start_is_saved_with_the_model(build, arrays, move, tmp_path):
    model = build(tft.L2SP(0.3))
    move(model.model)
    model.save(tmp_path / "model.keras")
    again = tft.load_model(tmp_path / "model.keras")
    histories = [
        x.fit(*arrays, shuffle=False, verbose=0).history for x in (model, again)
    ]
    assert histories[0] == histories[1]
    assert histories[0]["l2sp"][0] > 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"weight": -1.0}, ValueError, "Received: weight=-1.0"),
        ({"head_weight": -0.1}, ValueError, "Received: head_weight=-0.1"),
        ({"weight": "much"}, TypeError, "Received: weight='much' of type str"),
    ],
)
def test_bad_factors_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        tft.L2SP(**arguments)


@pytest.mark.parametrize(
    ("regularization", "error", "message"),
    [
        ("l2", TypeError, "Received: regularization='l2' of type str"),
        ([], ValueError, r"Received: regularization=\[\]"),
        ([keras.layers.ReLU()], TypeError, "layer of kind Regularization"),
    ],
)
def test_what_is_no_regularization_is_refused(regularization, error, message):
    with pytest.raises(error, match=message):
        tft.build_transfer_model(
            "pip:efficientnet_lite0", num_classes=2, regularization=regularization
        )
