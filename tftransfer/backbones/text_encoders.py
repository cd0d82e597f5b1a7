"""Text encoders of KerasHub: strings to one vector for each text."""

import os
from pathlib import Path

import keras
from keras import ops

from tftransfer.checks import check_number, import_optional
from tftransfer.text.pooling import FoldWindows, PoolTokens
from tftransfer.text.token_ids import TokenIds, check_token_options
from tftransfer.text.word_piece import WordPieceTokenizer

_LENGTH = 256
_INPUTS = {"token_ids", "padding_mask", "segment_ids"}
_START, _END = ("cls_token_id", "start_token_id"), ("sep_token_id", "end_token_id")


def build_text_encoder(
    preset,
    *,
    sequence_length=None,
    truncate="head",
    windows=1,
    pooling="mean",
    normalize=False,
    dropout=0.0,
    name=None,
):
    """Build a pretrained text encoder: raw strings to features.

    The graph is tokens, encoder and pooling: what is trained is what is served. Word
    pieces (BERT, DistilBERT, ELECTRA) are split as their original code does; other
    families use KerasHub's own tokenizers.

    Args:
        preset: Name of a KerasHub preset, or folder of one or of a Hugging Face model
            that KerasHub can read.
        sequence_length: The most tokens of a text, special ones included; `None` takes
            256, or fewer where the encoder has no more positions.
        truncate: What remains of longer texts: `"head"`, `"tail"` or `"head+tail"`.
        windows: Pieces of `sequence_length` tokens a long text is read in.
        pooling: `"mean"` over the tokens, `"cls"` for the first one, or `"max"`.
        normalize: Whether features have length 1.
        dropout: Share of activations dropped inside the encoder in training; anything
            above 0 draws in its frozen part as well, whose results then differ from
            epoch to epoch and cannot be stored.
        name: Name of the model; `None` takes the family's.

    Returns:
        Functional `keras.Model`: strings `(batch,)` to float32 features
        `(batch, width)`.

    Raises:
        ValueError: If an option is not acceptable, the preset is incomplete, or it is
            no encoder of texts.
        ImportError: If KerasHub or something it needs is not installed.
    """
    check_token_options(sequence_length or _LENGTH, truncate, windows, 2)
    check_number("dropout", dropout, 0.0, 0.99)
    pool = PoolTokens(pooling, normalize=bool(normalize), name="features")
    network, tokenizer = _load_preset(preset, dropout)
    sequence_length = _choose_length(network, sequence_length, preset)
    tokens = TokenIds(
        _exact(tokenizer),
        start=_find_ids(tokenizer, _START),
        end=_find_ids(tokenizer, _END),
        pad=tokenizer.pad_token_id,
        sequence_length=sequence_length,
        truncate=truncate,
        windows=windows,
        name="token_ids",
    )
    texts = keras.Input((), dtype="string", name="texts")
    ids = tokens(texts)
    mask = ops.cast(ops.not_equal(ids, tokens.pad), "int32")
    fold = FoldWindows(name="fold_windows") if windows > 1 else lambda rows: rows
    vectors = _apply(network, fold(ids), fold(mask))
    return keras.Model(texts, pool(vectors, mask), name=name or f"text_{network.name}")


def import_keras_hub():
    """Import KerasHub.

    Raises:
        ImportError: If it is not installed; the message gives the pip line.
    """
    needs = "Text encoders need the package keras-hub"
    return import_optional("keras_hub", needs=needs, extra="text")[0]


def check_preset(preset):
    """Raise unless a folder holds a preset; names are left to KerasHub.

    Raises:
        ValueError: If the folder lacks a file that it must have; the file is named.
    """
    folder = Path(preset)
    if not folder.is_dir():
        if os.sep in str(preset) and "://" not in str(preset) and not _is_name(preset):
            raise ValueError(
                "`preset` must be the name of a KerasHub preset or an existing folder. "
                f"Received: preset={os.fspath(preset)!r}. Check the path."
            )
        return
    kinds = [{"config.json", "tokenizer.json"}, {"config.json", "vocab.txt"}]
    here = {path.name for path in folder.iterdir()}
    missing = min((sorted(kind - here) for kind in kinds), key=len)
    weights = [name for name in here if name.endswith((".h5", ".safetensors"))]
    if not missing and not weights:
        missing = ["model.weights.h5 (or model.safetensors)"]
    if missing:
        raise ValueError(
            "`preset` must be the folder of a whole preset: config.json, the "
            f"tokenizer's files and weights. Received: preset={os.fspath(preset)!r}, "
            f"which lacks {', '.join(missing)}. Save it again with "
            "save_to_preset, or copy what is missing."
        )


def _is_name(preset):
    return str(preset).count("/") == 1 and not str(preset).startswith((".", "/", "~"))


def _load_preset(preset, dropout):
    hub = import_keras_hub()
    check_preset(preset)
    preset = os.fspath(preset)
    try:
        network = hub.models.Backbone.from_preset(preset, dropout=dropout)
        tokenizer = hub.models.Tokenizer.from_preset(preset)
    except ImportError:
        raise
    except Exception as error:  # KerasHub and what it reads with raise of all kinds
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            "`preset` must be a text encoder that KerasHub can load. Received: "
            f"preset={preset!r}, which failed: {reason} See `keras_hub.models` for "
            "names, or pass a local folder."
        ) from error
    found = {tensor.name for tensor in network.inputs}
    if not {"token_ids"} <= found <= _INPUTS:
        raise ValueError(
            "`preset` must be an encoder that reads token ids. Received: "
            f"preset={preset!r}, a {type(network).__name__} with inputs "
            f"{sorted(found)}. Take a preset of BERT, RoBERTa or another encoder."
        )
    return network, tokenizer


def _choose_length(network, sequence_length, preset):
    most = getattr(network, "max_sequence_length", None)
    if sequence_length is None:
        return min(_LENGTH, most or _LENGTH)
    if most is not None and sequence_length > most:
        raise ValueError(
            f"`sequence_length` must be at most {most}, for which this encoder has "
            f"positions. Received: sequence_length={sequence_length} for "
            f"{os.fspath(preset)!r}. Read longer texts in several windows."
        )
    return sequence_length


def _exact(tokenizer):
    """Replace KerasHub's word pieces, which keep accents that BERT drops."""
    hub = import_keras_hub()
    if not isinstance(tokenizer, hub.tokenizers.WordPieceTokenizer):
        tokenizer.supports_jit = False
        return tokenizer
    vocabulary = tokenizer.get_vocabulary()
    return WordPieceTokenizer(vocabulary, lowercase=tokenizer.lowercase)


def _find_ids(tokenizer, names):
    found = [getattr(tokenizer, name, None) for name in names]
    return tuple(int(number) for number in found if number is not None)[:1]


def _apply(network, ids, mask):
    given = {"token_ids": ids, "padding_mask": mask, "segment_ids": ops.zeros_like(ids)}
    values = {tensor.name: given[tensor.name] for tensor in network.inputs}
    if isinstance(network.output, dict):
        # Its pooled output comes from a layer that would never learn.
        vectors = network.output["sequence_output"]
        network = keras.Model(network.input, vectors, name=network.name)
    return network(values)
