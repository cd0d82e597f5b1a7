"""What `diagnose` refuses, what it leaves as it was, and what it says."""

import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft
from tests.doctor.set_ups import (
    LOGITS,
    Subclassed,
    build_backbone,
    build_model,
    compile_model,
    make_images,
    make_numbers,
    scale,
)
from tftransfer.diagnosis.diagnose import diagnose

IMAGES, LABELS = make_images(32)


def build_small():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    return compile_model(model)


def test_model_and_random_states_are_left_as_they_were():
    model = build_model(depth="all")
    model.add(keras.layers.Dropout(0.5, seed=3))
    model.compile(keras.optimizers.Adam(1e-3), LOGITS, metrics=["accuracy"])
    keras.utils.set_random_seed(7)
    compiled, variables = model._compile_config, model.variables
    values = [x.numpy() for x in variables]
    functions = model.train_function, model.predict_function, model.optimizer.built
    diagnose(model, (scale(IMAGES), LABELS), validation=(scale(IMAGES), LABELS))
    drawn = random.random(), np.random.rand(), float(tf.random.uniform(()))
    keras.utils.set_random_seed(7)
    assert drawn == (random.random(), np.random.rand(), float(tf.random.uniform(())))
    assert model._compile_config is compiled
    assert [id(x) for x in model.variables] == [id(x) for x in variables]
    for before, variable in zip(values, variables, strict=True):
        np.testing.assert_array_equal(before, variable.numpy())
    after = model.train_function, model.predict_function, model.optimizer.built
    assert after == functions
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


def test_layers_can_be_called_as_before_when_a_check_fails():
    model = build_small()
    with pytest.raises(ValueError, match=r"`data` must fit the model. Received: data "):
        diagnose(model, (np.zeros((4, 5), "float32"), np.zeros(4)))
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


def test_findings_are_plain_values_and_text():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=False)
    model = compile_model(build_small(), loss=loss)
    diagnosis = diagnose(model, make_numbers())
    content = json.loads(json.dumps(diagnosis.to_dict()))
    assert [x["name"] for x in content["findings"]] == ["logits_mismatch"]
    assert content["findings"][0]["evidence"]["lowest output"] < 0
    assert "scale of pixels" in content["skipped"]
    text = str(diagnosis)
    assert text.startswith("error: The model gives logits, and its loss")
    assert "repair:      loss=keras.losses.SparseCategoricalCrossentropy(from" in text
    assert "1 finding in" in text
    assert "duplicates: training data, and validation or test data, are needed" in text


def test_errors_come_before_warnings():
    inputs, _ = make_numbers()
    model = compile_model(build_small(), loss="sparse_categorical_crossentropy")
    labels = (np.arange(64) % 10 == 0).astype(int)
    names = diagnose(model, (inputs, labels)).names
    assert names == ["logits_mismatch", "class_imbalance"]


def test_evidence_of_imbalance_is_the_score_of_a_constant_guess():
    inputs, _ = make_numbers(100)
    labels = (np.arange(100) % 10 == 0).astype(int)
    (finding,) = diagnose(build_small(), (inputs, labels)).findings
    assert finding.evidence["rows by class"] == [90, 10, 0]
    assert finding.evidence["accuracy of one constant guess"] == pytest.approx(0.9)


def test_a_file_is_loaded(tmp_path):
    model = build_small()
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "small.keras")
    assert not diagnose(tmp_path / "small.keras", make_numbers())


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"model": 3}, TypeError, "`model` must be a keras.Model or the path"),
        ({"model": "no/such.keras"}, ValueError, "Received: path='no/such.keras'"),
        ({"data": 3}, TypeError, "Received: data of type int"),
        ({"data": iter([])}, TypeError, "tf.data.Dataset.from_generator"),
        ({"data": (np.ones((0, 8)), np.ones(0))}, ValueError, "at least one batch"),
        ({"data": (np.ones((4, 8)), np.ones(3))}, ValueError, r"lengths \[3, 4\]"),
        ({"export": "no/such"}, ValueError, "Received: export='no/such'"),
        ({"batch_size": 0}, ValueError, "Received: batch_size=0"),
        ({"pretrained": 3}, TypeError, "Received: pretrained of type int"),
    ],
)
def test_what_cannot_be_examined_is_refused(options, kind, message):
    options = {"model": build_small(), **options}
    with pytest.raises(kind, match=message):
        diagnose(**options)


def test_a_model_that_was_never_called_is_refused():
    model = Subclassed(build_backbone(settle=False), keras.layers.Dense(3))
    with pytest.raises(ValueError, match=r"`model` must be built. Received: model="):
        diagnose(model)


def test_single_examples_are_refused():
    data = tf.data.Dataset.from_tensor_slices(np.zeros(4, "float32"))
    with pytest.raises(ValueError, match="`data` must be batched. Received: data with"):
        diagnose(build_small(), data)


def test_the_front_door_leads_here():
    assert tft.diagnose is diagnose
