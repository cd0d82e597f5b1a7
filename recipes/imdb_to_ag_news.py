"""From films to news: does an encoder tuned on reviews tell topics of news better?

Run:     python recipes/imdb.py --data-dir DIR --rows all_layers
         python recipes/imdb_to_ag_news.py saved_models/imdb.keras --data-dir DIR
         DIR: prepared TFDS datasets, imdb_reviews and ag_news_subset
Try it:  python recipes/imdb_to_ag_news.py --smoke        made-up texts, no weights
Result:  not yet measured
Writes:  nothing; prints one row of test accuracy for each way

Nothing is chosen on the data: all of train is learned from, and test is read once for
each row.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

import tftransfer as tft


def main(
    tuned=None, smoke=False, data_dir=None, rows=5000, dtype="float32", epochs=3, seed=0
):
    if smoke:
        tuned, (train, test) = build_small_encoder(), make_up()
        load_original = build_small_encoder
    else:
        splits = [f"train[:{rows}]", "test"]
        options = {"data_dir": data_dir, "batch_size": 32, "seed": seed}
        train, test = tft.load_tfds("ag_news_subset", splits, **options)

        def load_original():
            return tft.load_backbone("text:minilm_l6", sequence_length=128)

    def load_tuned():
        if isinstance(tuned, keras.Model):
            return tft.load_backbone(tuned)
        return tft.load_backbone(tuned, layer="features")

    def load_counts():
        return tft.load_backbone("tfidf", corpus=train)

    def load_joined():
        return tft.combine_backbones([load_original(), load_counts()])

    ways = {
        "words and pairs counted, logistic regression": (load_counts, "lbfgs"),
        "original, frozen, logistic regression": (load_original, "lbfgs"),
        "tuned on IMDB, frozen, logistic regression": (load_tuned, "lbfgs"),
        "original, frozen, with counts": (load_joined, "lbfgs"),
        "original, fine-tuned": (load_original, None),
        "tuned on IMDB, fine-tuned": (load_tuned, None),
    }
    results = {}
    for name, (load, head_solver) in ways.items():
        keras.utils.set_random_seed(seed)
        keras.config.set_dtype_policy("float32" if head_solver else dtype)
        model = tft.build_transfer_model(load(), num_classes=4, seed=seed)
        keras.config.set_dtype_policy("float32")
        if head_solver:
            data = train
            stages = [tft.Stage(1, trainable_depth=0)]
        else:
            data = tft.batch_by_length(train, 32, seed=seed)
            stages = [tft.Stage(1 if smoke else epochs, 8e-5, trainable_depth="all")]
        tft.fine_tune(
            model, data, stages=stages, head_solver=head_solver, seed=seed, verbose=0
        )
        evaluation = tft.evaluate(model, test, engine="auto")
        results[name] = evaluation.metrics["accuracy"]
        print(f"{100 * results[name]:6.2f} %  {name}", flush=True)
    return results


def build_small_encoder():
    """A network without pretrained weights, in place of the encoder."""
    words = keras.layers.TextVectorization(
        vocabulary=["war", "ball", "bank", "chip"], output_sequence_length=8
    )
    inputs = keras.Input((), dtype="string")
    x = keras.layers.Embedding(6, 8)(words(inputs))
    x = keras.layers.Conv1D(8, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, x, name="small_encoder")


def make_up():
    """Make two splits of short texts, for a trial."""
    labels = np.random.default_rng(0).integers(0, 4, 128)
    texts = [f"news of the {['war', 'ball', 'bank', 'chip'][y]}" for y in labels]
    data = tf.data.Dataset.from_tensor_slices((texts, labels)).batch(32)
    return data.take(3), data.skip(3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tuned", nargs="?", help=".keras file that imdb.py wrote")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--data-dir")
    parser.add_argument("--rows", type=int, default=5000, help="of train")
    parser.add_argument(
        "--dtype", default="float32", help="mixed_bfloat16: faster where cores have it"
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
