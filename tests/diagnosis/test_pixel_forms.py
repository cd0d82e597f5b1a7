import itertools

import keras
import numpy as np
import pytest

from tftransfer.diagnosis.pixel_forms import COLOR_FORMS, conversion, guess_form

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3))
PIXELS[0, 0, 0], PIXELS[0, 0, 1] = 0, 255


@pytest.mark.parametrize("form", COLOR_FORMS, ids=lambda form: form.name)
def test_a_form_is_told_by_its_range(form):
    found, pixels = guess_form(form.make(PIXELS))
    assert found is form
    np.testing.assert_allclose(pixels, PIXELS, atol=1e-6)


@pytest.mark.parametrize(
    ("form", "other"),
    list(itertools.permutations(COLOR_FORMS, 2)),
    ids=lambda form: form.name,
)
def test_the_line_that_repairs_does_what_it_says(form, other):
    x = form.make(PIXELS)
    repaired = eval(conversion(form, other), {"x": x.copy(), "keras": keras})  # noqa: S307
    wanted = other.make(PIXELS)
    np.testing.assert_allclose(repaired, wanted, atol=2e-3 * np.abs(wanted).max())


def test_numbers_that_are_no_pixels_have_no_form():
    assert guess_form(PIXELS * 1000) == (None, None)
