import keras
import numpy as np
from keras import layers

from tests.features.test_side_by_side import TEXTS, build_model, build_network
from tftransfer.features.below import key_below, run_below
from tftransfer.features.side_by_side import find_networks
from tftransfer.freezing.parts import output_cut


def keys_chosen(cut, key, example):
    keys = []

    def choose(function, example, key):
        keys.append(key)

    run_below(cut, key, example, "float32", choose)
    return keys


def test_the_key_at_hand_is_handed_on():
    inputs = keras.Input((4,))
    cut = output_cut(keras.Model(inputs, layers.Dense(3)(inputs)))
    assert keys_chosen(cut, "at hand", np.zeros((2, 4), "float32")) == ["at hand"]
    cut = output_cut(build_network("wide", 5))
    assert keys_chosen(cut, "at hand", np.array(TEXTS[:4], object)) == ["at hand"]


def test_networks_side_by_side_are_known_by_keys_of_their_own():
    cut = output_cut(build_model([build_network("wide", 5), build_network("small", 3)]))
    own = [key_below(part) for part in find_networks(cut).values()]
    found = keys_chosen(cut, "of both", np.array(TEXTS[:4], object))
    assert found == own and len({*own, key_below(cut)}) == 3
