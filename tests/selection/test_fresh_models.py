"""Models from `build`: each of them new, and told apart."""

import functools
import gc

import keras
import numpy as np
import pytest

from tftransfer.selection.fresh_models import FreshModels, describe_model


def test_equal_seeds_give_equal_weights(build):
    models = FreshModels(build(initializer="glorot_uniform"))
    one, same, other = (models.build(seed).get_weights()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda make: lambda seed: (make(), seed), 7),
        (lambda make: lambda any_name: (make(), any_name), 7),
        (lambda make: lambda seed=3: (make(), seed), 7),
        (lambda make: lambda rate=3: (make(), rate), 3),
        (lambda make: lambda *given: (make(), *given, None), None),
        (lambda make: functools.partial(lambda a, seed: (make(), seed), 0), 7),
    ],
)
def test_a_function_of_one_argument_gets_the_seed(build, function, expected):
    got = []

    class Recording(FreshModels):
        def __init__(self, inner):
            super().__init__(inner)
            call = self._build

            def first(*arguments):
                model, seed = call(*arguments)[:2]
                got.append(seed)
                return model

            self._build = first

    Recording(function(build())).build(7)
    assert got == [expected]


def test_what_is_no_function_is_refused(build):
    for wrong in (build()(), 3, None):
        with pytest.raises(TypeError, match="Received: build of type"):
            FreshModels(wrong)


def test_a_function_that_gives_no_compiled_model_is_refused():
    with pytest.raises(TypeError, match="Received: build that returns int"):
        FreshModels(lambda: 3).build(0)
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="Received: model 'sequential.*not. Call"):
        FreshModels(lambda: plain).build(0)


def test_the_same_model_twice_is_refused(build):
    model = build()()
    models = FreshModels(lambda: model)
    models.build(0)
    with pytest.raises(ValueError, match="Received: build that gave .* twice"):
        models.build(0)


def test_an_unbuilt_model_twice_is_refused():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    models = FreshModels(lambda: model)
    models.build(0)
    with pytest.raises(ValueError, match="'sequential.* twice"):
        models.build(0)


def shared_layer(trainable):
    layer = keras.layers.Dense(2, name="shared")
    layer.build((None, 4))
    layer.trainable = trainable

    def build():
        model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    return layer, build


def test_a_shared_layer_that_learns_is_refused():
    models = FreshModels(shared_layer(True)[1])
    kept = models.build(0)
    with pytest.raises(ValueError, match=r"'shared/bias' \(2 in all\) twice"):
        models.build(0)
    assert kept.built


def test_a_shared_frozen_layer_is_fine_until_it_learns():
    layer, build = shared_layer(False)
    models = FreshModels(build)
    models.build(0)
    model = models.build(0)
    layer.trainable = True  # as training may do
    models.remember(model)
    layer.trainable = False
    with pytest.raises(ValueError, match="'shared/bias'"):
        models.build(0)


def test_models_are_not_kept_alive(build):
    models = FreshModels(build())
    models.build(0)
    gc.collect()
    assert all(ref() is None for ref in models._known)


def test_descriptions_tell_settings_apart_but_not_names(build):
    same = {describe_model(build(rate=0.5)()) for _ in range(3)}
    assert len(same) == 1
    others = {
        describe_model(build(rate=0.25)()),
        describe_model(build(width=4)()),
        describe_model(build(initializer="ones")()),
        describe_model(build(loss="sparse_categorical_crossentropy")()),
        describe_model(build(loss="mse")()),
    }
    assert len(others | same) == 6
