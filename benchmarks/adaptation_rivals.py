"""Rivals of `adaptation.py` from skada and adapt, in an environment of their own.

Started by `adaptation.py --rivals PYTHON`, where PYTHON has `pip install skada adapt
tensorflow`. Reads one JSON line for each problem, with the paths of an `.npz` to read
(source, labels, target, C; no labels of the target) and of one to write (the labels
that each rival predicts, its seconds), and answers with one line.

All are used as their documentation does, features standardized; linear OT with a ridge
of 0.1 where its own leads to NaN, subspace alignment with 100 components. Linear heads
get the penalty that the control chose by cross-validation. DANN and WDGRL learn a layer
of 256 above the features, a linear head and a discriminator of one layer of 64, with
the weight of the domain loss that adapt has as default.
"""

import contextlib
import json
import os
import sys
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

SUBSPACE_MOST, RIDGE = 100, 0.1
HIDDEN, JUDGED, EPOCHS, BATCH, RATE = 256, 64, 30, 64, 1e-3


def skada(*adapters):
    """Return a function that predicts by the first adapter that does not fail."""
    from skada import make_da_pipeline

    def predict(given):
        for adapter in adapters[:-1]:
            try:
                return predict_by(given, adapter)
            except ValueError:
                continue
        return predict_by(given, adapters[-1])

    def predict_by(given, adapter):
        head = LogisticRegression(C=float(given["C"]), max_iter=1000)
        pipeline = make_da_pipeline(StandardScaler(), adapter(given), head)
        source, target = given["source"], given["target"]
        rows = np.concatenate([source, target])
        # Target rows have negative domains and, as they have no label, label -1.
        domains = np.repeat([1, -2], [len(source), len(target)])
        labels = np.concatenate([given["labels"], np.full(len(target), -1)])
        pipeline.fit(rows, labels, sample_domain=domains)
        return pipeline.predict(target, sample_domain=np.full(len(target), -2))

    return predict


def build_skada():
    from skada import (
        CORALAdapter,
        LinearOTMappingAdapter,
        SubspaceAlignmentAdapter,
    )

    def subspace(given):
        most = min(*given["source"].shape, *given["target"].shape, SUBSPACE_MOST + 1)
        return SubspaceAlignmentAdapter(n_components=most - 1, random_state=0)

    return {
        "skada CORAL": skada(lambda given: CORALAdapter()),
        "skada SA": skada(subspace),
        "skada linear OT": skada(
            lambda given: LinearOTMappingAdapter(),
            lambda given: LinearOTMappingAdapter(reg=RIDGE),
        ),
    }


def build_adapt():
    import tensorflow as tf
    from adapt.feature_based import DANN, WDGRL

    keras = tf.keras

    def predict(given, method, last):
        keras.utils.set_random_seed(int(given["seed"]))
        scaler = StandardScaler().fit(given["source"])
        source, target = (
            scaler.transform(given[name]).astype("float32")
            for name in ("source", "target")
        )
        dense, start = keras.layers.Dense, keras.layers.Input
        count = int(given["labels"].max()) + 1
        model = method(
            keras.Sequential(
                [start((source.shape[1],)), dense(HIDDEN, activation="relu")]
            ),
            keras.Sequential([start((HIDDEN,)), dense(count, activation="softmax")]),
            keras.Sequential(
                [
                    start((HIDDEN,)),
                    dense(JUDGED, activation="relu"),
                    dense(1, activation=last),
                ]
            ),
            Xt=target,
            loss="categorical_crossentropy",
            optimizer=keras.optimizers.Adam(RATE),
            random_state=int(given["seed"]),
        )
        answers = np.eye(count, dtype="float32")[given["labels"]]
        model.fit(source, answers, epochs=EPOCHS, batch_size=BATCH, verbose=0)
        labels = np.asarray(model.predict(target)).argmax(axis=1)
        keras.utils.clear_session()
        return labels

    return {
        "adapt DANN": lambda given: predict(given, DANN, "sigmoid"),
        "adapt WDGRL": lambda given: predict(given, WDGRL, None),
    }


def main():
    warnings.simplefilter("ignore")
    rivals, absent = {}, {}
    for package, build in (("skada", build_skada), ("adapt", build_adapt)):
        try:
            rivals.update(build())
        except ImportError as error:
            absent[package] = str(error)
    answers = sys.stdout
    answers.write(json.dumps({"rivals": list(rivals), "absent": absent}) + "\n")
    answers.flush()
    for line in sys.stdin:
        paths = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            answer = run(rivals, **paths)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def run(rivals, read, write):
    with np.load(read) as found:
        given = {name: found[name] for name in found.files}
    labels, seconds, failed = {}, {}, {}
    for name, predict in rivals.items():
        started = time.perf_counter()
        try:
            labels[name] = np.asarray(predict(given)).astype("int16")
            seconds[name] = time.perf_counter() - started
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"[:300]
    np.savez(write, **labels)
    return {"seconds": seconds, "failed": failed}


if __name__ == "__main__":
    main()
