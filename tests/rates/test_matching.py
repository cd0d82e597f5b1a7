import keras
import pytest
from keras import layers

from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.rates.matching import check_rates, match_rates


def match(model, rates=None, layer_decay=None):
    return LayerwiseRates("sgd", rates, layer_decay).match(model)


def test_the_rate_falls_from_block_to_block(build):
    assert match(build(), layer_decay=0.5) == {
        "block1/kernel": 0.25,
        "block1/bias": 0.25,
        "block2/kernel": 0.5,
        "block2/bias": 0.5,
        "logits/kernel": 1.0,
        "logits/bias": 1.0,
    }


def test_names_come_before_the_decay_and_narrow_ones_before_wide_ones(build):
    rates = {"block1/bias": 0, "block1": 0.1, "head": 2.0}
    assert match(build(), rates, 0.5) == {
        "block1/kernel": 0.1,
        "block1/bias": 0.0,
        "block2/kernel": 0.5,
        "block2/bias": 0.5,
        "logits/kernel": 2.0,
        "logits/bias": 2.0,
    }


def test_neighboring_words_of_paths_are_names(build):
    found = match(build(), {"bias": 2.0, "block2/bias": 3.0})
    assert list(found.values()) == [1.0, 2.0, 1.0, 3.0, 1.0, 2.0]
    inside = keras.Sequential([keras.Input((2,)), layers.Dense(1, name="a")], name="b")
    assert match(inside, {"a/bias": 2.0}) == {"b/a/kernel": 1.0, "b/a/bias": 2.0}


def test_blocks_are_those_of_trainable_depth():
    model = keras.applications.MobileNetV2(weights=None, alpha=0.35, classes=10)
    found = match(model, {"block_5": 0.1}, 0.9)
    # Of 19 blocks (Conv1, expanded_conv, block_1 to block_16, Conv_1).
    assert found["block_5_expand/kernel"] == 0.1
    assert found["block_5_project_BN/gamma"] == 0.1
    assert found["predictions/kernel"] == 1.0
    assert found["Conv_1/kernel"] == pytest.approx(0.9)
    assert found["block_15_expand/kernel"] == pytest.approx(0.9**3)
    assert found["Conv1/kernel"] == pytest.approx(0.9**19)


def test_layers_inside_nested_models_and_these_are_names():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="a"), layers.Dense(4, name="b")],
        name="inner",
    )
    inputs = keras.Input((4,))
    outputs = layers.Dense(2, name="logits")(inner(inputs))
    model = keras.Model(inputs, outputs)
    found = match(model, {"inner": 0.5, "a": 0.25})
    assert list(found.values()) == [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.one = layers.Dense(3, name="one")
        self.two = layers.Dense(2, name="two")

    def call(self, inputs):
        return self.two(self.one(inputs))


def test_a_model_without_a_graph_has_layers_and_paths():
    model = Subclassed()
    model(keras.ops.ones((1, 4)))
    found = match(model, {"one": 0.5, model.two.bias.path: 0.1})
    assert list(found.values()) == [0.5, 0.5, 1.0, 0.1]
    with pytest.raises(ValueError, match="A model without a graph has no head"):
        match(model, {"head": 1.0})
    with pytest.raises(ValueError, match="`model` must be a functional or Sequential"):
        match(model, layer_decay=0.5)


def test_a_part_of_a_saved_model_is_a_block():
    class Parts(keras.layers.Layer):
        def build(self, shape):
            self.low = self.add_weight(shape=(4,), name="low")
            self.high = self.add_weight(shape=(4,), name="high")

        @property
        def variable_blocks(self):
            return [("module/low", [self.low]), ("module/high", [self.high])]

        def call(self, inputs):
            return inputs * self.low + self.high

    inputs = keras.Input((4,))
    x = layers.Activation("linear", name="features")(Parts(name="hub")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    found = match(model, {"module/low": 0.125}, 0.5)
    assert found["hub/low"] == 0.125
    assert found["hub/high"] == 0.5


def test_a_saved_model_in_one_piece_says_why_it_has_no_blocks():
    class Whole(keras.layers.Layer):
        def build(self, shape):
            self.all = self.add_weight(shape=(4,), name="all")

        @property
        def variable_blocks(self):
            raise ValueError("its variables have no order")

        def call(self, inputs):
            return inputs * self.all

    inputs = keras.Input((4,))
    x = layers.Activation("linear", name="features")(Whole(name="hub")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    assert match(model, {"hub": 0.5})["hub/all"] == 0.5
    with pytest.raises(ValueError, match="its variables have no order"):
        match(model, layer_decay=0.5)


def test_names_that_cover_nothing_are_refused_and_the_nearest_offered(build):
    with pytest.raises(
        ValueError,
        match=r"Received: rates with 'blok2', which has no weights. Did you mean "
        r"'block2'.*The last blocks are: block1, block2\.",
    ):
        match(build(), {"blok2": 1.0})
    with pytest.raises(ValueError, match="Received: rates with 'features'"):
        match(build(), {"features": 1.0})


def test_two_names_for_the_same_weights_are_refused(build):
    with pytest.raises(
        ValueError, match="Received: rates with 'head' and 'logits', which cover"
    ):
        match_rates(build(), {"head": 1.0, "logits": 0.5}, None)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"head": -1.0}, r"Received: rates\['head'\]=-1.0"),
        ({"head": float("nan")}, r"Received: rates\['head'\]=nan"),
        ({"head": True}, r"Received: rates\['head'\]=True of type bool"),
        ({"head": "1"}, r"Received: rates\['head'\]='1' of type str"),
        ({3: 1.0}, "Received: rates with the key 3 of type int"),
        ([("head", 1.0)], "Received: rates=.* of type list"),
    ],
)
def test_rates_that_suit_no_model_are_refused(rates, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check_rates(rates, None)


@pytest.mark.parametrize(
    ("decay", "message"),
    [
        (0, "Received: layer_decay=0. Call set_trainable_depth"),
        (-0.5, "Received: layer_decay=-0.5"),
        (1.5, "Received: layer_decay=1.5"),
        ("0.75", "Received: layer_decay='0.75' of type str"),
    ],
)
def test_decays_outside_of_0_and_1_are_refused(decay, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check_rates(None, decay)
