import io
import sys

import keras
import numpy as np
import pytest
import sentencepiece

import tftransfer as tft
from tftransfer.backbones.text_encoders import build_text_encoder, check_preset
from tftransfer.freezing.blocks import model_blocks

hub = pytest.importorskip("keras_hub")
models = hub.models

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "##s"]
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
NETWORK = {"vocabulary_size": 40, "max_sequence_length": 32, **SIZES}
PAIRS = {  # byte pairs
    "vocabulary": {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}
    | {piece: number for number, piece in enumerate(["g", "o", "d", "go", "Ġ"], 5)},
    "merges": ["g o"],
}
TEXTS = np.array(["good films", "", "bad film 😀"], object)


def sentence_pieces(**options):
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["good film bad film the quick brown fox"] * 3),
        model_writer=stream,
        model_type="WORD",
        minloglevel=9,
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        **options,
    )
    return stream.getvalue()


def build_bert(**options):
    return models.BertBackbone(**{**NETWORK, **options})


def bert_tokenizer():
    return models.BertTokenizer(PIECES, lowercase=True)


def make_deberta():
    pieces = sentence_pieces(
        vocab_size=12,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        unk_piece="[UNK]",
        user_defined_symbols="[MASK]",
    )
    return models.DebertaV3Backbone(bucket_size=8, **NETWORK), (
        models.DebertaV3Tokenizer(pieces)
    )


def make_albert():
    pieces = sentence_pieces(
        vocab_size=12,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        user_defined_symbols="[MASK]",
    )
    network = models.AlbertBackbone(embedding_dim=8, **NETWORK)
    return network, models.AlbertTokenizer(pieces)


def make_fnet():
    pieces = sentence_pieces(
        vocab_size=12,
        unk_id=0,
        pad_id=3,
        bos_id=4,
        eos_id=5,
        user_defined_symbols="[MASK]",
    )
    options = {name: value for name, value in NETWORK.items() if name != "num_heads"}
    return models.FNetBackbone(**options), models.FNetTokenizer(pieces)


def make_electra():
    options = {**NETWORK, "vocab_size": NETWORK["vocabulary_size"], "embedding_dim": 8}
    del options["vocabulary_size"]
    tokenizer = models.ElectraTokenizer(PIECES, lowercase=True)
    return models.ElectraBackbone(**options), tokenizer


FAMILIES = {
    "bert": lambda: (build_bert(), bert_tokenizer()),
    "roberta": lambda: (
        models.RobertaBackbone(**NETWORK),
        models.RobertaTokenizer(**PAIRS),
    ),
    "distil_bert": lambda: (
        models.DistilBertBackbone(**NETWORK),
        models.DistilBertTokenizer(PIECES, lowercase=True),
    ),
    "xlm_roberta": lambda: (
        models.XLMRobertaBackbone(**NETWORK),
        models.XLMRobertaTokenizer(
            sentence_pieces(vocab_size=11, unk_id=0, bos_id=1, eos_id=2, pad_id=3)
        ),
    ),
    "albert": make_albert,
    "deberta": make_deberta,
    "electra": make_electra,
    "f_net": make_fnet,
}


def save_preset(folder, network, tokenizer):
    network.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    keras.utils.set_random_seed(0)
    return save_preset(tmp_path_factory.mktemp("bert"), build_bert(), bert_tokenizer())


# KerasHub leaves the file of a vocabulary open.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=() if name == "bert" else pytest.mark.slow)
        for name in FAMILIES
    ],
)
def test_every_family_reads_strings_and_is_saved(family, tmp_path):
    folder = save_preset(tmp_path / "preset", *FAMILIES[family]())
    model = build_text_encoder(folder, sequence_length=16)
    features = model.predict(TEXTS, verbose=0)
    assert features.shape == (3, 8) and np.isfinite(features).all()
    names = [block.name for block in model_blocks(model)]
    layers = [name for name in names if "layer_" in name]
    assert len(layers) == (1 if family == "albert" else 2)  # which shares its weights
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(TEXTS, verbose=0), features)


def test_features_are_the_mean_of_what_the_network_gives(preset):
    network = models.Backbone.from_preset(str(preset))
    ids = np.array([[2, 5, 7, 8, 3] + [0] * 11], "int32")  # good film ##s
    given = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids != 0}
    vectors = network.predict(given, verbose=0)["sequence_output"]
    features = build_text_encoder(preset, sequence_length=16).predict(
        TEXTS[:1], verbose=0
    )
    np.testing.assert_allclose(features, vectors[:, :5].mean(1), atol=1e-6)


def test_texts_are_as_long_as_the_encoder_has_positions(preset):
    assert build_text_encoder(preset).get_layer("token_ids").sequence_length == 32


