"""Does it help to adapt, and does the guard know? Shifts of images, cells and reviews.

Run:   python benchmarks/adaptation.py --data-dir DIR --shared DIR --cache DIR
           --rivals PYTHON --save adaptation.json --figure adaptation.png
       python benchmarks/adaptation.py ... --shifts "cifar*" --seeds 0
       python benchmarks/adaptation.py ... --steps judge    after a change of the guard
       python benchmarks/adaptation.py --time
       --data-dir: prepared TFDS datasets; --shared: product reviews and weights of
       MobileNetV2; --rivals: a Python with skada, adapt and TensorFlow
Data:  51 shifts and a stress half of 18 (changed class shares, missing classes, 100
       target rows, no shift), 3 seeds of each: `domain_shifts.py`. CIFAR-10 was encoded
       as JPEG once before.
Gains: accuracy points on the target against the control, which learned from the source
       alone. Target labels make the tables and answer the questions of twenty asked
       labels (20 draws of each); nothing else reads them. Settings are the same for
       all.

Each run is kept under `--cache` as it ends, so that a run stopped is continued; steps:
fit (candidates, and 20 random labels as training rows, 5 draws), sklearn (the control's
measure: StandardScaler and LogisticRegressionCV), rivals, judge (guard, estimate, asked
labels, tables).
"""

import argparse
import dataclasses
import fnmatch
import functools
import hashlib
import json
import os
import subprocess
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from adaptation_figure import draw_figure
from adaptation_judging import CHOSEN, CONTROL, GUARDED, LABELS, Run, judge_run
from adaptation_report import print_report
from adaptation_timing import time_rows
from domain_features import Pools
from domain_shifts import list_shifts
from scipy.sparse import load_npz, save_npz
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import StandardScaler
from timing import print_rows, write_rows

import tftransfer as tft
from tftransfer.adaptation.judge import fit_judge
from tftransfer.adaptation.reading import read_domains
from tftransfer.methods.problem import Candidate
from tftransfer.methods.propagation import find_neighborhood
from tftransfer.methods.softmax_regression import fit_softmax_regression, one_hot

FILES = {"fit": ".npz", "graph": ".npz", "sklearn": ".json", "rivals": ".npz"}
STEPS = ("fit", "sklearn", "rivals", "judge")
TRAINED, TRAINED_HEAVY = "20 random, train", "20 random, train, half the weight"
TRAINING_DRAWS = 5
WATCHED = "watched"


def main(shifts, seeds, steps, pools, rivals, save, figure):
    started, rows = time.perf_counter(), []
    if "rivals" in steps and rivals is None:
        print("rivals: left out, --rivals names no Python that has them")
    worker = Worker(rivals, pools.cache) if rivals and "rivals" in steps else None
    for seed in seeds:
        for shift in shifts:
            row = run_one(shift, seed, steps, pools, worker)
            if row is not None:
                rows.append(row)
                if save and len(rows) % 10 == 0:
                    write_rows(save, rows, finished=False)
    if "judge" not in steps or not rows:
        return
    summary = print_report(rows)
    print(f"{time.perf_counter() - started:,.0f} seconds")
    if save:
        write_rows(save, rows, finished=True, summary=summary)
    if figure:
        draw_figure(rows, figure)


