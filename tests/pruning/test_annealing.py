import numpy as np
import pytest

import tftransfer as tft
from tftransfer.pruning.annealing import Annealing, units_left


def test_units_go_as_the_cube_of_what_is_left_of_the_steps():
    # s_t = s_f + (s_i - s_f) (1 - t / n)^3 with s_i = 0 and s_f = 1 - 8 / 512.
    final = 1 - 8 / 512
    sparsity = [final - final * (1 - t / 10) ** 3 for t in range(11)]
    expected = [round(512 * (1 - x)) for x in sparsity]
    assert [units_left(512, 8, t, 10) for t in range(11)] == expected
    assert expected[0] == 512
    assert expected[-1] == 8


def test_the_least_important_go_first_and_never_come_back(build_mlp):
    annealing = Annealing(build_mlp(units=(24, 16)), {"head": 2, "block1": 0.25})
    annealing.begin()
    scores = np.random.default_rng(1).permutation(1000).astype("float64")
    left = []
    for step in range(1, 4):
        order = {t.name: np.argsort(scores[t.units]) for t in annealing.targets}
        annealing.prune(3, lambda groups: scores[groups])
        kept = annealing.kept
        for target in annealing.targets:
            count = units_left(len(target.units), target.final, step, 3)
            expected = np.sort(order[target.name][-count:])
            np.testing.assert_array_equal(kept[target.name], expected)
        left.append([len(kept["block1"]), len(kept["head_dense_1"])])
    assert left == [[11, 6], [7, 3], [6, 2]]
    assert annealing.describe() == "block1 24 -> 6, head_dense_1 16 -> 2"
    assert annealing.summarize(3) == "block1 24 -> 6, head_dense_1 16 -> 2"
    assert annealing.summarize(4).endswith("16 -> 2, after 3 of 4 steps")


def test_what_reads_the_units_has_to_learn(build_mlp):
    model = build_mlp()
    message = "Received: units that 'head_dense_1' reads, which is frozen"
    annealing = Annealing(model, {"block1": 2})
    annealing.begin()
    model.get_layer("head_dense_1").trainable = False
    Annealing(model, {"head": 2}).begin()
    with pytest.raises(ValueError, match=message):
        Annealing(model, {"block1": 2}).begin()
    with pytest.raises(ValueError, match=message):
        annealing.prune(3, lambda groups: groups)


def test_mixout_would_bring_units_back(build_mlp):
    model = tft.AlignedModel(build_mlp(), regularization=[tft.Mixout(0.5)])
    with pytest.raises(ValueError, match="Received: a model with Mixout"):
        Annealing(model, {"head": 2})


def test_adapters_are_to_be_merged_before(build_mlp):
    model = tft.add_lora(build_mlp(), 1, targets="block1")
    with pytest.raises(ValueError, match="Received: a model with some. Give it"):
        Annealing(model, {"head": 2})