def test_padding_changes_nothing(preset):
    model = build_text_encoder(preset, sequence_length=32)
    alone = model.predict(TEXTS[:1], verbose=0)
    beside = np.array([TEXTS[0], "good " * 25], object)
    np.testing.assert_allclose(model.predict(beside, verbose=0)[:1], alone, atol=1e-6)


def test_windows_of_a_long_text_are_averaged(preset):
    one = build_text_encoder(preset, sequence_length=6)
    several = build_text_encoder(preset, sequence_length=6, windows=3)
    text = ["good bad film film bad good"]
    parts = one.predict(np.array(["good bad film film", "bad good"], object), verbose=0)
    features = several.predict(np.array(text, object), verbose=0)
    np.testing.assert_allclose(features, parts.mean(0, keepdims=True), atol=1e-6)


def test_a_transfer_model_trains_the_last_layers_only(preset):
    backbone = tft.load_backbone(f"keras_hub:{preset}", sequence_length=16)
    model = tft.build_transfer_model(backbone, num_classes=2, trainable_depth=1)
    trainable = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert trainable == {"transformer_layer_1", "logits"}
    before = [variable.numpy() for variable in model.trainable_variables]
    model.fit(TEXTS, np.array([1, 0, 0]), verbose=0)
    moved = [
        not np.array_equal(old, new.numpy())
        for old, new in zip(before, model.trainable_variables, strict=True)
    ]
    assert np.mean(moved) > 0.8


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_what_was_frozen_is_frozen_in_the_loaded_model(preset, tmp_path):
    model = tft.build_transfer_model(f"keras_hub:{preset}", num_classes=2)
    model.save(tmp_path / "model.keras")
    assert len(keras.models.load_model(tmp_path / "model.keras").trainable_weights) > 2
    loaded = tft.load_model(tmp_path / "model.keras")
    paths = [variable.path for variable in loaded.trainable_variables]
    assert paths == ["logits/kernel", "logits/bias"]
    assert len(loaded.optimizer.variables) == len(model.optimizer.variables)


def test_dropout_is_off_unless_asked_for(preset):
    calm = build_text_encoder(preset)
    lively = build_text_encoder(preset, dropout=0.5)
    ids = calm(TEXTS, training=True), calm(TEXTS, training=True)
    np.testing.assert_array_equal(*ids)
    assert np.abs(lively(TEXTS, training=True) - ids[0]).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 33}, "`sequence_length` must be at most 32.*=33"),
        ({"pooling": "sum"}, "`pooling` must be .* Received: .*'sum'"),
        ({"truncate": "none"}, "`truncate` must be .* Received: truncate='none'"),
        ({"dropout": 1.0}, "`dropout` must be .* Received: dropout=1.0"),
    ],
)
def test_unfit_options_are_refused(preset, options, message):
    with pytest.raises(ValueError, match=message):
        build_text_encoder(preset, **options)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json"])
def test_an_incomplete_preset_names_what_is_missing(preset, tmp_path, missing):
    for path in preset.iterdir():
        if path.is_file() and path.name != missing:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(ValueError, match=f"Received: .*which lacks {missing}"):
        check_preset(tmp_path)


def test_a_preset_without_weights_is_refused(preset, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).symlink_to(preset / name)
    with pytest.raises(ValueError, match="lacks model.weights.h5"):
        tft.build_transfer_model(f"keras_hub:{tmp_path}", num_classes=2)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="an existing folder. Received: .*nowhere"):
        check_preset(tmp_path / "nowhere")


def test_a_network_that_reads_no_tokens_is_refused(tmp_path, preset, monkeypatch):
    network = keras.Sequential(
        [keras.Input((4,), name="pixels"), keras.layers.Dense(2)]
    )
    monkeypatch.setattr(models.Backbone, "from_preset", lambda *_, **__: network)
    with pytest.raises(ValueError, match=r"reads token ids. Received: .*\['pixels'\]"):
        build_text_encoder(preset)


def test_a_preset_that_fails_to_load_says_why(preset, monkeypatch):
    def fail(*_, **__):
        raise OSError("no such architecture")

    monkeypatch.setattr(models.Backbone, "from_preset", fail)
    with pytest.raises(ValueError, match="which failed: no such architecture"):
        build_text_encoder(preset)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r'pip install "tftransfer\[text\]"'):
        build_text_encoder("bert_tiny_en_uncased")


def test_sizes_of_images_have_no_place_here(preset):
    with pytest.raises(ValueError, match="`image_size` must be left out.*texts"):
        tft.load_backbone(f"keras_hub:{preset}", image_size=64)
    with pytest.raises(ValueError, match="`options` .* Received: cut_top=True"):
        tft.load_backbone(f"keras_hub:{preset}", cut_top=True)