def run_one(shift, seed, steps, pools, worker):
    """Do what is not done yet of a shift with a seed; return its row, or None."""
    paths = {
        step: make_folder(pools.cache / step) / f"{shift.file_name}-{seed}{suffix}"
        for step, suffix in FILES.items()
    }

    @functools.cache
    def build():
        return shift.build(pools, seed)

    if "fit" in steps and not paths["fit"].exists():
        run = fit(build(), seed)
        about = {"family": shift.family, "shift": shift.name, "seed": seed}
        about |= {"is_stress": shift.is_stress, **run.about}
        dataclasses.replace(run, about=about).save(paths["fit"])
        print(f"{shift.name}, seed {seed}: {about['seconds']:.1f} s", flush=True)
    if not paths["fit"].exists():
        return None
    if "sklearn" in steps and not paths["sklearn"].exists():
        found = {"accuracy": measure_sklearn(build(), pools.cache)}
        paths["sklearn"].write_text(json.dumps(found))
    if worker and not paths["rivals"].exists() and not shift.is_stress:
        worker.predict(build(), seed, Run.load(paths["fit"]), paths["rivals"])
    if not paths["graph"].exists():
        save_graph(build(), seed, paths["graph"])
    if "judge" not in steps:
        return None
    run = dataclasses.replace(Run.load(paths["fit"]), graph=load_npz(paths["graph"]))
    return make_row(run, paths)


def save_graph(domains, seed, path):
    """Write the graph of nearest target rows, over which asked labels are spread."""
    given = domains.source, domains.labels, domains.target
    found = find_neighborhood(read_domains(*given, seed).problem, units="target")
    save_npz(path, found.graph.astype("float32"))


def make_folder(path):
    path.mkdir(exist_ok=True)
    return path


def make_row(run, paths):
    """Return the row of a run with what sklearn and the rivals reach, where known."""
    row = judge_run(run)
    row["gains"] |= row.pop("trained")
    if paths["sklearn"].exists():
        row["sklearn"] = json.loads(paths["sklearn"].read_text())["accuracy"]
    if paths["rivals"].exists():
        with np.load(paths["rivals"]) as found:
            for name in found.files:
                row["gains"][name] = [run.accuracy(found[name]) - row[CONTROL]]
    return row


def fit(domains, seed):
    """Adapt without labels; return all that judging needs as a `Run`."""
    seen = {}

    def watch(problem, control):
        """Stand among the candidates as the control's double, to see what they see."""
        seen.update(problem=problem, control=control)
        return Candidate(WATCHED, control.probabilities, control.predict)

    started = time.perf_counter()
    result = tft.adapt_features(
        domains.source,
        domains.labels,
        domains.target,
        methods=[watch],
        seed=seed,
        verbose=0,
    )
    seconds = time.perf_counter() - started
    about = {
        "seconds": seconds,
        "rows": [len(domains.source), len(domains.target)],
        "width": domains.source.shape[1],
        "penalty": seen["control"].penalty,
        "scores": result.scores,
        "verdict": result.verdict,
        "guarded_when_fitted": gain_of(result, domains.truth),
        "trained": train_on_chance(domains.truth, seed, **seen),
    }
    candidates = {
        name: each
        for name, each in result.candidates.items()
        if name not in (WATCHED, GUARDED, CHOSEN)
    }
    judge = fit_judge(seen["problem"], seen["control"]).probabilities
    control = seen["control"]
    labels = seen["problem"].labels
    return Run(about, candidates, control.held_out, judge, labels, domains.truth)


def gain_of(result, truth):
    """Return the gain of what `adapt_features` chose, for the tables."""
    right = {
        name: np.mean(result.candidates[name].argmax(axis=1) == truth)
        for name in (CONTROL, CHOSEN)
    }
    return 100 * float(right[CHOSEN] - right[CONTROL])


def train_on_chance(truth, seed, problem, control):
    """Return gains where 20 random target rows with labels are added to the source.

    Once with the same weight for each row, once all 20 as heavy as the source.
    """
    count = len(problem.labels)
    weights = {TRAINED: 1.0, TRAINED_HEAVY: count / LABELS}
    before, gains = np.mean(control.labels == truth), {name: [] for name in weights}
    for draw in range(TRAINING_DRAWS):
        order = np.random.default_rng([seed, draw, 4]).permutation(len(truth))
        few = order[:LABELS]
        rows = np.concatenate([problem.scaled_source, problem.target_by_source[few]])
        labels = np.concatenate([problem.labels, truth[few]])
        for name, weight in weights.items():
            model = fit_softmax_regression(
                rows,
                one_hot(labels, problem.num_classes),
                control.penalty,
                weights=np.repeat([1.0, weight], [count, len(few)]),
                start=control.model,
                tolerance=1e-6,
            )
            called = model.logits(problem.target_by_source).argmax(axis=1)
            gains[name].append(100 * float(np.mean(called == truth) - before))
    return gains


