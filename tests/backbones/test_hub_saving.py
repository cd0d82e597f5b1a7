"""HubLayer in a .keras file and in an exported SavedModel."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones import hub_resolve
from tftransfer.backbones.hub_layer import HubLayer


@pytest.fixture(scope="module")
def trained_values():
    return []


@pytest.fixture
def trained(small_module, build_hub_classifier, image_batch, trained_values):
    """A fine-tuned model, Adam's state included; trained once for all tests."""
    layer = HubLayer(small_module, trainable=True, name="module")
    for weight in layer.weights:
        weight.trainable = weight.trainable and not weight.name.startswith("conv1")
    model = build_hub_classifier(layer)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if trained_values:
        model.optimizer.build(model.trainable_variables)
        for variable, value in zip(variables_of(model), trained_values, strict=True):
            variable.assign(value)
    else:
        model.fit(*image_batch, epochs=2, verbose=0)
        trained_values += [variable.numpy() for variable in variables_of(model)]
    return model


def variables_of(model):
    return [*model.weights, *model.optimizer.variables]


def hub_layer_of(model):
    return next(layer for layer in model.layers if isinstance(layer, HubLayer))


def load(path):
    return keras.models.load_model(path, safe_mode=False)


@pytest.mark.parametrize("module_is_gone", [False, True])
def test_a_loaded_model_equals_the_saved_one_and_trains_on(
    trained, tmp_path, image_batch, module_is_gone, monkeypatch
):
    trained.save(tmp_path / "model.keras")
    if module_is_gone:  # as on another machine: only the .keras file is there
        shutil.rmtree(hub_layer_of(trained).handle)
        monkeypatch.setattr(hub_resolve, "_kept_copies", {})
    loaded = load(tmp_path / "model.keras")
    images, labels = image_batch
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), trained(images))
    for weight, twin in zip(trained.weights, loaded.weights, strict=True):
        assert (weight.path, weight.trainable) == (twin.path, twin.trainable)
        np.testing.assert_array_equal(weight, twin)
    for _ in range(3):
        losses = [m.train_on_batch(images, labels) for m in (trained, loaded)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    for weight, twin in zip(trained.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(weight, twin, atol=1e-6)


def test_a_loaded_model_can_be_saved_again_cloned_and_exported(
    trained, tmp_path, image_batch, monkeypatch
):
    trained.save(tmp_path / "first.keras")
    shutil.rmtree(hub_layer_of(trained).handle)
    monkeypatch.setattr(hub_resolve, "_kept_copies", {})
    load(tmp_path / "first.keras").save(tmp_path / "second.keras")
    loaded = load(tmp_path / "second.keras")
    images, expected = image_batch[0], trained.predict(image_batch[0], verbose=0)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    clone = keras.models.clone_model(loaded)
    clone.set_weights(loaded.get_weights())
    np.testing.assert_array_equal(clone.predict(images, verbose=0), expected)
    loaded.export(str(tmp_path / "export"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(served.serve(images), expected, atol=1e-5)


def test_loading_works_under_a_distribution_strategy(
    trained, tmp_path, image_batch, monkeypatch
):
    trained.save(tmp_path / "model.keras")
    shutil.rmtree(hub_layer_of(trained).handle)
    monkeypatch.setattr(hub_resolve, "_kept_copies", {})
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        loaded = load(tmp_path / "model.keras")
    images, labels = image_batch
    expected = trained.predict(images, verbose=0)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-6)
    losses = [
        m.fit(images, labels, verbose=0).history["loss"] for m in (trained, loaded)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


# Keras looks for what failed in a second place before it gives up, and warns there.
@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_a_damaged_file_is_refused_when_it_is_loaded(trained, tmp_path, monkeypatch):
    trained.save(tmp_path / "whole.keras")
    shutil.rmtree(hub_layer_of(trained).handle)
    monkeypatch.setattr(hub_resolve, "_kept_copies", {})
    with (
        zipfile.ZipFile(tmp_path / "whole.keras") as whole,
        zipfile.ZipFile(tmp_path / "damaged.keras", "w") as damaged,
    ):
        for name in whole.namelist():
            content = whole.read(name)
            damaged.writestr(name, b"x" if name.endswith("saved_model.pb") else content)
    with pytest.raises(ValueError, match="must be a SavedModel that this TensorFlow"):
        load(tmp_path / "damaged.keras")


def test_safe_mode_refuses_the_program_inside(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    message = (
        "(?s)a SavedModel is a program.*Received: safe_mode=True.*Pass safe_mode=False"
    )
    with pytest.raises((TypeError, ValueError), match=message):
        keras.models.load_model(tmp_path / "model.keras")


def test_weights_alone_travel_between_models(trained, tmp_path, image_batch):
    trained.save_weights(tmp_path / "model.weights.h5")
    clone = keras.models.clone_model(trained)
    clone.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(clone(image_batch[0]), trained(image_batch[0]))


@pytest.mark.slow
def test_an_exported_model_serves_without_this_package(trained, tmp_path, image_batch):
    trained.export(str(tmp_path / "exported"), verbose=False)
    np.save(tmp_path / "images.npy", image_batch[0])
    program = (
        "import sys, numpy, tensorflow as tf\n"
        "module = tf.saved_model.load(sys.argv[1])\n"
        "serve = module.signatures['serving_default']\n"
        "(name,) = serve.structured_input_signature[1]\n"
        "images = tf.constant(numpy.load(sys.argv[2]))\n"
        "(outputs,) = serve(**{name: images}).values()\n"
        "numpy.save(sys.argv[3], outputs)\n"
        "assert 'tftransfer' not in sys.modules\n"
    )
    files = [str(tmp_path / name) for name in ("exported", "images.npy", "outputs.npy")]
    subprocess.run([sys.executable, "-c", program, *files], check=True)
    expected = trained.predict(image_batch[0], verbose=0)
    np.testing.assert_allclose(np.load(files[-1]), expected, atol=1e-5)


def test_tensorflow_itself_can_save_the_model(trained, tmp_path, image_batch):
    tf.saved_model.save(trained, str(tmp_path / "saved"))
    layer = HubLayer(tmp_path / "saved")
    expected = trained.predict(image_batch[0], verbose=0)
    np.testing.assert_allclose(layer(image_batch[0]), expected, atol=1e-5)


def test_a_reexported_model_is_a_module_again(
    trained, tmp_path, image_batch, build_hub_classifier
):
    trained.export(str(tmp_path / "exported"), verbose=False)
    layer = HubLayer(tmp_path / "exported", trainable=True)
    images = image_batch[0]
    expected = trained.predict(images, verbose=0)
    np.testing.assert_allclose(layer(images), expected, atol=1e-5)
    assert len(layer.trainable_weights) >= 8


def test_text_with_a_lookup_table_lives_through_it_all(
    text_module, tmp_path, monkeypatch
):
    layer = HubLayer(text_module, trainable=True)
    inputs = keras.Input((), dtype="string")
    model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
    model.compile("sgd", "mse")
    words = np.array(["good", "bad", "unheard"], dtype=object)
    before = layer.trainable_weights[0].numpy()
    model.fit(tf.constant(words), np.ones((3, 1)), epochs=2, verbose=0)
    assert not np.array_equal(layer.trainable_weights[0], before)
    expected = model.predict(tf.constant(words), verbose=0)
    model.save(tmp_path / "text.keras")
    shutil.rmtree(text_module)
    monkeypatch.setattr(hub_resolve, "_kept_copies", {})
    loaded = load(tmp_path / "text.keras")
    np.testing.assert_array_equal(
        loaded.predict(tf.constant(words), verbose=0), expected
    )
    loaded.export(str(tmp_path / "exported"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(served.serve(words), expected, atol=1e-6)


def test_saving_refuses_a_module_that_was_overwritten(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_resolve, "_kept_copies", {})  # equal ones of other tests
    Path(hub_layer_of(trained).handle, "saved_model.pb").write_bytes(b"other")
    message = "must still be the SavedModel.*Received: handle=.*changed or gone"
    with pytest.raises(ValueError, match=message):
        trained.save(tmp_path / "model.keras")


def test_a_layer_rebuilt_without_its_module_says_so(trained, monkeypatch):
    config = hub_layer_of(trained).get_config()
    shutil.rmtree(hub_layer_of(trained).handle)
    monkeypatch.setattr(hub_resolve, "_kept_copies", {})
    layer = HubLayer.from_config(config)
    with pytest.raises(ValueError, match="Received: handle=.*not \\(any more\\)"):
        layer(np.ones((1, 8, 8, 3), "float32"))
