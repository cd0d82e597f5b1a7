import subprocess
import sys

import pytest

import tftransfer as tft


def test_import_pulls_in_neither_tensorflow_nor_keras():
    program = (
        "import sys, tftransfer, tftransfer.cli.main; "
        "print(sorted({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert output.stdout == "[]\n"


@pytest.mark.parametrize("name", tft.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(tft, name)
    if not name.startswith("_") and callable(value):
        assert value.__doc__


def test_unknown_names_are_told():
    with pytest.raises(AttributeError, match="no attribute 'build_model'"):
        tft.build_model  # noqa: B018


def test_all_public_names_are_listed():
    assert set(dir(tft)) == set(tft.__all__)
