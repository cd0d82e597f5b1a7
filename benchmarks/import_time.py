"""Seconds to import tftransfer and to print the command's help, in fresh processes.

Run:  python benchmarks/import_time.py
Rivals in the same run: `import keras`, `import tensorflow`. Median of five in turn.
"""

import os
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import tftransfer": ["-c", "import tftransfer"],
    "tftransfer --help": ["-m", "tftransfer", "--help"],
    "import keras": ["-c", "import keras"],
    "import tensorflow": ["-c", "import tensorflow"],
}
ROUNDS = 5


def main():
    seconds = {name: [] for name in COMMANDS}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    for _ in range(ROUNDS + 1):
        for name, words in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, *words],
                check=True,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            seconds[name].append(time.perf_counter() - started)
    for name, values in seconds.items():
        print(f"{statistics.median(values[1:]):6.3f} s  {name}")  # the first warms up


if __name__ == "__main__":
    main()
