import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export import parity
from tftransfer.export.inputs import read_input
from tftransfer.export.parity import (
    measure_parity,
    plan_calls,
    predict_live,
    serve_in_fresh_process,
)
from tftransfer.tasks import Task


def test_every_row_passes_every_signature(small_model, photo):
    rows = [photo(5, 6), photo(9, 4), photo(5, 6, seed=1)]
    calls = plan_calls(rows, read_input(small_model()))
    seen = [(call[0], list(indices)) for call, indices in calls]
    assert seen == [
        ("serving_default", [0, 1, 2]),
        ("serve_images", [0, 2]),
        ("serve_images", [1]),
    ]
    (_, inputs), _ = calls[0]
    for row, file in zip(rows, inputs["image_bytes"], strict=True):
        np.testing.assert_array_equal(tf.io.decode_png(file), row)  # lossless


def test_live_predictions_are_those_of_the_keras_model(small_model, photo):
    model, task = small_model("binary"), Task("classification", 1)
    rows = [photo(40, 30), photo(11, 50)]
    live = predict_live(model, read_input(model), task, rows)
    # Without training=False Keras 3.15 trains from the RandomFlip layer on.
    logits = [
        float(model(row[None].astype("float32"), training=False)[0, 0]) for row in rows
    ]
    positive = 1 / (1 + np.exp(-np.array(logits)))
    np.testing.assert_allclose(live, np.stack([1 - positive, positive], 1), atol=1e-6)


@pytest.mark.parametrize("signature", ["serving_default", "serve_images"])
def test_a_difference_in_either_signature_is_found(
    small_model, photo, monkeypatch, signature
):
    model, task = small_model(), Task("classification", 3)
    rows = [photo(5, 6), photo(9, 4)]
    model_input = read_input(model)
    live = predict_live(model, model_input, task, rows)

    def serve(_, calls):
        served = []
        for (name, _), (_, indices) in zip(
            calls, plan_calls(rows, model_input), strict=True
        ):
            wrong = 2e-4 if name == signature else 0
            served.append({"probabilities": live[indices] + wrong})
        return served

    monkeypatch.setattr(parity, "serve_in_fresh_process", serve)
    with pytest.raises(RuntimeError, match="Received: a difference of 0.0002 on 2 row"):
        measure_parity("unused", rows, model, model_input, task)


def test_small_differences_are_reported(small_model, photo, monkeypatch):
    model, task, rows = small_model(), Task("classification", 3), [photo(5, 6)]
    live = predict_live(model, read_input(model), task, rows)
    served = {"probabilities": live + np.array([0, 5e-5, 0])}
    monkeypatch.setattr(
        parity, "serve_in_fresh_process", lambda _, calls: [served] * len(calls)
    )
    found = measure_parity("unused", rows, model, read_input(model), task)
    assert found["max_abs_difference"] == pytest.approx(5e-5, rel=0.01)
    assert found["rows"] == 1


def test_equal_outputs_of_all_rows_are_told(small_model, photo, monkeypatch):
    model = small_model()
    rows = [photo(5, 6), photo(5, 6)]
    given = model, read_input(model), Task("classification", 3)
    live = predict_live(*given, rows)
    answers = [{"probabilities": live}] * 2
    monkeypatch.setattr(parity, "serve_in_fresh_process", lambda *_: answers)
    monkeypatch.setattr(parity, "list_requirements", lambda _: [])
    with pytest.warns(
        UserWarning, match="equal outputs for all 2 rows.*real `examples`"
    ):
        measure_parity("unused", rows, *given)


def test_values_are_compared_relative_to_their_size(small_model, photo, monkeypatch):
    model, task, rows = small_model("regression"), Task("regression", 2), [photo(5, 6)]
    model.layers[-1].bias.assign([1e6, 0])
    live = predict_live(model, read_input(model), task, rows)
    served = {"values": live + 10}  # 1e-5 of a million
    monkeypatch.setattr(
        parity, "serve_in_fresh_process", lambda _, calls: [served] * len(calls)
    )
    found = measure_parity("unused", rows, model, read_input(model), task)
    assert found["max_abs_difference"] == pytest.approx(1e-5, rel=0.01)


def test_a_process_that_fails_is_quoted(tmp_path):
    with pytest.raises(
        RuntimeError, match="(?s)Received: exit status 1 .*does not exi"
    ):
        serve_in_fresh_process(tmp_path / "missing", [])
