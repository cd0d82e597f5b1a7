"""What it costs to train a linear head on features that are there already.

Run:  python benchmarks/head_on_features.py --save head_on_features.json
      ... --rows 50000 --width 1280 --epochs 10 --repeats 3
      ... --smoke          a few rows, seconds
      pip install "tftransfer[demo]"
Data: made-up features as a pooled backbone gives them (not negative, of different
scales), ten classes that a linear head tells apart in part.
Rivals in the same process, in turn, all from the same weights, batches of 32, Adam:
- Keras `fit` of the head on arrays, as it comes and with steps_per_execution=64;
- scikit-learn's LogisticRegression (lbfgs, as it comes, 100 steps), once;
- ours: `fine_tune` of the same head on the same arrays, and of a model whose backbone,
  a frozen scale of each feature, leaves them as they are and was stored before: the
  features come from disk;
- ours: `solve_linear_head`, once: the optimum with scikit-learn's default penalty.
The loss is taken after training, on the same rows, without the penalty.
"""

import argparse
import os
import tempfile
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from timing import interleave, print_rows, summarize, write_rows

import tftransfer as tft
from tftransfer.tasks import Task
from tftransfer.training.linear_head import solve_linear_head

NUM_CLASSES, BATCH_SIZE, RATE = 10, 32, 1e-3
KERAS, KERAS_MANY = "Keras fit", "Keras fit, steps_per_execution=64"
SKLEARN = "scikit-learn lbfgs"
OURS, OURS_STORED = "ours, arrays", "ours, stored features"
OURS_SOLVED = "ours, solve_linear_head"


class Bench:
    """The rivals on one table of features.

    Args:
        rows: Number of examples.
        width: Number of features.
        epochs: Number of epochs.
        folder: Folder for stores, removed by the caller.
    """

    def __init__(self, rows, width, epochs, folder):
        self.features, self.labels = make_features(rows, width)
        self.epochs, self.folder = epochs, folder
        self.reached = {}
        x = inputs = keras.Input((width,))
        scale = keras.layers.EinsumDense("bi,i->bi", width, kernel_initializer="ones")
        x = keras.layers.Activation("linear", name="features")(scale(x))
        dense = keras.layers.Dense(NUM_CLASSES, name="logits")
        self.model = keras.Model(inputs, dense(x))
        scale.trainable = False
        self.head = keras.Sequential([keras.Input((width,)), dense])
        self.start = dense.get_weights()

    def rivals(self):
        """Callables by name: those that train, and those that solve."""
        training = {
            KERAS: lambda: self._fit(KERAS, 1),
            KERAS_MANY: lambda: self._fit(KERAS_MANY, 64),
            OURS: lambda: self._fine_tune(OURS, self.head),
            OURS_STORED: lambda: self._fine_tune(OURS_STORED, self.model),
        }
        return training, {SKLEARN: self._scikit_learn, OURS_SOLVED: self._solve}

    def _fit(self, name, steps_per_execution):
        self.head.set_weights(self.start)
        compile_model(self.head, steps_per_execution=steps_per_execution)
        self.head.fit(
            self.features,
            self.labels,
            batch_size=BATCH_SIZE,
            epochs=self.epochs,
            verbose=0,
        )
        self._note(name)

    def _fine_tune(self, name, model):
        self.head.set_weights(self.start)
        compile_model(model)
        tft.fine_tune(
            model,
            (self.features, self.labels),
            stages=[tft.Stage(self.epochs, RATE, schedule="constant")],
            cache=self.folder,
            engine="tensorflow",
            verbose=0,
        )
        self._note(name)

    def _scikit_learn(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of steps that were not enough
            model = LogisticRegression().fit(self.features, self.labels)
        self.head.set_weights([model.coef_.T, model.intercept_])
        self._note(SKLEARN)

    def _solve(self):
        task = Task("classification", NUM_CLASSES)
        solve_linear_head(self.head.layers[-1], self.features, self.labels, task)
        self._note(OURS_SOLVED)

    def _note(self, name):
        self.reached[name] = self.head.get_weights()

    def quality(self, name):
        """Loss and accuracy of what a rival reached last."""
        kernel, bias = self.reached[name]
        logits = self.features @ kernel + bias
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(logits)), self.labels]
        losses = np.log(np.exp(logits).sum(axis=1)) - chosen
        accuracy = np.mean(logits.argmax(axis=1) == self.labels)
        return {"loss": float(losses.mean()), "accuracy": float(accuracy)}


def compile_model(model, **arguments):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE), loss, metrics=["accuracy"], **arguments)


def make_features(rows, width):
    rng = np.random.default_rng(0)
    scales = np.exp(rng.normal(scale=0.5, size=width)).astype("float32")
    features = rng.standard_normal((rows, width), "float32") * scales
    np.maximum(features, 0, out=features)
    kernel = rng.standard_normal((width, NUM_CLASSES), "float32") / width**0.5
    scores = (features - features.mean(axis=0)) @ kernel
    return features, (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="few rows, seconds")
    parser.add_argument("--save", help="JSON file for the rows")
    options = parser.parse_args()
    if options.smoke:
        options.rows, options.width, options.epochs, options.repeats = 2000, 64, 8, 1
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.rows, options.width, options.epochs, folder)
        training, solving = bench.rivals()
        seconds = interleave(training, repeats=options.repeats)
        seconds.update(interleave(solving, repeats=1, warm=0))  # minutes each
    rows = [
        {"rival": name, **summarize(taken), **bench.quality(name)}
        for name, taken in seconds.items()
    ]
    for row in rows:
        row["times_keras_fit"] = rows[0]["seconds"] / row["seconds"]
    print_rows(rows)
    reached = {row["rival"]: row["times_keras_fit"] for row in rows}
    checks = [
        {
            "must_reach": f"{name}: Keras fit at batch 32 / ours >= 5",
            "reached": reached[name],
            "ok": reached[name] >= 5,
        }
        for name in (OURS, OURS_STORED)
    ]
    print_rows(checks)
    if options.save:
        write_rows(options.save, rows, options=vars(options), checks=checks)


if __name__ == "__main__":
    main()
