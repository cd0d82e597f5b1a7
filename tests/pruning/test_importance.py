import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.pruning.channels import trace_channels
from tftransfer.pruning.importance import filter_norms, taylor_importance


def units_of(channels, name):
    return channels.units_of(channels.named(name, "units"))


def test_taylor_importance_is_that_of_numpy(rng):
    """Mean squared error of a network whose gradients are written out."""
    inputs = keras.Input((4,))
    hidden = layers.Dense(5, activation="tanh", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(hidden))
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    channels = trace_channels(model)
    found = taylor_importance(
        model, channels, units_of(channels, "hidden"), (x, y), num_batches=2
    )
    w, b, v, c = (weight.astype("float64") for weight in model.get_weights())
    expected = np.zeros(5)
    for rows in (slice(0, 32), slice(32, 50)):
        h = np.tanh(x[rows] @ w + b)
        error = h @ v + c - y[rows]
        gradient = h.T @ (2 * error / error.size)
        expected += (gradient * v).sum(axis=1) ** 2 / 2
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_taylor_importance_is_the_slope_of_a_gate_on_all_that_reads(build, rng):
    """Measured by moving the weights a little, through branches and a sigmoid."""
    model = build()
    model.compile("sgd", keras.losses.MeanSquaredError())
    x, y = rng.uniform(0, 255, (8, 8, 8, 3)), rng.normal(size=(8, 3))
    channels = trace_channels(model)
    groups = units_of(channels, "block1_expand")[:3]
    found = taylor_importance(model, channels, groups, [(x, y)])

    def loss_behind(gate, place):
        kept = model.get_weights()
        for name in ("block1_se_reduce", "block1_project"):
            kernel = model.get_layer(name).kernel
            value = np.array(kernel)
            value[..., place, :] *= gate
            kernel.assign(value)
        loss = np.mean((model(x).numpy().astype("float64") - y) ** 2)
        model.set_weights(kept)
        return loss

    expected = [
        ((loss_behind(1 + 1e-2, p) - loss_behind(1 - 1e-2, p)) / 2e-2) ** 2
        for p in range(3)
    ]
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_norms_are_those_of_all_filters_that_make_a_unit(build):
    model = build()
    channels = trace_channels(model)
    units = units_of(channels, "stem_conv")
    stem = model.get_layer("stem_conv").get_weights()[0].astype("float64")
    project = model.get_layer("block1_project").get_weights()[0].astype("float64")
    expected = (stem**2).sum(axis=(0, 1, 2)) + (project**2).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(
        filter_norms(channels, units), np.sqrt(expected), rtol=1e-6
    )


def test_norms_of_a_transposed_convolution(build):
    model = build("side_by_side")
    channels = trace_channels(model)
    kernel = model.get_layer("up").get_weights()[0].astype("float64")
    np.testing.assert_allclose(
        filter_norms(channels, units_of(channels, "up")),
        np.sqrt((kernel**2).sum(axis=(0, 1, 3))),
        rtol=1e-6,
    )


def test_batches_come_from_a_py_dataset_too(build_mlp, arrays):
    class Batches(keras.utils.PyDataset):
        num_batches = 2

        def __getitem__(self, place):
            rows = slice(32 * place, 32 * place + 32)
            return arrays[0][rows], arrays[1][rows]

    model = build_mlp()
    channels = trace_channels(model)
    groups = units_of(channels, "head_dense_1")
    found = taylor_importance(model, channels, groups, Batches())
    same = taylor_importance(model, channels, groups, arrays)
    np.testing.assert_allclose(found, same)


def test_data_without_batches_are_refused(build_mlp):
    model = build_mlp()
    channels = trace_channels(model)
    with pytest.raises(ValueError, match="Received: data without any"):
        taylor_importance(model, channels, units_of(channels, "block1"), [])


def test_pairs_of_domains_are_refused(build_mlp, arrays):
    model = build_mlp()
    channels = trace_channels(model)
    pairs = [((arrays[0], arrays[0]), arrays[1])]
    with pytest.raises(ValueError, match="Received: batches whose x is a tuple of 2"):
        taylor_importance(model, channels, units_of(channels, "block1"), pairs)


def test_a_model_without_one_loss_is_refused(build_mlp, arrays):
    model = build_mlp()
    model.compile("sgd", ["mse"])
    channels = trace_channels(model)
    with pytest.raises(ValueError, match="Received: a loss of type List"):
        taylor_importance(model, channels, units_of(channels, "block1"), arrays)
