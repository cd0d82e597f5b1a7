import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.elpv import ELPV_LICENSE, load_elpv
from tftransfer.data.synthetic import load_synthetic
from tftransfer.export.saved_model import export_model
from tftransfer.export.training_data import describe_training_data
from tftransfer.features.hashing import hash_arrays


def test_rows_are_hashed_in_any_order():
    x, y = np.arange(12.0, dtype="float32").reshape(6, 2), np.arange(6)
    batches = tf.data.Dataset.from_tensor_slices((x, y))
    told = [
        describe_training_data(data)
        for data in ((x, y), batches.batch(4), batches.shuffle(6, seed=1).batch(2))
    ]
    expected = hash_arrays((x, (y,)), ordered=False)
    assert [each["fingerprint"] for each in told[:2]] == [expected] * 2
    assert [each["num_examples"] for each in told] == [6] * 3
    other = describe_training_data((x, y[::-1]))
    assert other["fingerprint"] != expected


def test_a_loader_tells_what_it_knows():
    train, _ = load_synthetic(num_examples=24)
    told = describe_training_data(train)
    assert told["fingerprint"] == vars(train)["fingerprint"]
    assert told["num_examples"] == train.num_examples
    assert told["license"] is None
    cells, _ = load_elpv(image_size=8)
    assert describe_training_data(cells) == {
        "fingerprint": vars(cells)["fingerprint"],
        "num_examples": 1968,
        "license": ELPV_LICENSE,
    }


def test_what_differs_from_pass_to_pass_has_no_fingerprint():
    rows = tf.data.Dataset.range(4).map(lambda x: tf.random.uniform((2,))).batch(2)
    told = describe_training_data(rows)
    assert told["fingerprint"] is told["num_examples"] is None
    with pytest.raises(ValueError, match=r"what an earlier.*dictionary of \['x'\]"):
        describe_training_data({"x": 1})
    with pytest.raises(ValueError, match="`training_data` must come to an end"):
        describe_training_data(rows.repeat())


def test_an_export_keeps_the_record(tmp_path, no_fresh_process):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    rows = np.eye(2, dtype="float32"), np.array([0, 1])
    path, task = tmp_path / "rows", "classification"
    about = export_model(model, path, task=task, training_data=rows, verbose=False)
    written = json.loads((path / "metadata.json").read_text())["training_data"]
    assert written == about["training_data"] == describe_training_data(rows)
    again = export_model(
        *(model, path), task=task, training_data=written, overwrite=True, verbose=False
    )
    assert again["training_data"] == written
