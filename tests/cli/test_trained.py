import json

import keras
import pytest
import tensorflow as tf

from tftransfer.backbones.hub import load_hub_model
from tftransfer.cli import main
from tftransfer.cli.trained import load_trained, read_about


def save_model(path, *, size=None, outputs=2):
    inputs = keras.Input((size, size, 3))
    features = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(outputs)(features))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)  # or Keras warns when loading
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return path


@pytest.fixture(scope="module")
def with_module(tmp_path_factory):
    """A `.keras` file with a SavedModel inside."""
    folder, module = tmp_path_factory.mktemp("hub"), tf.Module()
    module.scale = tf.Variable(2.0)
    module.average = tf.function(
        lambda images: module.scale * tf.reduce_mean(images, [1, 2]),
        [tf.TensorSpec((None, 8, 8, 3))],
    )
    tf.saved_model.save(module, str(folder / "module"), signatures=module.average)
    model = load_hub_model(folder / "module")
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.save(folder / "model.keras")
    return folder / "model.keras"


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_hub_module_is_loaded_on_trust_only(command, with_module, tmp_path, capsys):
    output = str(tmp_path / "out")
    assert main.main([command, str(with_module), output]) == 2
    errors = capsys.readouterr().err
    assert "model.keras', which holds one. Add --trust if you trust" in errors
    assert errors.count("\n") == 1


def test_on_trust_a_hub_module_is_loaded(with_module):
    assert load_trained(with_module, trust=True).output_shape == (None, 3)


def test_a_folder_stands_for_the_model_in_it(tmp_path):
    save_model(tmp_path / "run" / "model.keras")
    (tmp_path / "run" / "metadata.json").write_text('{"class_names": ["a", "b"]}')
    assert load_trained(tmp_path / "run").output_shape == (None, 2)
    for path in (tmp_path / "run", tmp_path / "run" / "model.keras"):
        assert read_about(path) == {"class_names": ["a", "b"]}
    save_model(tmp_path / "alone.keras")
    assert read_about(tmp_path / "alone.keras") == {}


def test_an_export_alone_is_no_trained_model(tmp_path):
    with pytest.raises(ValueError, match="Received: .* which holds no model.keras"):
        load_trained(tmp_path)


@pytest.mark.parametrize("trust", [True, False])
def test_a_damaged_file_is_a_mistake(tmp_path, trust):
    (tmp_path / "model.keras").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="Keras can load. Received: .*model.keras': "):
        load_trained(tmp_path / "model.keras", trust=trust)


def test_export_takes_the_names_that_lie_beside_the_file(tmp_path, monkeypatch):
    save_model(tmp_path / "run" / "model.keras", size=8)
    about = {"class_names": ["cat", "dog"], "task": "classification"}
    (tmp_path / "run" / "metadata.json").write_text(json.dumps(about))
    given = {}
    monkeypatch.setattr(
        "tftransfer.export_model", lambda model, path, **options: given.update(options)
    )
    words = ["export", str(tmp_path / "run" / "model.keras"), str(tmp_path / "out")]
    assert main.main(words) == 0
    assert given["class_names"] == ["cat", "dog"]
    assert main.main([*words, "--class-names", "red,blue"]) == 0
    assert given["class_names"] == ["red", "blue"]
