"""Text embeddings as SavedModels: strings to vectors, made here."""

import lzma

import numpy as np
import pytest
import tensorflow as tf

import tftransfer as tft


class Embeddings(tf.Module):
    """Adds up the vectors of a text's words, as the small modules of TF Hub do."""

    def __init__(self, words, vectors):
        super().__init__()
        numbers = tf.range(1, len(words) + 1, dtype=tf.int64)
        rows = tf.lookup.KeyValueTensorInitializer(words, numbers)
        self.table = tf.lookup.StaticHashTable(rows, 0)
        unknown = np.zeros_like(vectors[:1])
        self.embeddings = tf.Variable(np.concatenate([unknown, vectors]), name="words")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts):
        words = tf.strings.split(tf.strings.lower(texts))
        ids = self.table.lookup(words.flat_values)
        vectors = tf.nn.embedding_lookup(self.embeddings, ids)
        return tf.math.unsorted_segment_sum(
            vectors, words.value_rowids(), words.nrows()
        )


def save_embeddings(folder, words, vectors):
    tf.saved_model.save(Embeddings(words, vectors), str(folder))
    return folder


TEXTS = np.array(["Good film", "", "bad bad", "zzz"], object)


@pytest.mark.slow
def test_a_module_of_texts_is_loaded_trained_and_exported(tmp_path):
    vectors = np.eye(3, dtype="float32")
    folder = save_embeddings(tmp_path / "module", ["good", "bad", "film"], vectors)
    backbone = tft.load_backbone(f"hub:{folder}")
    features = backbone.model.predict(TEXTS, verbose=0)
    assert features.tolist() == [[1, 0, 1], [0, 0, 0], [0, 2, 0], [0, 0, 0]]
    model = tft.build_transfer_model(backbone, num_classes=2, trainable_depth="all")
    names = [variable.path.split("/")[-1] for variable in model.trainable_variables]
    assert names == ["words", "kernel", "bias"]
    before = model.trainable_variables[0].numpy()
    model.fit(TEXTS, np.array([1, 0, 0, 1]), verbose=0)
    moved = np.abs(model.trainable_variables[0].numpy() - before).max(1) > 0
    assert moved.tolist() == [True] * 4
    about = tft.export_model(model, tmp_path / "export", verbose=False)
    assert about["requires"] == [] and about["input"] == "texts"


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_real_vectors_tell_good_from_bad(tmp_path, shared_data):
    with lzma.open(shared_data / "glove.6B.50d.head.txt.xz", "rt") as file:
        rows = [line.split() for line in file]
    words = [row[0] for row in rows]
    vectors = np.array([row[1:] for row in rows], "float32")
    folder = save_embeddings(tmp_path / "module", words, vectors)
    texts = [f"a {word} film" for word in ("good", "great", "bad", "terrible") * 8]
    model = tft.build_transfer_model(f"hub:{folder}", num_classes=2, seed=0)
    labels = np.array([1, 1, 0, 0] * 8)
    tft.fine_tune(
        model,
        (texts, labels),
        epochs=1,
        frozen_epochs=0,
        head_solver="lbfgs",
        verbose=0,
    )
    scores = model.predict(np.array(["an excellent film", "an awful film"], object))
    assert scores.argmax(1).tolist() == [1, 0]
