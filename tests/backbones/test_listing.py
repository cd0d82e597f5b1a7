import pytest

from tftransfer.backbones.alexnet import build_alexnet
from tftransfer.backbones.applications_table import list_applications
from tftransfer.backbones.listing import list_backbones
from tftransfer.backbones.packaged import PACKAGED


def test_every_network_is_listed_once():
    handles = [info.handle for info in list_backbones()]
    expected = {f"keras:{name}" for name in list_applications()}
    expected |= {f"pip:{name}" for name in PACKAGED} | {"alexnet", "text:minilm_l6"}
    assert set(handles) == expected and len(handles) == len(expected)


def test_a_part_of_the_name_in_any_case_chooses():
    handles = [info.handle for info in list_backbones("RESNET50")]
    assert handles == ["keras:ResNet50", "keras:ResNet50V2"]


def test_alexnet_row_is_the_network_that_is_built():
    (info,) = list_backbones("alexnet")
    model = build_alexnet(weights=None)
    assert (info.parameters, info.features) == (
        model.count_params(),
        model.output_shape[1],
    )
    assert info.image_size == (227, 227)


@pytest.mark.parametrize(
    ("is_there", "expected"), [(True, ["keras:VGG16"]), (False, [])]
)
def test_weights_in_the_cache_of_keras_are_local(
    monkeypatch, tmp_path, is_there, expected
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if is_there:
        folder = tmp_path / "models"
        folder.mkdir()
        (folder / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    found = [info.handle for info in list_backbones("vgg", local_only=True)]
    assert found == expected


def test_an_empty_list_prints_the_header():
    assert str(list_backbones("no such network")).startswith("handle")
