import subprocess
import sys

import pytest

PROGRAM = """
import sys
from tftransfer.cli.quiet import start_tensorflow
{before}
start_tensorflow()
print("after", file=sys.stderr)
"""


def run(before=""):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_start_is_silent_and_what_comes_after_is_not():
    assert run().stderr == "after\n"


def test_a_failing_start_shows_everything():
    finished = run("sys.modules['tensorflow'] = None")
    assert finished.returncode == 1
    assert "import of tensorflow halted" in finished.stderr
