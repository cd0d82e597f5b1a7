import keras
import numpy as np
import pytest

from tftransfer.backbones.weight_files import check_weights, load_weights_file


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def test_accepts_none_imagenet_and_an_existing_file(tmp_path):
    (tmp_path / "a.weights.h5").touch()
    for weights in (None, "imagenet", tmp_path / "a.weights.h5"):
        check_weights(weights)


def test_refuses_other_files_and_other_types(tmp_path):
    (tmp_path / "a.pth").touch()
    for path in (tmp_path / "a.pth", tmp_path / "missing.h5", "image-net"):
        with pytest.raises(ValueError, match=f"Received: weights='{path}'"):
            check_weights(path)
    with pytest.raises(TypeError, match="Received: weights=.* of type ndarray"):
        check_weights(np.zeros(3))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_loads_what_keras_saved(model, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    wanted = model.get_weights()
    (model.save if suffix == ".keras" else model.save_weights)(path)
    model.set_weights([weight + 1 for weight in wanted])
    load_weights_file(model, path, "a network")
    np.testing.assert_array_equal(model.get_weights()[0], wanted[0])


def test_names_network_and_file_that_does_not_fit(model, tmp_path):
    path = tmp_path / "a.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(path)
    match = rf"weights of Net\(alpha=0.5\). Received: weights='{path}'"
    with pytest.raises(ValueError, match=match):
        load_weights_file(model, path, "Net(alpha=0.5)")


def test_says_that_a_broken_file_may_be_damaged(model, tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_bytes(b"half a download")
    with pytest.raises(ValueError, match="damaged: delete it and fetch it again"):
        load_weights_file(model, path, "Net")
