"""What stands beside what, and over it."""

import types

import numpy as np
import pytest
from PIL import Image

from tftransfer.report.heat_maps import (
    LUMA,
    STRONGEST,
    build_heat_map_figure,
    plot_heat_maps,
)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, 6, 8, 3), dtype="uint8")


@pytest.fixture
def explanation(rng):
    return types.SimpleNamespace(
        heat_maps=rng.random((5, 6, 8)), classes=np.array([0, 1, 1, 0, 2])
    )


def pairs(figure):
    return [(cell.get_suptitle(), *cell.axes) for cell in figure.subfigs if cell.axes]


def test_each_image_stands_beside_its_heat(images, explanation):
    drawn = pairs(build_heat_map_figure(images, explanation))
    assert len(drawn) == 5
    for row, (title, plain, heated) in enumerate(drawn):
        assert title == f"class {explanation.classes[row]}"
        np.testing.assert_array_equal(plain.images[0].get_array(), images[row])
        grey, heat = heated.images
        np.testing.assert_allclose(grey.get_array(), images[row] @ LUMA)
        np.testing.assert_array_equal(heat.get_array(), explanation.heat_maps[row])
        assert (heat.norm.vmin, heat.norm.vmax) == (0, 1)


def test_cold_places_show_the_image_alone(images, explanation):
    explanation.heat_maps[0, :3] = 0
    explanation.heat_maps[0, 3:] = 1
    _, _, heated = pairs(build_heat_map_figure(images, explanation))[0]
    alpha = heated.images[1].get_alpha()
    assert not alpha[:3].any()
    assert (alpha[3:] == STRONGEST).all()


def test_classes_are_named_and_captions_win(images, explanation):
    names = ["good", "bad", "$ ugly"]
    drawn = pairs(build_heat_map_figure(images, explanation, class_names=names))
    assert [title for title, *_ in drawn] == ["good", "bad", "bad", "good", "$ ugly"]
    captions = [f"row {row}" for row in range(5)]
    drawn = pairs(
        build_heat_map_figure(images, explanation, class_names=names, captions=captions)
    )
    assert [title for title, *_ in drawn] == captions


def test_only_so_many_are_drawn(images, explanation):
    assert len(pairs(build_heat_map_figure(images, explanation, num_examples=2))) == 2


def test_grey_images_are_drawn(rng, explanation):
    images = rng.integers(0, 256, (5, 6, 8, 1), dtype="uint8")
    _, plain, heated = pairs(build_heat_map_figure(images, explanation))[3]
    np.testing.assert_array_equal(plain.images[0].get_array(), images[3, ..., 0])
    np.testing.assert_array_equal(heated.images[0].get_array(), images[3, ..., 0])


@pytest.mark.parametrize(("count", "width"), [(1, 400), (5, 1200)])
def test_the_file_is_a_picture(images, explanation, tmp_path, count, width):
    plot_heat_maps(images, explanation, tmp_path / "heat.png", num_examples=count)
    with Image.open(tmp_path / "heat.png") as image:
        assert image.format == "PNG"
        assert image.size[0] == width


def test_what_does_not_fit_is_refused(images, explanation):
    with pytest.raises(ValueError, match="Received: 4 images"):
        build_heat_map_figure(images[:4], explanation)
    with pytest.raises(ValueError, match="Received: 1 captions"):
        build_heat_map_figure(images, explanation, captions=["one"])
    with pytest.raises(ValueError, match="must name class 2 too. Received: 2 names"):
        build_heat_map_figure(images, explanation, class_names=["good", "bad"])
    with pytest.raises(ValueError, match=r"Received: shape \(5, 8, 3\) in row 0"):
        build_heat_map_figure(images[:, :5], explanation)


def test_the_path_is_checked_before_drawing():
    with pytest.raises(ValueError, match="Received: path='heat.jpg'"):
        plot_heat_maps(None, None, "heat.jpg")


def test_images_may_differ_in_size(rng):
    sizes = [(6, 8), (9, 3)]
    images = [rng.integers(0, 256, (*size, 3), dtype="uint8") for size in sizes]
    heat_maps = [rng.random(size) for size in sizes]
    found = types.SimpleNamespace(heat_maps=heat_maps, classes=np.array([0, 1]))
    drawn = pairs(build_heat_map_figure(images, found))
    for (_, _, heated), heat in zip(drawn, heat_maps, strict=True):
        np.testing.assert_array_equal(heated.images[1].get_array(), heat)
