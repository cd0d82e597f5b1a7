"""Run a recipe with several seeds: mean, standard deviation and time of each result.

Run:  python benchmarks/recipe_over_seeds.py elpv --seeds 5
      python benchmarks/recipe_over_seeds.py mnist_to_usps --option data_dir=DIR
      ... --seeds 2 --first 3    seeds 3 and 4
Prints one row for each result and saves all of them, with the machine and the versions,
as JSON beside this file when --save is given.
"""

import argparse
import importlib.util
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import keras
import tensorflow as tf

ROOT = Path(__file__).parents[1]


def main(recipe, seeds, first, options, save):
    module = load(ROOT / "recipes" / f"{recipe}.py")
    runs = []
    for seed in range(first, first + seeds):
        wall, cpu = time.perf_counter(), time.process_time()
        results = module.main(seed=seed, **options)
        run = {
            "seed": seed,
            "results": results,
            "wall_minutes": (time.perf_counter() - wall) / 60,
            "cpu_minutes": (time.process_time() - cpu) / 60,
        }
        runs.append(run)
        print(json.dumps(run), flush=True)
        keras.utils.clear_session()
    last = first + seeds - 1
    print(f"\n{recipe}, seeds {first} to {last}, options {options}, {machine()}")
    for name in runs[0]["results"]:
        print(f"{describe([run['results'][name] for run in runs])}  {name}")
    for name in ("wall_minutes", "cpu_minutes"):
        print(f"{describe([run[name] for run in runs])}  {name} a seed")
    if save:
        path = Path(__file__).with_name(f"{recipe}_over_seeds.json")
        content = {"machine": machine(), "options": options, "runs": runs}
        path.write_text(json.dumps(content, indent=2) + "\n")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # TensorFlow looks for the source of lambdas there
    spec.loader.exec_module(module)
    return module


def describe(values):
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):7.2f} ± {spread:5.2f}"


def machine():
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.split(":")[1].strip() for line in lines if "model name" in line]
        model = f"{len(names)} cores of {names[0]}" if names else ""
    return (
        f"{model or platform.processor()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}, Python {platform.python_version()}"
    )


def parse_option(text):
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="name of a file in recipes/, without .py")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--option", type=parse_option, action="append", default=[])
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    options = dict(arguments.option)
    main(arguments.recipe, arguments.seeds, arguments.first, options, arguments.save)
