"""Several backbones side by side on one input, their features one after the other."""

import keras

from tftransfer.backbones.catalog import Backbone, check_handle, load_backbone
from tftransfer.backbones.joining import JoinFeatures, check_weights
from tftransfer.text.tfidf import TfIdf
from tftransfer.text.tfidf_fitting import fit_tfidf

TFIDF = "tfidf"


def combine_backbones(
    backbones,
    *,
    corpus=None,
    max_terms=300_000,
    min_documents=2,
    pairs=True,
    normalize=True,
    weights=None,
):
    """Put backbones side by side: all read the same input, and features are joined.

    Networks that were trained on other things, and counts of words beside them, know
    what one alone does not. What comes out goes where any backbone goes:
    `build_transfer_model(combined, num_classes=2)`.

    How the parts are scaled decides how much a regularized head heeds them, and how
    fast one that is trained learns from them. With `normalize` each part has length 1
    in every row, as rows of tf-idf have anyway, so that no part outweighs another
    because of its units; `weights` then says how much each shall count: a part of
    weight 2 is penalized a quarter as much.

    With tf-idf the features are sparse: rows of 300,000 columns of which some hundreds
    are set. A linear layer, `head="linear"` or `"mlp"` without dropout, multiplies them
    as they are, and `fine_tune(..., head_solver="lbfgs")` solves on them, running the
    networks once. Dense features of networks are stored and read again as ever.

    `trainable_depth` counts the blocks of the networks; those of several networks take
    turns, from the features back. Tf-idf learns nothing in `fit`.

    Args:
        backbones: List of at least two: handles, models or `Backbone`s as
            `load_backbone` takes them, all for texts or all for images; and `"tfidf"`
            or a `TfIdf` layer that was fitted already.
        corpus: Texts that `"tfidf"` is fitted on, those of the training split only: see
            `fit_tfidf`.
        max_terms: As of `fit_tfidf`.
        min_documents: As of `fit_tfidf`.
        pairs: As of `fit_tfidf`.
        normalize: Whether the features of each network are divided by their length.
        weights: Factors above 0, one for each backbone; `None` for ones.

    Returns:
        `Backbone`, its last layer named `features`. Networks are shared, not copied.

    Raises:
        ValueError: If there are fewer than two, a name is unknown, some take texts and
            others images, there is no corpus for tf-idf, or an argument is not
            acceptable.
        TypeError: If an argument has the wrong type.

    Example:

    >>> texts = ["a good film", "a good end", "bad film", "a bad end"]
    >>> words = keras.layers.TextVectorization(vocabulary=["good", "bad"])
    >>> inputs = keras.Input((), dtype="string")
    >>> x = keras.layers.Embedding(4, 8)(words(inputs))
    >>> small = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))
    >>> combined = combine_backbones([small, "tfidf"], corpus=texts)
    >>> combined.features.shape, combined.features.sparse
    ((None, 14), True)

    Reference:
        [Wang & Manning, 2012](https://aclanthology.org/P12-2018/), on how far words
        and pairs alone come.
    """
    _check_list(backbones, corpus)
    weights = check_weights(weights, len(backbones))
    options = {"max_terms": max_terms, "min_documents": min_documents, "pairs": pairs}
    loaded = [_load(part) for part in backbones]
    networks = [part for part in loaded if isinstance(part, Backbone)]
    _check_inputs(networks, has_tfidf=len(networks) < len(loaded))
    parts = [fit_tfidf(corpus, **options) if x == TFIDF else x for x in loaded]
    calls = _name_apart([getattr(part, "model", part) for part in parts])
    inputs = _build_input(networks)
    join = JoinFeatures(normalize=normalize, weights=weights, name="features")
    features = join([call(inputs) for call in calls])
    channels = {part.options.get("in_channels", 3) for part in networks} or {3}
    model = keras.Model(inputs, features, name="combined")
    return Backbone(tuple(backbones), model, {"in_channels": channels.pop()})


def _is_tfidf(part):
    if isinstance(part, Backbone):
        return part.features.sparse
    return isinstance(part, TfIdf) or (isinstance(part, str) and part == TFIDF)


def _check_list(backbones, corpus):
    if not isinstance(backbones, (list, tuple)) or len(backbones) < 2:
        raise ValueError(
            "`backbones` must be a list of at least two. Received: "
            f"backbones={backbones!r}. Pass one alone to build_transfer_model."
        )
    for part in backbones:
        if not _is_tfidf(part):
            check_handle(part)
    if sum(map(_is_tfidf, backbones)) > 1:
        raise ValueError(
            "`backbones` must hold tf-idf once. Received: it stands there "
            f"{sum(map(_is_tfidf, backbones))} times. Leave the others out."
        )
    if TFIDF in backbones and corpus is None:
        raise ValueError(
            '`corpus` must be given for "tfidf", which is fitted on it. Received: '
            "corpus=None. Pass the training split, and nothing of validation or test."
        )
    if TFIDF not in backbones and corpus is not None:
        raise ValueError(
            '`corpus` must be None unless "tfidf" is among the backbones. Received: a '
            'corpus, but no "tfidf". Leave it out.'
        )


def _load(part):
    if _is_tfidf(part) and not isinstance(part, Backbone):
        return part
    backbone = part if isinstance(part, Backbone) else load_backbone(part)
    if backbone.features.sparse:  # which a nested model would not tell
        return backbone.model.get_layer(TFIDF)
    last = backbone.model.outputs[0]._keras_history.operation
    if last.name != "features":
        raise ValueError(
            "`backbones` must end in their layer named `features`. Received: "
            f"{backbone.source!r}, which ends in {last.name!r}: what is above "
            "`features` would have to learn, but the head stands on all of them "
            "together. Take one without layers that begin at random."
        )
    return backbone


def _check_inputs(networks, has_tfidf):
    """Raise unless all take the same: texts, or images of one size and depth."""
    told = []
    for part in networks:
        (tensor,) = part.model.inputs
        if tensor.dtype == "string":
            told.append("texts")
        else:
            size = "" if part.image_size is None else f" at {part.image_size}"
            told.append(f"{tensor.dtype} {tuple(tensor.shape)}{size}")
    if has_tfidf:
        told.append("texts")
    if len(set(told)) > 1:
        raise ValueError(
            "`backbones` must all take the same input: texts, or images of one size "
            f"and number of channels. Received: {told}. Images of other sizes: "
            "load_backbone(handle, image_size=...) for each."
        )


def _build_input(networks):
    if not networks or networks[0].model.inputs[0].dtype == "string":
        return keras.Input((), dtype="string", name="texts")
    (given,) = networks[0].model.inputs
    return keras.Input(given.shape[1:], dtype=given.dtype, name=given.name)


def _name_apart(parts):
    """Rename models of the same name, without copying anything in them."""
    taken: set[str] = set()
    named = []
    for part in parts:
        name, number = part.name, 2
        while name in taken:
            name, number = f"{part.name}_{number}", number + 1
        taken.add(name)
        if name != part.name:
            part = keras.Model(part.inputs[0], part.outputs[0], name=name)
        named.append(part)
    return named
