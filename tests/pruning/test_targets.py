import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.pruning.channels import trace_channels
from tftransfer.pruning.targets import find_targets


def find(model, units):
    return find_targets(model, trace_channels(model), units)


def told(model, units):
    return [(x.name, len(x.units), x.final, x.tied) for x in find(model, units)]


def test_layers_blocks_and_the_head_are_named(residual):
    assert told(residual, {"head": 8, "block1_se_reduce": 0.5}) == [
        ("block1_se_reduce", 4, 2, ("block1_se_reduce",)),
        ("head_dense_1", 16, 8, ("head_dense_1",)),
    ]
    # The block's output is added to the stem's, which a block may not take along.
    assert told(residual, {"block1": 0.3}) == [
        ("block1_expand", 10, 3, ("block1_expand", "block1_se_expand")),
        ("block1_se_reduce", 4, 1, ("block1_se_reduce",)),
    ]


def test_a_layer_takes_along_what_is_tied_to_it(residual):
    (target,) = find(residual, {"block1_project": 2})
    assert target.tied == ("stem_conv", "block1_project")


def test_the_same_units_may_be_named_twice_alike(residual):
    (target,) = find(residual, {"block1_project": 2, "stem_conv": 2})
    assert (target.name, target.final) == ("block1_project", 2)


@pytest.mark.parametrize(
    ("units", "error", "message"),
    [
        ([("head", 8)], TypeError, r"Received: units=\[\('head', 8\)\]"),
        ({}, TypeError, "Received: units={}"),
        ({"head": "8"}, TypeError, r"units\['head'\]='8' of type str"),
        ({"head": True}, TypeError, r"units\['head'\]=True of type bool"),
        ({"head": 0}, ValueError, r"Received: units\['head'\]=0\. Pass for example 8"),
        ({"head": -3}, ValueError, r"Received: units\['head'\]=-3"),
        ({"head": 1.0}, ValueError, r"Received: units\['head'\]=1\.0"),
        ({"head": float("nan")}, ValueError, r"Received: units\['head'\]=nan"),
        (
            {"head": 16},
            ValueError,
            r"Received: units\['head'\]=16, where 'head_dense_1' has 16",
        ),
        (
            {"head_dense": 8},
            ValueError,
            r"'head_dense'\. Did you mean 'head_dense_1' or .*The last blocks",
        ),
        (
            {"block1_excite": 8},
            ValueError,
            "Received: units with 'block1_excite'. Did you mean",
        ),
        ({"logits": 2}, ValueError, "whose units are held by the model's output"),
        (
            {"stem": 2},
            ValueError,
            "where none can: 'stem_conv' is tied to block1_project",
        ),
        (
            {"stem_conv": 2, "block1_project": 3},
            ValueError,
            "'stem_conv' to 2 and 'block1_project' to 3, which share 6",
        ),
    ],
)
def test_what_cannot_be_pruned_is_refused(residual, units, error, message):
    with pytest.raises(error, match=message):
        find(residual, units)


def test_a_refusal_names_what_ties():
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(8, 1, name="one")(inputs)
    y = layers.Conv2D(8, 1, name="two")(inputs)
    x = layers.Add()([x, layers.LayerNormalization(name="norm")(y)])
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling2D()(x)))
    message = r"held by 'norm' \(LayerNormalization\)"
    with pytest.raises(ValueError, match=f"Received: units with 'one'.*{message}"):
        find(model, {"one": 4})


def test_a_linear_head_has_no_units_to_prune():
    inputs = keras.Input((4,))
    features = layers.Dense(8, name="features")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(features))
    message = "'head', where none can: 'logits' is held by the model's output"
    with pytest.raises(ValueError, match=message):
        find(model, {"head": 1})


def test_units_added_to_one_another_are_refused():
    inputs = keras.Input((4,))
    x = layers.Dense(8, name="mixed")(inputs)
    shared = layers.Dense(3, name="shared")
    x = layers.Concatenate()([shared(x), x])
    y = layers.Concatenate()([layers.Dense(8, name="other")(inputs), shared(x[:, :8])])
    model = keras.Model(inputs, layers.Dense(2)(layers.Add()([x, y])))
    with pytest.raises(ValueError, match="Received: units with 'mixed'"):
        find(model, {"mixed": 4})


def test_partly_shared_units_are_named_once():
    inputs = keras.Input((4,))
    parts = [layers.Dense(4, name=name)(inputs) for name in ("a", "b")]
    whole = layers.Dense(8, name="whole")(inputs)
    x = layers.Add()([layers.Concatenate()(parts), whole])
    model = keras.Model(inputs, layers.Dense(2)(x))
    with pytest.raises(ValueError, match="'a' to 2 and 'whole' to 2, which share 4"):
        find(model, {"a": 2, "whole": 2})
    (target,) = find(model, {"whole": 2})
    assert target.tied == ("a", "b", "whole")
    assert len(np.unique(target.units)) == 8
