"""Many steps in one call must do what single steps do."""

import keras
import numpy as np
import pytest

import tftransfer as tft
from tftransfer.acceleration import chunks
from tftransfer.acceleration.rows import stored_rows

EPOCHS = 20  # of 26 batches: enough steps for chunks


@pytest.fixture
def traced(monkeypatch):
    """Number of functions that ran chunks."""
    sizes = []
    function = chunks._Chunks._function

    def note(self, leaves):
        sizes.append(leaves[0].shape[1])
        return function(self, leaves)

    monkeypatch.setattr(chunks._Chunks, "_function", note)
    return sizes


def train(build, images, accelerated, *, hidden=0, dropout=0.0, **settings):
    model = build.model(hidden=hidden, dropout=dropout)
    tft.accelerate(model, accelerated, engine="tensorflow", verbose=False)
    settings = {"batch_size": 1, "epochs": EPOCHS, "shuffle": False} | settings
    history = model.fit(*images, verbose=0, **settings)
    return build.weights(model), history.history, model


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"batch_size": 3, "epochs": 60},
        {"hidden": 5, "dropout": 0.5},
        pytest.param({"class_weight": {0: 0.2, 2: 3.0}}, marks=pytest.mark.slow),
        pytest.param({"sample_weight": np.linspace(0, 2, 26)}, marks=pytest.mark.slow),
    ],
    ids=["plain", "last batch shorter", "dropout", "class weight", "sample weight"],
)
def test_chunks_equal_single_steps(build, images, traced, settings):
    weights, history, _ = train(build, images, False, **settings)
    fast, fast_history, model = train(build, images, True, **settings)
    size = settings.get("batch_size", 1)
    assert set(traced) == ({size} if 26 % size == 0 else {size, 26 % size})
    np.testing.assert_allclose(fast, weights, rtol=0, atol=1e-5)
    for name, values in history.items():
        np.testing.assert_allclose(fast_history[name], values, rtol=1e-4)
    steps = -(-26 // settings.get("batch_size", 1)) * settings.get("epochs", EPOCHS)
    assert model.optimizer.iterations.numpy() == steps
    assert model.steps_per_execution == 1 and model.train_function is None


@pytest.mark.slow
def test_a_head_alone_runs_on_arrays_in_chunks(traced, rng):
    """Features that somebody computed before, and nothing frozen in the model."""
    features = rng.normal(size=(60, 5))  # float64, as scikit-learn has it
    labels = (features[:, 0] > 0).astype("int64")
    weights = []
    for cache in (False, "auto"):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
        data = features, labels, np.linspace(0, 2, 60)
        history = tft.fine_tune(
            model, data, validation_data=data[:2], epochs=300, frozen_epochs=0,
            cache=cache, verbose=0,
        )  # fmt: skip
        weights.append(model.get_weights()[0])
    assert set(traced) == {32, 28}
    # Other orders of the same rows; both are close to the optimum.
    np.testing.assert_allclose(*weights, atol=0.15)
    assert len(history.history["val_accuracy"]) == len(history.epoch)
    assert history.history["val_accuracy"][-1] > 0.9


@pytest.mark.slow
def test_hooks_of_batches_are_heard(build, images):
    """Also those that a `LambdaCallback` has on the instance."""
    trained, tested = [], []
    training = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: trained.append(batch)
    )

    class Testing(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            tested.append(batch)

    train(build, images, True, callbacks=[training])
    assert trained == [*range(26)] * EPOCHS
    train(build, images, True, callbacks=[Testing()], validation_data=images)
    assert len(tested) == 26 * EPOCHS


def test_every_epoch_has_an_order_of_its_own(build, images):
    orders = []

    class Entry:
        num_rows = 26
        arrays = {
            "activations": np.arange(26.0, dtype="float32")[:, None],
            "rest_0": np.arange(26),
        }

    class Shuffled:
        rest = (None,)
        shuffles = True

        @staticmethod
        def batch_sizes(num_rows):
            return [8, 8, 8, 2]

    rows = stored_rows([Entry()], Shuffled(), seed=3)
    for rows.epoch in range(3):
        batches = list(rows.dataset())
        for inputs, labels in batches:
            (activations,) = inputs.values()
            np.testing.assert_array_equal(activations[:, 0], labels)
        orders.append(np.concatenate([labels for _, labels in batches]))
    again = stored_rows([Entry()], Shuffled(), seed=3)
    repeated = []
    for again.epoch in range(3):
        repeated.append(np.concatenate([y for _, y in again.dataset()]))
    np.testing.assert_array_equal(repeated, orders)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(26))
        assert not np.array_equal(order, np.arange(26))
    assert not np.array_equal(orders[0], orders[1])
