import json

import keras
import pytest

from tftransfer.cli import main


@pytest.fixture
def save_model(tmp_path):
    """Save a model that gives logits, compiled with a loss for them or not."""

    def save(from_logits):
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.Rescaling(1 / 255),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(2),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        model.compile(keras.optimizers.SGD(1e-3), loss, metrics=["accuracy"])
        model.optimizer.build(model.trainable_variables)
        model.save(tmp_path / "model.keras")
        return str(tmp_path / "model.keras")

    return save


def test_exit_code_is_1_where_something_is_wrong(save_model, photos, capsys):
    assert main.main(["doctor", save_model(from_logits=False), str(photos)]) == 1
    output = capsys.readouterr().out
    assert "error: The model gives logits" in output
    assert "1 finding in" in output


def test_exit_code_is_0_where_nothing_is_found(save_model, photos, capsys):
    words = ["doctor", save_model(from_logits=True), str(photos), "--json"]
    assert main.main(words) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["findings"] == []
    assert {"duplicates", "augmented validation"} <= set(content["checked"])


def test_a_model_alone_is_examined(save_model, capsys):
    assert main.main(["doctor", save_model(from_logits=True)]) == 0
    assert "no data were given" in capsys.readouterr().out


def test_adapters_that_were_asked_for_are_missed(save_model, capsys):
    words = ["doctor", save_model(from_logits=True), "--lora-targets", "query"]
    assert main.main(words) == 1
    assert "[missing_adapters]" in capsys.readouterr().out


def test_a_missing_model_is_a_mistake(capsys):
    assert main.main(["doctor", "no/such.keras"]) == 2
    assert "Received: path='no/such.keras'" in capsys.readouterr().err


def test_a_missing_export_is_a_mistake(save_model, capsys):
    words = ["doctor", save_model(from_logits=True), "--export", "no/such"]
    assert main.main(words) == 2
    assert "Received: export='no/such'" in capsys.readouterr().err
