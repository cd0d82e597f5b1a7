import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft
from tftransfer.lora.adapters import adapted_layers


@pytest.fixture
def saved(build_cnn, images, labels, tmp_path):
    """A trained model with adapters, and its file."""
    model = tft.add_lora(build_cnn(), 2, alpha=6)
    model.fit(images, labels, epochs=2, verbose=0)
    tft.save_lora(model, tmp_path / "adapters.npz")
    return model, tmp_path / "adapters.npz"


def test_a_plain_model_takes_the_adapters_of_the_file(saved, build_cnn, images):
    model, path = saved
    fresh = build_cnn()
    assert tft.load_lora(fresh, path) is fresh
    expected = model.predict(images, verbose=0)
    np.testing.assert_array_equal(fresh.predict(images, verbose=0), expected)
    assert fresh.get_layer("stem_conv").adapter_alpha == 6
    learning = [variable.path for variable in model.trainable_variables]
    assert [variable.path for variable in fresh.trainable_variables] == learning


def test_equal_adapters_are_set_anew(saved, build_cnn, images):
    model, path = saved
    expected = model.predict(images, verbose=0)
    other = tft.add_lora(build_cnn(), 2, alpha=6)
    tft.load_lora(other, path)
    np.testing.assert_array_equal(other.predict(images, verbose=0), expected)


def test_the_file_holds_what_learns_and_nothing_else(saved):
    model, path = saved
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "description"}
    learned = sum(np.prod(x.shape) for x in model.trainable_variables)
    assert sum(values.size for values in arrays.values()) == learned
    np.testing.assert_array_equal(
        arrays["backbone/block1_conv/1"], model.get_layer("block1_conv").adapter_b
    )


def test_a_checkpoint_is_kilobytes_where_the_model_is_megabytes(tmp_path):
    inputs = keras.Input((512,))
    x = layers.Dense(512, name="features")(inputs)
    model = tft.add_lora(keras.Model(inputs, layers.Dense(2)(x)), 4)
    model.save(tmp_path / "whole.keras")
    tft.save_lora(model, tmp_path / "adapters.npz")
    assert (tmp_path / "whole.keras").stat().st_size > 1_000_000
    assert (tmp_path / "adapters.npz").stat().st_size < 25_000


def test_bfloat16_weights_are_stored_too(tmp_path):
    def build():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16,), dtype="bfloat16")
        x = layers.Dense(16, name="features", dtype="bfloat16")(inputs)
        return keras.Model(inputs, layers.Dense(2, dtype="bfloat16")(x))

    model = tft.add_lora(build(), 2)
    tft.save_lora(model, tmp_path / "a.npz")
    loaded = tft.load_lora(build(), tmp_path / "a.npz")
    assert loaded.layers[-1].kernel.dtype == "bfloat16"
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(other))


def test_files_are_replaced_only_when_told(saved):
    model, path = saved
    with pytest.raises(ValueError, match="must not exist yet, unless overwrite=True"):
        tft.save_lora(model, path)
    tft.save_lora(model, path, overwrite=True)
    assert [file.name for file in path.parent.iterdir()] == ["adapters.npz"]


def test_a_model_without_adapters_has_nothing_to_save(build_cnn, tmp_path):
    with pytest.raises(ValueError, match="`model` must have adapters"):
        tft.save_lora(build_cnn(), tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def refuse(model, path, message):
    weights = [np.array(weight) for weight in model.weights]
    adapted = len(adapted_layers(model))
    with pytest.raises(ValueError, match=message):
        tft.load_lora(model, path)
    assert len(adapted_layers(model)) == adapted
    for before, weight in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(before, weight)


def test_other_pretrained_weights_are_refused(saved, build_cnn):
    message = "Received: path=.*, and other weights in 'stem_conv'"
    refuse(build_cnn(seed=1), saved[1], message)


def test_another_head_is_refused(saved, build_cnn):
    message = r"shape \(16, 3\) for 'head/0/0', where the model has \(16, 5\)"
    refuse(build_cnn(classes=5), saved[1], message)


def test_other_layers_are_refused(saved):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, name="stem_konv")(inputs)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    message = "adapters of 'stem_conv', which the model has not. Did you mean 'stem_k"
    refuse(model, saved[1], message)


def test_a_weight_that_is_not_in_the_file_is_told(saved, build_cnn):
    with np.load(saved[1]) as file:
        arrays = {name: file[name] for name in file.files}
    del arrays["backbone/block1_conv/1"]
    with open(saved[1], "wb") as file:
        np.savez(file, **arrays)
    message = r"shape None for 'backbone/block1_conv/1', where the model has \(2, 16\)"
    refuse(build_cnn(), saved[1], message)


def test_other_adapters_in_the_model_are_refused(saved, build_cnn):
    model = tft.add_lora(build_cnn(), 3)
    refuse(model, saved[1], "must have no adapters, or those of the file. Received:")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x80\x04N."])
def test_damaged_files_are_refused(build_cnn, tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    refuse(build_cnn(), path, "file that save_lora wrote. Received: path=.*damaged")


def test_other_archives_and_missing_files_are_refused(build_cnn, tmp_path):
    model = build_cnn()
    refuse(model, tmp_path / "no.npz", "Received: path=.*, which cannot be read")
    np.savez(tmp_path / "other.npz", kernel=np.zeros(3))
    refuse(model, tmp_path / "other.npz", "which is damaged or something else")
    np.save(tmp_path / "array.npy", np.zeros(3))
    refuse(model, tmp_path / "array.npy", "which is damaged or something else")
    np.savez(tmp_path / "new.npz", description=np.array('{"format": 2, "layers": {}}'))
    refuse(model, tmp_path / "new.npz", "its format is 2, not 1")
