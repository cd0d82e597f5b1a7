"""Word vectors as a backbone: values, what learns, saving, refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.word_backbone import build_word_backbone, measure_unknown
from tftransfer.export.loading import load_exported
from tftransfer.export.saved_model import export_model
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.heads import apply_head

WORDS = ["the", "film", "was", "good", "bad", ".", "actor", "never"]
CORPUS = ["The film was good.", "The film was bad. Zork!", "zork film"]
LONG = "the film was good . " * 5  # more than one multiple of 16 words
TEXTS = ["Good film", "the bad zork xyzzy", "", LONG]


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype("float32")


@pytest.fixture(scope="module")
def path(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    rows = [
        f"{w} {' '.join(map(str, r))}\n"
        for w, r in zip(WORDS, table.tolist(), strict=True)
    ]
    path.write_text("".join(rows))
    return path


@pytest.fixture
def build(path):
    def build(corpus=CORPUS, verbose=False, **options):
        return build_word_backbone(path, corpus=corpus, verbose=verbose, **options)

    return build


def classifier(backbone, depth=0):
    logits = apply_head("linear", backbone.output, None, num_outputs=2)
    model = keras.Model(backbone.input, logits)
    set_trainable_depth(model, depth)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # One small step is over before its graph would be built.
    model.compile(keras.optimizers.Adam(0.1), loss, run_eagerly=True)
    return model


def vocabulary_of(model):
    return model.get_layer("tokens").tokenizer.vocabulary


def table_of(model, name):
    return model.get_layer(name).get_weights()[0]


def fit_once(model, texts):
    model.fit(tf.constant(texts), np.arange(len(texts)) % 2, verbose=0, batch_size=8)


def test_the_mean_of_fixed_vectors_equals_numpy(build, table):
    model = build()
    known = table[:6]  # of the corpus' words; "actor" and "never" are not in it
    unknown = known.mean(axis=0)
    features = model(tf.constant([*TEXTS, "never good"])).numpy()
    expected = [
        known[[3, 1]].mean(axis=0),
        (known[0] + known[4] + 2 * unknown) / 4,
        np.zeros(6),
        known[[0, 1, 2, 3, 5]].mean(axis=0),
        (unknown + known[3]) / 2,
    ]
    np.testing.assert_allclose(features, expected, atol=1e-6)
    assert sorted(vocabulary_of(model)) == sorted(WORDS[:6])
    assert model.output.shape == (None, 6) and model.output.dtype == "float32"


def test_without_a_corpus_the_first_words_of_the_file_are_taken(build, table):
    model = build(corpus=None, max_words=3)
    assert vocabulary_of(model) == WORDS[:3]
    np.testing.assert_allclose(table_of(model, "fixed_vectors")[2:], table[:3])


def test_the_most_frequent_words_are_taken_and_ties_go_by_the_alphabet(build):
    assert vocabulary_of(build(sharing="full", max_words=4)) == [
        "film",
        ".",
        "the",
        "was",
    ]
    assert vocabulary_of(build(sharing="full", max_words=5))[4] == "zork"
    assert vocabulary_of(build(max_words=5)) == ["film", ".", "the", "was"]


def test_reduced_vectors_keep_their_distances(build, table, capsys):
    model = build(corpus=None, dimensions=6, verbose=True)
    reduced = table_of(model, "fixed_vectors")[2:]
    between = np.linalg.norm(reduced[:, None] - reduced[None], axis=-1)
    expected = np.linalg.norm(table[:, None] - table[None], axis=-1)
    np.testing.assert_allclose(between, expected, atol=1e-4)
    assert build(dimensions=2).output.shape == (None, 2)
    told = capsys.readouterr().out
    assert told == (
        "Word vectors: the first 8 words of the file; 6 dimensions reduced to 6, "
        "100.0% of the variance kept.\n"
    )


def test_how_many_words_have_no_vector_is_told(build, capsys):
    build(verbose=True)
    assert capsys.readouterr().out == (
        "Word vectors: 6 of 8 words have one; 21.4% of the running words and 25.0% of "
        "the distinct words do not; 6 dimensions.\n"
    )
    assert measure_unknown({"a": 6, "b": 2, "c": 2}, {"a", "x"}) == (0.4, 2 / 3)


def test_words_that_learn_without_a_vector_begin_random_others_with_theirs(
    build, table
):
    model = build(sharing="full")
    words, learned = vocabulary_of(model), table_of(model, "learned_vectors")
    known = table[:6]
    for place, word in enumerate(words, 2):
        if word in WORDS:
            np.testing.assert_array_equal(learned[place], table[WORDS.index(word)])
        else:
            away = np.abs(learned[place] - known.mean(axis=0))
            assert 0 < away.max() and (away <= np.sqrt(3) * known.std(axis=0)).all()
    np.testing.assert_array_equal(learned[0], np.zeros(6))
    np.testing.assert_allclose(learned[1], known.mean(axis=0), atol=1e-6)


# sharing, learned_words -> words of "the film zork xyzzy" whose vectors learn
LEARNING = {
    ("fixed", None): set(),
    ("full", None): {"the", "film", "zork", "xyzzy"},
    ("hybrid", None): {"the", "film", "zork", "xyzzy"},
    ("partial", None): {"zork", "xyzzy"},
    ("partial", 1): {"film"},
    ("partial", 5): {"the", "film", "zork"},
}


@pytest.mark.parametrize(
    ("sharing", "learned_words", "encoder"),
    [*((*key, "mean") for key in LEARNING), ("fixed", None, "cnn")],
)
def test_exactly_what_sharing_says_learns(build, sharing, learned_words, encoder):
    width = None if encoder == "mean" else 2
    options = {"sharing": sharing, "learned_words": learned_words, "encoder": encoder}
    backbone = build(**options, width=width)
    words = keras.Model(backbone.input, vectors_before_encoder(backbone))
    alone = tf.constant(["the", "film", "zork", "xyzzy", "was", "!"])
    model = classifier(backbone)
    before = words(alone).numpy()[:, 0], weights_by_name(backbone)
    fit_once(model, ["the film zork xyzzy", ""])
    after = words(alone).numpy()[:, 0], weights_by_name(backbone)
    moved = {
        word.decode()
        for word, old, new in zip(alone.numpy(), before[0], after[0], strict=True)
        if not np.array_equal(old, new)
    }
    assert moved == LEARNING[sharing, learned_words]
    for name, old in before[1].items():
        stays = name.startswith("fixed_vectors")
        is_free = name.startswith("learned_vectors") and not moved
        assert is_free or np.array_equal(old, after[1][name]) == stays, name


def vectors_before_encoder(backbone):
    """What the encoder reads: the first product with the weights of the words."""
    multiply = next(x for x in backbone.operations if x.name.startswith("multiply"))
    return multiply.output


def weights_by_name(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def test_every_depth_opens_the_table_that_stays(build):
    backbone = build(sharing="partial")
    model = classifier(backbone, "all")
    before = table_of(model, "fixed_vectors")
    fit_once(model, ["the film zork"])
    assert not np.array_equal(table_of(model, "fixed_vectors"), before)
    set_trainable_depth(model, 0)
    assert not model.get_layer("fixed_vectors").trainable


def test_a_hybrid_is_a_copy_that_stays_beside_one_that_learns(build, table):
    features = build(sharing="hybrid")(tf.constant(["good film"])).numpy()
    half = table[[3, 1]].mean(axis=0)
    np.testing.assert_allclose(features, [np.tile(half, 2)], atol=1e-6)


SHAPES = {"mean": 6, "cnn": 300, "lstm": 128, "gru": 128, "transformer": 128}


SLOW = [pytest.param(encoder, marks=pytest.mark.slow) for encoder in ("gru", "lstm")]


@pytest.mark.parametrize("encoder", ["mean", "cnn", "transformer", *SLOW])
def test_padding_makes_no_difference_and_nothing_gives_zeros(build, encoder):
    model = build(encoder=encoder)
    together = model(tf.constant(TEXTS)).numpy()
    assert together.shape == (4, SHAPES[encoder]) and np.isfinite(together).all()
    alone = np.concatenate([model(tf.constant([text])) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_array_equal(together[2], np.zeros(SHAPES[encoder]))
    assert not np.allclose(together[0], together[1])


@pytest.mark.parametrize("encoder", ["transformer", *SLOW])
def test_encoders_learn_at_depth_zero(build, encoder):
    model = classifier(build(encoder=encoder, width=4))
    before = weights_by_name(model)
    fit_once(model, ["the film was good", "bad zork"])
    for name, value in weights_by_name(model).items():
        is_equal = np.array_equal(value, before[name])
        # A key's bias shifts all logits of a query alike: softmax takes no notice.
        assert is_equal == name.startswith("fixed") or "key/bias" in name, name


def test_convolution_equals_numpy(build, table):
    model = build(encoder="cnn", width=2)
    kernel, bias = model.get_layer("window_3").get_weights()
    words = np.concatenate([np.zeros((1, 6)), table[[0, 4, 1]], np.zeros((1, 6))])
    windows = [np.einsum("ti,tio->o", words[i : i + 3], kernel) for i in range(3)]
    expected = np.maximum(np.array(windows) + bias, 0).max(axis=0)
    features = model(tf.constant(["the bad film"])).numpy()
    np.testing.assert_allclose(features[0, :2], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("sharing", "encoder"),
    [
        ("partial", "cnn"),
        pytest.param("fixed", "mean", marks=pytest.mark.slow),
        pytest.param("full", "gru", marks=pytest.mark.slow),
        pytest.param("hybrid", "transformer", marks=pytest.mark.slow),
    ],
)
def test_a_saved_model_gives_the_same_and_learns_the_same(
    build, sharing, encoder, tmp_path
):
    width = None if encoder == "mean" else 4
    model = classifier(build(sharing=sharing, encoder=encoder, width=width))
    fit_once(model, TEXTS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    texts = tf.constant([*TEXTS, "🚀 \u00e9"])
    np.testing.assert_array_equal(loaded(texts), model(texts))
    flags = [weight.trainable for weight in model.weights]
    assert [weight.trainable for weight in loaded.weights] == flags


@pytest.mark.slow
def test_an_export_serves_texts(build, tmp_path):
    model = classifier(build(sharing="partial", encoder="lstm", width=4))
    about = export_model(
        model, tmp_path / "export", class_names=["good", "bad"], verbose=False
    )
    assert about["input"] == "texts" and about["parity"]["max_abs_difference"] < 1e-5
    texts = ["good film", "🚀 \u00e9", ""]
    served = load_exported(tmp_path / "export").predict(texts)
    expected = keras.ops.softmax(model(tf.constant(texts))).numpy()
    found = [[row.probabilities[name] for name in ("good", "bad")] for row in served]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_long_texts_are_cut_as_asked(build, table):
    head = build(sequence_length=3)(tf.constant(["the film was good"]))
    tail = build(sequence_length=3, truncate="tail")(tf.constant(["the film was good"]))
    np.testing.assert_allclose(head[0], table[[0, 1, 2]].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(tail[0], table[[1, 2, 3]].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("encoder", ["mean", "cnn", "transformer", *SLOW])
def test_mixed_precision_gives_float32_features(build, encoder):
    expected = build(encoder="mean")(tf.constant(TEXTS))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(encoder=encoder)
    finally:
        keras.config.set_dtype_policy("float32")
    features = model(tf.constant(TEXTS))
    assert features.dtype == tf.float32 and np.isfinite(features).all()
    if encoder == "mean":
        np.testing.assert_allclose(features, expected, atol=0.02)


REFUSED = [
    ({"sharing": "soft"}, ValueError, "Received: sharing='soft'"),
    ({"encoder": "bert"}, ValueError, "Received: encoder='bert'"),
    ({"dimensions": 7}, ValueError, "`dimensions` must be at most 6, .*dimensions=7"),
    ({"dimensions": 0}, ValueError, "Received: dimensions=0"),
    ({"max_words": "all"}, TypeError, "Received: max_words='all'"),
    ({"learned_words": 3}, ValueError, "learned_words=3, sharing='fixed'"),
    (
        {"learned_words": 0, "sharing": "partial"},
        ValueError,
        "Received: learned_words=0",
    ),
    ({"corpus": None, "sharing": "partial"}, ValueError, "Received: corpus=None"),
    ({"width": 8}, ValueError, "`width` must be None .*Received: width=8"),
    ({"width": 0, "encoder": "cnn"}, ValueError, "Received: width=0"),
    ({"width": 6, "encoder": "transformer"}, ValueError, "width=6. Pass .*width=8"),
    ({"sequence_length": 0}, ValueError, "Received: sequence_length=0"),
    ({"truncate": "middle"}, ValueError, "Received: truncate='middle'"),
    ({"corpus": "a text"}, TypeError, "Received: corpus='a text'"),
    ({"corpus": [1, 2]}, TypeError, "Received: row 0 is 1 of type int"),
    ({"corpus": ["Qwx", "vbn"]}, ValueError, "Received: 2 words such as .'qwx'"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_what_does_not_fit_is_refused(build, options, error, message):
    with pytest.raises(error, match=message):
        build(**options)


def test_options_are_refused_before_the_file_is_read(build, path, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("read although an argument is wrong")

    module = "tftransfer.backbones.word_backbone"
    monkeypatch.setattr(f"{module}.read_word_vectors", fail)
    monkeypatch.setattr(f"{module}.count_words", fail)
    for options, error, _ in REFUSED[:-2]:
        with pytest.raises(error):
            build(**options)
    with pytest.raises(FileNotFoundError, match="Received: path='missing.txt'"):
        build_word_backbone("missing.txt", corpus=["a"])


@pytest.mark.needs_shared_data
def test_mean_glove_vectors_tell_good_from_bad(shared_data, capsys):
    path = shared_data / "glove.6B.50d.head.txt.xz"
    model = build_word_backbone(path, corpus=["good bad film zork", "a great actor"])
    told = capsys.readouterr().out
    assert told.startswith("Word vectors: 6 of 7 words have one; 14.3% of the running")
    words = [["great"], ["good"], ["film"]]
    great, good, film = (model(tf.constant(word)).numpy()[0] for word in words)
    assert np.dot(great, good) / np.linalg.norm(great) / np.linalg.norm(good) > 0.7
    assert np.linalg.norm(great - good) < np.linalg.norm(great - film)
