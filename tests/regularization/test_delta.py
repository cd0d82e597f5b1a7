import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tftransfer.regularization.delta import delta_penalty


def by_loops(now, start, weights):
    """Equation 4 with the authors' scale, row by row and channel by channel."""
    total = 0.0
    rows, height, width, channels = now.shape
    for row in range(rows):
        for channel in range(channels):
            difference = now[row, :, :, channel] - start[row, :, :, channel]
            norm = sum(x**2 for x in difference.ravel())
            total += channels * weights[channel] / (height * width) * norm
    return total / rows


def test_the_penalty_is_that_of_the_equation(rng):
    now, start = rng.normal(size=(2, 3, 4, 5, 6))
    weights = rng.dirichlet(np.ones(6))
    np.testing.assert_allclose(
        delta_penalty(now, start, weights), by_loops(now, start, weights), rtol=1e-12
    )
    np.testing.assert_allclose(
        delta_penalty(now, start), by_loops(now, start, np.full(6, 1 / 6)), rtol=1e-12
    )


def maps_of(plain, inputs):
    tensors = [plain.get_layer(name).output for name in ("block1", "block2")]
    made = keras.Model(plain.input, tensors).predict(inputs, verbose=0)
    return [x.astype("float64") for x in made]


def test_training_compares_with_the_pretrained_network(
    build, arrays, move, read, fit_without_labels
):
    model = build(tft.DELTA(0.2, head_weight=0.1, layers=["block1", "block2"]))
    start = maps_of(model.model, arrays[0])
    move(model.model)
    now, head = maps_of(model.model, arrays[0]), read(model)["logits"]
    distances = [((a - b) ** 2).sum() / 40 for a, b in zip(now, start, strict=True)]
    expected = 0.2 * sum(distances) + 0.05 * sum((w**2).sum() for w in head)
    history = fit_without_labels(model, arrays[0])
    np.testing.assert_allclose(history["delta"][0], expected, rtol=1e-5)


def test_only_the_network_that_learns_gets_a_gradient(
    build, arrays, move, fit_without_labels
):
    model = build(tft.DELTA(0.2, head_weight=0.0, layers=["block2"]))
    start = [np.array(w) for w in model.start.get_weights()]
    unmoved = fit_without_labels(model, arrays[0])
    assert unmoved["delta"] == [0.0]
    move(model.model)
    distances = fit_without_labels(model, arrays[0], rate=1.0, epochs=30)["delta"]
    assert distances[-1] < 0.5 * distances[0]
    for old, new in zip(start, model.start.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_ends_of_the_last_blocks_are_compared_unless_told(build):
    model = build(dropout=0.5)
    assert tft.DELTA().map_names(model) == ("block1", "features")


def test_maps_below_all_that_learns_leave_the_cut_free(build, arrays, capsys):
    model = build(tft.DELTA(0.2, layers=["block1", "block2"]))
    tft.fine_tune(
        model, arrays, trainable_depth=1, epochs=1, cache=True, engine="tensorflow"
    )
    shown = capsys.readouterr().out
    assert "features at 'features'" in shown  # while the head learns alone
    assert "features at 'dropout" in shown or "features at 'block1'" in shown


def test_a_frozen_part_that_has_moved_is_not_stored(build, arrays, move, capsys):
    model = build(tft.DELTA(0.2, layers=["block2"]))
    move(model.model)
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(8)
    tft.fine_tune(model, data, trainable_depth=1, epochs=1, frozen_epochs=0)
    assert "has moved from its pretrained weights" in capsys.readouterr().out


def test_with_two_domains_only_the_source_is_compared(build, arrays, move, rng):
    histories = []
    for rows in (3, 9):
        model = build(tft.DELTA(0.2, layers=["block2"]), alignment=tft.CORAL(0.0))
        rng = np.random.default_rng(5)
        for w in model.model.weights:
            w.assign(w + rng.normal(size=w.shape))
        target = rng.normal(size=(rows, 6)).astype("float32")
        pairs = tf.data.Dataset.from_tensors(((arrays[0], target), arrays[1]))
        histories.append(model.fit(pairs, shuffle=False, verbose=0).history["delta"][0])
    np.testing.assert_allclose(*histories, rtol=1e-6)
    assert histories[0] > 0.01


def test_channel_weights_survive_a_file(build, arrays, move, tmp_path):
    weights = {"block2": [0.6, 0.1, 0.1, 0.1, 0.1]}
    model = build(tft.DELTA(0.2, layers=["block2"], channel_weights=weights))
    move(model.model)
    model.save(tmp_path / "model.keras")
    again = tft.load_model(tmp_path / "model.keras")
    histories = [
        x.fit(*arrays, shuffle=False, verbose=0).history for x in (model, again)
    ]
    assert histories[0] == histories[1]
    assert histories[0]["delta"][0] > 0.01


def test_names_that_are_nowhere_are_refused(build):
    message = "Received: 'blok1'. Did you mean 'block1'"
    with pytest.raises(ValueError, match=message):
        build(tft.DELTA(layers=["blok1"]))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": "block1"}, TypeError, "Received: layers='block1'"),
        ({"layers": []}, TypeError, r"Received: layers=\[\]"),
        (
            {"channel_weights": {"block1": [0.5, 0.4]}},
            ValueError,
            r"Received: shape \(2,\), sum 0.9 for layer 'block1'",
        ),
        ({"head_weight": -1}, ValueError, "Received: head_weight=-1"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        tft.DELTA(**arguments)
