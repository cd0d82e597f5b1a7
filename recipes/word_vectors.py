"""Word vectors under a text classifier: vectors that stay, learn, partly or both ways.

Run:     python recipes/word_vectors.py VECTORS --data-dir DIR
         VECTORS: a GloVe or word2vec file; DIR: prepared TFDS datasets
Try it:  python recipes/word_vectors.py --smoke         made-up vectors and texts
Result:  not yet measured
Writes:  nothing; prints one row of accuracies on the IMDB test set for each strategy

Test is read once for each strategy; the epoch kept is chosen on a tenth of train.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tftransfer as tft

STRATEGIES = {
    "random, all learn": {"sharing": "full"},  # the control: no transfer
    "fixed": {"sharing": "fixed"},
    "full": {"sharing": "full"},
    "partial, words without a vector": {"sharing": "partial"},
    "partial, 5,000 most frequent": {"sharing": "partial", "learned_words": 5_000},
    "hybrid": {"sharing": "hybrid"},
}


def main(
    vectors=None, smoke=False, seed=0, data_dir=None, encoder="cnn", examples=22_500
):
    folder = tempfile.TemporaryDirectory()
    if smoke:
        vectors, (train, valid, test) = make_up(Path(folder.name))
    else:
        splits = [f"train[:{examples}]", "train[22500:]", "test"]
        options = {"data_dir": data_dir, "seed": seed, "batch_size": 50}
        train, valid, test = tft.load_tfds("imdb_reviews", splits, **options)
    results = {}
    for name, strategy in STRATEGIES.items():
        keras.utils.set_random_seed(seed)
        backbone = tft.load_backbone(
            f"words:{vectors}",
            corpus=train,
            encoder=encoder,
            max_words=20 if smoke else 30_000,
            **strategy,
        )
        if name.startswith("random"):
            table = backbone.model.get_layer("learned_vectors")
            random = np.random.default_rng(seed).normal(0, 0.1, table.weights[0].shape)
            table.set_weights([random])
        model = tft.build_transfer_model(
            backbone, num_classes=2, dropout=0.5, seed=seed
        )
        stage = tft.Stage(1 if smoke else 5, learning_rate=1e-3, trainable_depth=0)
        stop = keras.callbacks.EarlyStopping(
            "val_loss", patience=1, restore_best_weights=True
        )
        tft.fine_tune(
            model, train, validation_data=valid, stages=[stage], callbacks=[stop]
        )
        accuracy = tft.evaluate(model, test).metrics["accuracy"]
        results[name] = round(100 * accuracy, 2)
    return results


def make_up(folder):
    """Vectors of 20 words and three splits of texts, for a trial."""
    rng = np.random.default_rng(0)
    words = [f"w{chr(97 + number)}" for number in range(20)]
    rows = (f"{word} {' '.join(map(str, rng.normal(size=8)))}\n" for word in words[:15])
    (folder / "vectors.txt").write_text("".join(rows))
    texts = [" ".join(rng.choice(words, 9)) for _ in range(96)]
    data = tf.data.Dataset.from_tensor_slices((texts, [0, 1] * 48)).batch(32)
    return folder / "vectors.txt", [data.skip(n).take(1) for n in range(3)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vectors", nargs="?")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir")
    parser.add_argument("--encoder", default="cnn")
    parser.add_argument("--examples", type=int, default=22_500)
    for row, value in main(**vars(parser.parse_args())).items():
        print(f"{value:6.2f} %  {row}")
