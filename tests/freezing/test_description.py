import keras
import pytest

from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.freezing.description import describe_trainable


def test_each_block_shows_its_weights_and_its_share(tiny):
    set_trainable_depth(tiny, 1)
    description = describe_trainable(tiny)
    rows = [
        (row.name, row.num_parameters, row.num_trainable, row.batch_norm)
        for row in [*description.blocks, description.head]
    ]
    assert rows == [
        ("stem", 120, 0, "frozen"),
        ("block1", 184, 0, "frozen"),
        ("block2", 368, 352, "inference"),  # all but 8 means and 8 variances
        ("head", 45, 45, None),
    ]
    assert description.blocks[2].trainable_share == 352 / 368
    assert description.num_parameters == tiny.count_params()
    assert description.num_trainable == 352 + 45


@pytest.mark.parametrize("policy", ["inference", "frozen", "train"])
def test_the_mode_of_batch_norm_is_shown(tiny, policy):
    set_trainable_depth(tiny, 2, batch_norm=policy)
    modes = [row.batch_norm for row in describe_trainable(tiny).blocks]
    assert modes == ["frozen", policy, policy]


def test_it_prints_as_a_table(tiny):
    set_trainable_depth(tiny, 1)
    assert str(describe_trainable(tiny)).splitlines() == [
        "block   parameters   trainable   share  batch norm",
        "stem           120           0    0.0%  frozen",
        "block1         184           0    0.0%  frozen",
        "block2         368         352   95.7%  inference",
        "head            45          45  100.0%  -",
        "total          717         397   55.4%  -",
    ]


def test_it_gives_plain_numbers(nested):
    plain = describe_trainable(nested).to_dict()
    assert [row["name"] for row in plain["blocks"]] == ["stem", "block1", "block2"]
    assert plain["num_trainable"] == plain["num_parameters"] - 2 * (4 + 4 + 8)


def test_an_empty_head_has_no_share():
    model = keras.applications.MobileNetV2(
        weights=None, alpha=0.35, include_top=False, pooling="avg"
    )
    description = describe_trainable(model)
    assert description.head.trainable_share == 0.0
    assert not description.notes


@pytest.mark.slow
def test_a_network_that_no_cut_divides_says_so():
    model = keras.applications.NASNetMobile(weights=None, classes=7)
    (note,) = describe_trainable(model).notes
    assert "100% of the backbone lies in one block, normal_concat_12" in note


def test_a_backbone_without_weights_is_described():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    description = describe_trainable(model)
    assert description.blocks == []
    assert description.head.num_trainable == 8
