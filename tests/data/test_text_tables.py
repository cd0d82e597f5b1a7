"""`load_table` with a column of texts."""

import csv
import lzma

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.by_length import batch_by_length
from tftransfer.data.leakage import check_leakage
from tftransfer.data.tables import load_table
from tftransfer.evaluation.evaluate import evaluate
from tftransfer.training.fine_tune import fine_tune

WORDS = ["awful", "bad", "fine", "good"]


@pytest.fixture
def table(tmp_path):
    """Forty reviews, a quarter of them positive, with title and stars."""
    lines = ["title,review,mood,stars"]
    for i in range(40):
        word = WORDS[i % 4]
        mood = "pos" if word == "good" else "neg"
        lines.append(f'T{i},"It is {word}, {word}!{" so" * (i // 4)}",{mood},{i % 5}')
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "reviews.csv"


def gather(dataset):
    texts, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(texts), np.concatenate(labels)


def load(table, **options):
    options = {"text_column": "review", "label_columns": "mood", **options}
    return load_table(table, **options)


def build_model():
    words = keras.layers.TextVectorization(
        vocabulary=WORDS, standardize="lower_and_strip_punctuation"
    )
    inputs = keras.Input((), dtype="string")
    outputs = keras.layers.Embedding(6, 4)(words(inputs))
    outputs = keras.layers.GlobalAveragePooling1D(name="features")(outputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(outputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    return model


def test_texts_come_with_their_labels_in_the_order_of_the_file(table):
    (dataset,) = load(table, validation_fraction=1.0, batch_size=16)
    texts, labels = gather(dataset)
    assert texts[1] == b"It is bad, bad!" and texts.shape == (40,)
    assert labels.tolist() == [int(i % 4 == 3) for i in range(40)]
    assert labels.dtype == np.int64 and dataset.class_names == ["neg", "pos"]
    assert dataset.element_spec[0] == tf.TensorSpec((None,), tf.string)
    assert (dataset.batch_size, dataset.num_examples) == (16, 40)


def test_the_split_is_stratified_disjoint_and_reproducible(table):
    train, validation = load(table, validation_fraction=0.2)
    assert (train.split_name, validation.split_name) == ("train", "validation")
    assert np.bincount(gather(train)[1]).tolist() == [24, 8]
    assert np.bincount(gather(validation)[1]).tolist() == [6, 2]
    assert not set(gather(train)[0]) & set(gather(validation)[0])
    again = load(table, validation_fraction=0.2)
    assert gather(again[1])[0].tolist() == gather(validation)[0].tolist()


def test_training_data_shuffle_and_keep_a_first_order(table):
    train, validation = load(table, text_column=["title", "review"])
    orders = [gather(train)[0].tolist() for _ in range(2)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    first = gather(train.unshuffled)[0].tolist()
    assert first == sorted(first, key=lambda text: int(text.split()[0][1:]))
    assert train.shuffles and not validation.shuffles and not train.augmented


def test_fingerprints_tell_texts_labels_and_rows(table):
    def name(**options):
        (part,) = load(table, validation_fraction=1.0, **options)
        return part.fingerprint

    first = name()
    assert first == name(batch_size=3, seed=4) and len(first) == 64
    others = {
        name(text_column="title"),
        name(label_columns="stars"),
        name(class_names=["pos", "neg"]),
        load(table, validation_fraction=0.5)[1].fingerprint,
    }
    assert len({first, *others}) == 5
    table.write_text(table.read_text().replace("It is bad", "It is Bad", 1))
    assert name() not in {first, *others}


def test_numbers_and_several_columns_are_labels_as_for_images(table):
    (stars,) = load(
        table, label_columns="stars", task="regression", validation_fraction=0
    )
    assert gather(stars.unshuffled)[1][:6, 0].tolist() == [0, 1, 2, 3, 4, 0]
    table.write_text("text,new,old\n" + "one two,1,0\nthree,0,1\n" * 3)
    (moods,) = load(
        table,
        text_column="text",
        label_columns=["new", "old"],
        validation_fraction=1.0,
    )
    assert gather(moods)[1].tolist() == [[1, 0], [0, 1]] * 3


def test_labels_of_json_are_read_as_in_csv(tmp_path):
    lines = ['{"text": "x y", "label": 1}', '{"text": "z", "label": 0}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (dataset,) = load_table(
        tmp_path / "a.jsonl", text_column="text", validation_fraction=1.0
    )
    assert gather(dataset)[1].tolist() == [1, 0] and dataset.class_names == ["0", "1"]
    (tmp_path / "a.jsonl").write_text(lines[0] + '\n{"text": "z", "label": null}')
    with pytest.raises(ValueError, match=r"Received: something else in 1 row.*\[2\]"):
        load_table(tmp_path / "a.jsonl", text_column="text")


def test_rows_without_a_text_are_left_out_with_their_labels(table):
    content = table.read_text().replace('"It is bad, bad!"', "", 1)
    table.write_text(content)
    with pytest.raises(ValueError, match=r"Received: 1 that are not: row 3 \(empty\)"):
        load(table)
    with pytest.warns(UserWarning, match="row 3") as caught:
        (dataset,) = load(table, validation_fraction=1.0, on_corrupt="skip")
    assert caught[0].filename == __file__  # the line that called
    assert gather(dataset)[1].tolist() == [int(i % 4 == 3) for i in range(40) if i != 1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"text_column": "text"}, r"\['mood', 'review', .*Received: column='text'"),
        ({"label_columns": "label"}, r"Received: column='label'.*columns of reviews"),
        ({"text_column": "stars"}, "Received: 'stars', which holds numbers in every"),
        ({"image_size": 8}, "Received: image_size=8, .* for text_column='review'"),
        ({"augment": ("flip",)}, r"Received: image_size=None, augment=\('flip',\)"),
        ({"image_column": "title"}, "Received: image_column='title', text_column='rev"),
        ({"text_column": None}, "Received: image_column=None, text_column=None"),
        ({"text_column": ["review", 3]}, r"Received: .*text_column=\['review', 3\]"),
        ({"class_names": ["neg", "odd"]}, r"Received: something else in 10 row\(s\)"),
        (
            {"label_columns": "stars", "class_names": ["a", "b", "c", "d"]},
            r"their numbers from 0. Received: something else in 8 row\(s\): \[6, 11",
        ),
    ],
)
def test_unusable_columns_and_options_are_refused(table, options, text):
    with pytest.raises(ValueError, match=text):
        load(table, **options)


