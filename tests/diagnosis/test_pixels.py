import keras
import numpy as np
import pytest

from tftransfer.diagnosis.case import Case
from tftransfer.diagnosis.finding import NotChecked
from tftransfer.diagnosis.pixels import find_channel_order, find_pixel_scale
from tftransfer.diagnosis.reading import read_rows

PIXELS = np.random.default_rng(0).normal([150, 120, 60], [40, 30, 20], (32, 8, 8, 3))
PIXELS = np.clip(PIXELS, 0, 255).astype("float32")


def build_case(images, mean, variance):
    """A network that begins with the statistics of its training."""
    norm = keras.layers.BatchNormalization()
    pooled = keras.layers.GlobalAveragePooling2D()
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), norm, pooled, keras.layers.Dense(2)]
    )
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(variance)
    return Case(model, train=read_rows("data", images, 32))


def moments(images):
    return images.mean(axis=(0, 1, 2)), images.var(axis=(0, 1, 2))


def test_the_distance_is_that_of_its_equation():
    mean, variance = moments(PIXELS / 127.5 - 1)
    (finding,) = find_pixel_scale(build_case(PIXELS, mean, variance))
    given, spread = moments(PIXELS.astype("float64"))
    shift = (given - mean) ** 2 / variance
    wanted = np.median(np.abs(np.log(spread / variance)) + np.log1p(shift))
    assert finding.evidence["distance"] == pytest.approx(wanted, rel=1e-2)
    assert finding.evidence["distance after repair"] < 0.02
    assert "lambda x, y: (x / 127.5 - 1, y)" in finding.repair


def test_colors_in_reverse_are_found_by_statistics():
    mean, variance = moments(PIXELS)
    (finding,) = find_channel_order(build_case(PIXELS[..., ::-1], mean, variance))
    given, reversed_ = finding.evidence.values()
    assert given > 1
    assert reversed_ < 0.02
    assert find_channel_order(build_case(PIXELS, mean, variance)) == []


def test_statistics_that_are_as_they_were_made_tell_nothing():
    with pytest.raises(NotChecked, match="stores no statistics of its pretraining"):
        find_pixel_scale(build_case(PIXELS, [0, 0, 0], [1, 1, 1]))


def test_statistics_on_their_way_tell_nothing():
    mean, variance = moments(PIXELS)
    case = build_case(PIXELS, 0.1 * mean, 0.9 + 0.1 * variance)
    with pytest.raises(NotChecked, match="have not settled yet"):
        find_pixel_scale(case)


def test_what_is_no_image_is_not_judged():
    rows = read_rows("data", np.ones((8, 5), "float32"), 8)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    with pytest.raises(NotChecked, match="are no images"):
        find_pixel_scale(Case(model, train=rows))
