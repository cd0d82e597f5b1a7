import keras
import numpy as np
import pytest

import tftransfer as tft


@pytest.fixture
def tuned(build, arrays):
    model = build()
    model.compile(model.optimizer, model.loss, metrics=["accuracy"])
    start = model.get_weights()
    model.fit(*arrays, epochs=5, verbose=0)
    return model, start, model.get_weights()


def by_hand(weights, inputs, labels):
    """Mean cross-entropy and accuracy of the network in float64."""
    x = inputs.astype("float64")
    for kernel, bias in (weights[:2], weights[2:4]):
        x = np.tanh(x @ kernel + bias)
    logits = x @ weights[4] + weights[5]
    logits = logits - logits.max(axis=1, keepdims=True)
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -log_shares[np.arange(len(labels)), labels].mean()
    return loss, (logits.argmax(axis=1) == labels).mean()


@pytest.mark.parametrize("with_head", [True, False])
def test_the_table_is_that_of_the_mixed_networks(tuned, arrays, with_head):
    model, start, end = tuned
    coefficients = (0.0, 0.3, 0.6, 1.0)
    found = tft.interpolate_weights(
        model, start, arrays, coefficients=coefficients, with_head=with_head
    )
    expected = []
    for c in coefficients:
        mixed = [
            (1 - c) * a.astype("float64") + c * b if with_head or place < 4 else b
            for place, (a, b) in enumerate(zip(start, end, strict=True))
        ]
        expected.append((mixed, *by_hand(mixed, *arrays)))
    for row, (_, loss, accuracy) in zip(found.table, expected, strict=True):
        np.testing.assert_allclose(row["loss"], loss, rtol=1e-5)
        np.testing.assert_allclose(row["accuracy"], accuracy, rtol=1e-6)
    best = min(range(4), key=lambda i: (-expected[i][2], expected[i][1]))
    assert found.coefficient == coefficients[best]
    assert found.monitor == "accuracy"
    for weight, value in zip(model.get_weights(), expected[best][0], strict=True):
        np.testing.assert_allclose(weight, value, atol=1e-6)


def test_the_loss_decides_where_there_is_no_accuracy(build, arrays):
    model = build()
    start = model.get_weights()
    model.fit(*arrays, epochs=5, verbose=0)
    found = tft.interpolate_weights(model, start, arrays)
    losses = [row["loss"] for row in found.table]
    assert found.monitor == "loss"
    assert found.coefficient == pytest.approx(0.1 * int(np.argmin(losses)))
    assert len(losses) == 11
    assert "<- chosen" in str(found).splitlines()[1 + int(np.argmin(losses))]


def test_where_it_fails_the_tuned_weights_come_back(tuned, arrays):
    model, start, end = tuned
    with pytest.raises(ValueError, match="Received: monitor='acuracy'"):
        tft.interpolate_weights(model, start, arrays, monitor="acuracy")
    for found, expected in zip(model.get_weights(), end, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_regularized_model_is_interpolated_too(build, arrays):
    model = build(tft.L2SP(0.1))
    start = model.get_weights()
    model.fit(*arrays, epochs=5, verbose=0)
    found = tft.interpolate_weights(model, start, arrays, coefficients=[0.0])
    assert found.coefficient == 0.0
    for one, other in zip(model.get_weights(), start, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("start", "arguments", "message"),
    [
        ([np.zeros(3)], {}, "Received: 1 arrays of other shapes, first at number 0"),
        (None, {"coefficients": [0.5, 1.5]}, r"Received: coefficients=\[0.5, 1.5\]"),
        (None, {"coefficients": []}, r"Received: coefficients=\[\]"),
        (None, {"coefficients": 0.5}, r"Received: coefficients=0.5. 0 are"),
        (None, {"coefficients": ["a"]}, r"Received: coefficients=\['a'\]"),
        (None, {"monitor": "los"}, r"monitor='los'. Did you mean 'loss'\? Compile"),
    ],
)
def test_bad_arguments_are_refused(build, arrays, start, arguments, message):
    model = build()
    start = model.get_weights() if start is None else start
    with pytest.raises(ValueError, match=message):
        tft.interpolate_weights(model, start, arrays, **arguments)


def test_a_model_or_a_path_are_no_weights(build, arrays):
    model = build()
    for given in (model, "start.weights.h5"):
        with pytest.raises(TypeError, match=f"Received: {type(given).__name__}. Keep"):
            tft.interpolate_weights(model, given, arrays)


def test_counters_are_not_mixed():
    inputs = keras.Input((2,))
    norm = keras.layers.Normalization()
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(norm(inputs)))
    norm.adapt(np.array([[0.0, 2.0], [4.0, 6.0]]))
    model.compile("sgd", "mse")
    start = [np.array(w) for w in model.get_weights()]
    data = np.ones((2, 2)), np.ones((2, 1))
    found = tft.interpolate_weights(model, start, data, coefficients=[0.5])
    for one, other in zip(model.get_weights(), start, strict=True):
        np.testing.assert_allclose(one, other)
    assert found.table[0]["coefficient"] == 0.5