def test_one_class_alone_is_refused(table):
    table.write_text(table.read_text().replace("pos", "neg"))
    with pytest.raises(ValueError, match=r"Received: only \['neg'\]. Check the label"):
        load(table)


def test_leakage_is_found_between_tables(table):
    train, validation = load(table)
    (everything,) = load(table, validation_fraction=1.0)
    assert not check_leakage(train, validation)
    found = check_leakage(validation, everything)
    assert found.count("exact") == len(found.pairs) == 8
    places = [pair.test_index for pair in found.pairs]
    assert gather(everything)[0][places].tolist() == gather(validation)[0].tolist()


def test_a_string_model_is_trained_with_class_weights_and_evaluated(table):
    train, validation = load(table, batch_size=8)
    model = build_model()
    fine_tune(
        model,
        batch_by_length(train, 8),
        validation_data=validation,
        epochs=8,
        frozen_epochs=0,
        trainable_depth="all",
        class_weight={1: 3.0},
        seed=0,
        verbose=0,
    )
    found = evaluate(model, validation)
    assert found.metrics["accuracy"] == 1 and found.class_names == ("neg", "pos")


@pytest.mark.needs_shared_data
def test_real_reviews_of_two_domains_are_read_whole(shared_data):
    path = shared_data / "product_reviews.csv.xz"
    (dataset,) = load_table(
        path,
        text_column=["title", "text"],
        label_columns="domain",
        validation_fraction=1.0,
    )
    csv.field_size_limit(2**20)
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        wanted = [
            (f"{row['title'].strip()} {row['text'].strip()}", row["domain"])
            for row in csv.DictReader(file)
        ]
    texts, labels = gather(dataset)
    assert [text.decode() for text in texts] == [text for text, _ in wanted]
    names = [dataset.class_names[label] for label in labels]
    assert names == [domain for _, domain in wanted] and len(names) == 4000


@pytest.mark.needs_shared_data
def test_real_news_need_their_title_skipped_or_joined(shared_data):
    path = shared_data / "ag_news.csv.xz"
    with pytest.raises(ValueError, match=r"Received: 5000 that are not.*\(empty\)"):
        load_table(path, text_column="title", label_columns="split")
    (dataset,) = load_table(
        path,
        text_column=("title", "description"),
        class_names=["World", "Sports", "Business", "Sci/Tech"],
        validation_fraction=1.0,
    )
    texts, labels = gather(dataset)
    assert texts[0].startswith(b"Fears for T N pension after talks Unions repr")
    assert len(texts) == 12600 and labels[0] == 2
