import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tftransfer.lora.adapters import add_lora
from tftransfer.selection import compare_strategies as comparing
from tftransfer.selection.compare_strategies import compare_strategies
from tftransfer.selection.strategy_comparison import StrategyComparison
from tftransfer.training.fine_tune import fine_tune
from tftransfer.training.strategy import Strategy


@pytest.fixture
def task(rng):
    x = rng.normal(size=(96, 6)).astype("float32")
    y = (x @ rng.normal(size=(6, 3))).argmax(axis=1)
    held_out = tf.data.Dataset.from_tensor_slices((x[64:], y[64:])).batch(16)
    return (x[:64], y[:64]), held_out


def build(seed):
    inputs = keras.Input((6,))
    x = layers.Dense(16, activation="relu", name="features")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    return model


@pytest.mark.slow
def test_each_strategy_is_trained_and_measured_alike(task):
    train, held_out = task
    names = ["head_only", "full"]
    result = compare_strategies(
        build, train, held_out, names, seeds=(0, 1), epochs=4, verbose=0
    )
    assert {row["strategy"] for row in result.rows} == {*names, "from_scratch"}
    assert result.metric == "accuracy" and len(result.runs) == 6
    keras.utils.set_random_seed(1)
    model = build(1)
    fine_tune(model, train, strategy="full", epochs=4, seed=1, verbose=0)
    logits = model.predict(held_out, verbose=0)
    labels = np.concatenate([y for _, y in held_out])
    run = next(x for x in result.runs if (x["strategy"], x["seed"]) == ("full", 1))
    assert run["value"] == pytest.approx(np.mean(logits.argmax(1) == labels))
    # 6 * 16 + 16 + 16 * 3 + 3, and the head's own part of them
    parameters = {x["strategy"]: x["trainable_parameters"] for x in result.rows}
    assert parameters == {"head_only": 51, "full": 163, "from_scratch": 163}


def test_options_and_further_arguments_reach_fine_tune(task):
    train, held_out = task
    strategy = Strategy("joint", source=train, source_weight=0.3)
    lines = compare_strategies(
        *(build, train, held_out, [strategy]),
        seeds=(0,),
        epochs=2,
        validation_data=train,
        cache=False,
        verbose=0,
    )
    assert {run["strategy"] for run in lines.runs} == {"joint", "from_scratch"}


def test_each_seed_may_have_rows_of_its_own(task):
    (x, y), held_out = task
    seen = []

    def draw(seed):
        seen.append(seed)
        return x[seed * 20 : seed * 20 + 20], y[seed * 20 : seed * 20 + 20]

    names = ["head_only"]
    compare_strategies(build, draw, held_out, names, seeds=(0, 2), epochs=1, verbose=0)
    assert seen == [0, 0, 2, 2]


def runs(values):
    return [
        {
            "strategy": name,
            "seed": seed,
            "metric": "accuracy",
            "value": value,
            "minutes": 0.5,
            "trainable_parameters": 10,
            "num_rows": 100,
        }
        for name, row in values.items()
        for seed, value in enumerate(row)
    ]


def comparison(values):
    seeds = tuple(range(len(next(iter(values.values())))))
    return StrategyComparison(runs=runs(values), seeds=seeds, epochs=3)


def test_figures_are_those_of_student(tmp_path):
    values = {"full": [0.8, 0.84, 0.85], "from_scratch": [0.7, 0.71, 0.75]}
    result = comparison(values)
    row = result.rows[0]
    assert result.best == row["strategy"] == "full"
    assert row["mean"] == pytest.approx(0.83)
    half = 4.3027 * np.std(values["full"], ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(row["interval"], [0.83 - half, 0.83 + half], rtol=1e-4)
    gains = np.subtract(values["full"], values["from_scratch"])
    half = 4.3027 * gains.std(ddof=1) / np.sqrt(3)
    expected = [gains.mean() - half, gains.mean() + half]
    np.testing.assert_allclose(row["gain_interval"], expected, rtol=1e-4)
    assert result.negative_transfer == []
    result.save(tmp_path / "result.json")
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved["strategies"][0]["strategy"] == "full" and len(saved["runs"]) == 6


def test_negative_transfer_is_told():
    values = {"head_only": [0.5, 0.51, 0.52], "from_scratch": [0.7, 0.71, 0.73]}
    result = comparison(values)
    assert result.negative_transfer == ["head_only"]
    text = str(result)
    assert "negative transfer, worse than from scratch: head_only" in text
    assert "-0.2033" in text and "from_scratch" in text.splitlines()[3]


def test_a_difference_within_the_noise_is_no_negative_transfer():
    values = {"full": [0.70, 0.72, 0.60], "from_scratch": [0.69, 0.71, 0.73]}
    assert comparison(values).negative_transfer == []


def test_one_seed_has_no_interval():
    result = comparison({"full": [0.6], "from_scratch": [0.7]})
    assert result.rows[0]["interval"] is None
    assert result.negative_transfer == ["full"]
    assert "full" in str(result)


def test_of_errors_the_smaller_is_better():
    made = runs({"full": [0.6, 0.7], "from_scratch": [0.9, 0.8]})
    made = [{**run, "metric": "mean_absolute_error"} for run in made]
    result = StrategyComparison(runs=made, seeds=(0, 1), epochs=1)
    assert result.best == "full"
    assert result.rows[0]["gain"] == pytest.approx(0.2)


def test_bad_arguments_are_refused(task):
    train, held_out = task
    with pytest.raises(TypeError, match="`strategies` must be a list.*'full'"):
        compare_strategies(build, train, held_out, "full")
    with pytest.raises(ValueError, match=r"each name once.*\['full', 'full'\]"):
        compare_strategies(build, train, held_out, ["full", Strategy("full")])
    with pytest.raises(ValueError, match="`seeds` must be different whole numbers"):
        compare_strategies(build, train, held_out, ["full"], seeds=(1, 1))


def test_what_one_strategy_refuses_is_told_before_another_has_trained(
    task, monkeypatch
):
    def refuse(*args, **kwargs):
        raise AssertionError("trained")

    monkeypatch.setattr(comparing, "fine_tune", refuse)
    with pytest.raises(ValueError, match="at least 2 with strategy 'head_then_all'"):
        compare_strategies(build, *task, ["full", "head_then_all"], epochs=1)
    with pytest.raises(ValueError, match="no adapters to start from scratch"):
        compare_strategies(lambda: add_lora(build(0), 2), *task, ["full"], epochs=2)
