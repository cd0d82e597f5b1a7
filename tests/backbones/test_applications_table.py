import functools
import pathlib

import keras
import pytest

from tftransfer.backbones import applications_table
from tftransfer.backbones.applications import build_application
from tftransfer.backbones.applications_table import (
    APPLICATIONS,
    application_weights_path,
    describe_application,
    list_applications,
)


class AskedForError(Exception):
    pass


@pytest.fixture
def asked_file(monkeypatch):
    """What Keras would download for the given arguments."""

    def get_file(fname, origin, cache_subdir, **_):
        assert cache_subdir == "models"
        raise AskedForError(fname)

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)

    def ask(name, size, **options):
        constructor = getattr(keras.applications, name)
        with pytest.raises(AskedForError) as caught:
            constructor(include_top=False, input_shape=(*size, 3), **options)
        return str(caught.value)

    return ask


def test_the_table_holds_every_constructor_of_the_installed_keras():
    public = [name for name in dir(keras.applications) if name[0].isupper()]
    assert list_applications() == public == sorted(APPLICATIONS)


@pytest.fixture
def ask_while_building(monkeypatch):
    """Builds a network as for its published weights; returns it and the files asked."""

    def build(name):
        files, constructor = [], getattr(keras.applications, name)

        @functools.wraps(constructor)
        def construct(**given):
            return constructor(**given | {"weights": "imagenet"})

        def get_file(fname, origin, **_):
            files.append(fname)

        monkeypatch.setattr(keras.applications, name, construct)
        monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
        monkeypatch.setattr(keras.Model, "load_weights", lambda model, path: None)
        return build_application(name, weights=None), files

    return build


@pytest.mark.slow
@pytest.mark.parametrize("name", list_applications())
def test_every_network_is_as_the_table_says(name, ask_while_building):
    row = describe_application(name)
    model, files = ask_while_building(name)
    assert files == [row.weights_file]
    assert model.count_params() == row.parameters
    assert model.output_shape == (None, row.width)
    assert model.layers[1].name == "resizing"
    assert model.layers[-1].name == "features"
    del model
    keras.utils.clear_session()


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("MobileNet", 160, {"alpha": 0.25}),
        ("MobileNet", 224, {"alpha": 0.5}),
        ("MobileNet", 128, {"alpha": 0.75}),
        ("MobileNetV2", 96, {"alpha": 0.35}),
        ("MobileNetV2", 192, {"alpha": 1.4}),
        ("MobileNetV3Large", 224, {"alpha": 0.75}),
        ("MobileNetV3Small", 224, {"minimalistic": True}),
    ],
)
def test_weights_file_follows_size_and_options(name, size, options, asked_file):
    path = application_weights_path(name, image_size=(size, size), **options)
    assert path.name == asked_file(name, (size, size), **options)


@pytest.mark.filterwarnings("ignore:.*is undefined or non-square")
@pytest.mark.parametrize("size", [(96, 128), (64, 64)])
def test_unusual_sizes_take_the_weights_for_224_pixels(size, asked_file):
    path = application_weights_path("MobileNetV2", image_size=size)
    assert "_224_" in path.name
    assert path.name == asked_file("MobileNetV2", size)


def test_the_path_lies_in_the_cache_of_keras(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    path = application_weights_path("VGG16")
    assert path.parent == pathlib.Path.home() / ".keras" / "models"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert application_weights_path("VGG16").parent == tmp_path / "models"


@pytest.mark.parametrize("name", list_applications())
def test_image_size_is_the_default_of_keras(name, monkeypatch):
    def obtain_input_shape(input_shape, default_size, **_):
        raise AskedForError(default_size)

    if name.startswith("MobileNetV3"):  # has no default; weights are for 224
        assert describe_application(name).image_size == (224, 224)
        return
    monkeypatch.setattr(
        "keras.src.applications.imagenet_utils.obtain_input_shape", obtain_input_shape
    )
    with pytest.raises(AskedForError) as caught:
        getattr(keras.applications, name)(weights=None)
    assert describe_application(name).image_size == (caught.value.args[0],) * 2


def test_a_network_unknown_to_the_table_is_measured(monkeypatch):
    known = describe_application("MobileNetV2")
    monkeypatch.delitem(applications_table.APPLICATIONS, "MobileNetV2")
    measured = describe_application("MobileNetV2")
    assert measured.image_size == known.image_size
    assert (measured.parameters, measured.width) == (known.parameters, known.width)
    assert measured.weights_file is None
    assert application_weights_path("MobileNetV2") is None


def test_unknown_names_are_refused_with_near_ones():
    for function in (describe_application, application_weights_path):
        with pytest.raises(ValueError, match="Received: name='Resnet5'. Did you mean"):
            function("Resnet5")
