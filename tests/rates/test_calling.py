import keras

from tftransfer.rates.calling import calling_model


class Asking(keras.Model):
    def ask(self, variables):
        return inner(variables)


def inner(variables):
    return calling_model(variables)


def make():
    inputs = keras.Input((4,))
    return Asking(inputs, keras.layers.Dense(2)(inputs))


def test_the_model_whose_method_runs_is_found():
    model = make()
    assert model.ask(model.trainable_variables) is model


def test_a_model_without_the_variables_is_another():
    assert make().ask(make().trainable_variables) is None


def test_outside_of_methods_there_is_none():
    assert inner(make().trainable_variables) is None