def measure_sklearn(domains, cache):
    """Return the target accuracy of scikit-learn's model of the source, in percent.

    Shifts that have the same source rows share the model.
    """
    rows = np.ascontiguousarray(domains.source, "float64")
    key = hashlib.sha256(rows.tobytes() + domains.labels.tobytes()).hexdigest()[:20]
    path = make_folder(cache / "sklearn models") / f"{key}.npz"
    if not path.exists():
        scaler = StandardScaler().fit(rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegressionCV(max_iter=200)
            model.fit(scaler.transform(rows), domains.labels)
        np.savez(
            path,
            mean=scaler.mean_,
            scale=scaler.scale_,
            weights=model.coef_,
            bias=model.intercept_,
            classes=model.classes_,
        )
    with np.load(path) as found:
        scaled = (domains.target - found["mean"]) / found["scale"]
        logits = scaled @ found["weights"].T + found["bias"]
        if logits.shape[1] == 1:
            logits = np.concatenate([-logits, logits], axis=1)
        called = found["classes"][logits.argmax(axis=1)]
    return 100 * float(np.mean(called == domains.truth))


class Worker:
    """`adaptation_rivals.py` in an environment of its own; never sees target labels."""

    def __init__(self, python, cache):
        self.path = cache / f"exchange-{os.getpid()}.npz"
        script = Path(__file__).with_name("adaptation_rivals.py")
        self.log = (cache / "rivals.log").open("a")
        self.process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        about = json.loads(self.process.stdout.readline())
        for package, reason in about["absent"].items():
            print(f"rivals of {package} left out: {reason}")

    def predict(self, domains, seed, run, path):
        """Write the labels that each rival predicts to `path`."""
        partial = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(
            self.path,
            source=domains.source,
            labels=domains.labels,
            target=domains.target,
            C=1 / (run.about["penalty"] * len(domains.labels)),
            seed=seed,
        )
        order = {"read": str(self.path), "write": str(partial)}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        partial.replace(path)
        took = ", ".join(f"{k} {v:.1f} s" for k, v in answer["seconds"].items())
        print(f"{path.stem}: {took} {answer['failed'] or ''}".rstrip(), flush=True)


def select(patterns, names):
    """Return which names fit any pattern, all where there is none."""
    chosen = [n for n in names if any(fnmatch.fnmatch(n, p) for p in patterns)]
    if patterns and not chosen:
        raise SystemExit(f"--shifts must fit some of {names}. Received: {patterns}.")
    return chosen or names


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="prepared TFDS datasets")
    parser.add_argument("--shared", help="product reviews, weights of MobileNetV2")
    parser.add_argument("--cache", help="folder that keeps features and runs")
    parser.add_argument("--rivals", metavar="PYTHON")
    parser.add_argument("--shifts", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS)
    parser.add_argument("--save")
    parser.add_argument("--figure")
    parser.add_argument("--list", action="store_true", help="print all names")
    parser.add_argument("--time", action="store_true")
    return parser.parse_args()


def start(given):
    if given.time:
        return time_rows(given.save)
    shifts = {shift.name: shift for shift in list_shifts()}
    if given.list:
        return print_rows([vars(shift) | {"build": ""} for shift in shifts.values()])
    if None in (given.data_dir, given.shared, given.cache):
        raise SystemExit("--data-dir, --shared and --cache must be given. See --help.")
    pools = Pools(given.data_dir, given.shared, given.cache)
    chosen = [shifts[name] for name in select(given.shifts, list(shifts))]
    options = given.rivals, given.save, given.figure
    return main(chosen, given.seeds, given.steps, pools, *options)


if __name__ == "__main__":
    start(parse())
