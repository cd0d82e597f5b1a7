import keras
import numpy as np
import pytest
from keras import layers

import tftransfer as tft
from tftransfer.lora.low_rank import LowRank

TOKENS = np.array([[3, 4, 5, 0], [6, 7, 0, 0]], "int32")
LABELS = np.array([0, 1])
SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
NETWORK = {"vocabulary_size": 40, "max_sequence_length": 16, **SIZES}


def head(x):
    x = layers.GlobalAveragePooling1D(name="features")(x)
    return layers.Dense(2, name="logits")(x)


def build_bert():
    """As `build_text_encoder` does: a functional model with the encoder's layers."""
    models = pytest.importorskip("keras_hub").models
    network = models.BertBackbone(**NETWORK)
    encoder = keras.Model(network.input, network.output["sequence_output"])
    ids = keras.Input((None,), dtype="int32")
    given = {"token_ids": ids, "padding_mask": ids, "segment_ids": ids * 0}
    return keras.Model(ids, head(encoder(given)))


def build_distil_bert():
    """Its configuration tells the sizes of the network, not the layers in it."""
    models = pytest.importorskip("keras_hub").models
    network = models.DistilBertBackbone(**NETWORK)
    ids = keras.Input((None,), dtype="int32")
    return keras.Model(ids, head(network({"token_ids": ids, "padding_mask": ids})))


def build_attention():
    ids = keras.Input((4,), dtype="int32")
    x = layers.Embedding(40, 8, name="words")(ids)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.TimeDistributed(layers.Dense(8, name="inner"), name="each")(x)
    return keras.Model(ids, head(x))


def build_shared():
    ids = keras.Input((4,), dtype="int32")
    x = layers.Embedding(40, 8, name="words")(ids)
    shared = layers.Dense(8, name="shared")
    x = layers.Add(name="add")([x, shared(shared(x))])
    return keras.Model(ids, head(x))


def build_nested():
    inner_ids = keras.Input((4,), dtype="int32")
    x = layers.Embedding(40, 8, name="words")(inner_ids)
    inner = keras.Sequential([layers.Dense(8, name="first"), layers.Dense(8)])
    ids = keras.Input((4,), dtype="int32")
    return keras.Model(ids, head(keras.Model(inner_ids, inner(x))(ids)))


BUILDERS = {
    "attention": (build_attention, ["attention/*", "inner", "words"], 6),
    "shared": (build_shared, ["Dense", "Embedding"], 2),
    "nested": (build_nested, ["Dense", "Embedding"], 3),
    "bert": (build_bert, "auto", 4),
    "bert, all": (build_bert, ["EinsumDense", "Dense", "Embedding"], 14),
    "distil bert": (build_distil_bert, ["query", "*intermediate_dense"], 4),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in list(BUILDERS)[3:]]
each_network = pytest.mark.parametrize("name", [*list(BUILDERS)[:3], *SLOW])


def train(name, move):
    """A model with adapters, trained for a step."""
    build, targets, count = BUILDERS[name]
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    tft.add_lora(model, 1, targets=targets, alpha=3)
    assert len(tft.describe_lora(model).ranks) == count
    move(model)
    model.fit(TOKENS, LABELS, verbose=0)
    return model


def predict(model):
    return keras.ops.convert_to_numpy(model(TOKENS))


@each_network
def test_keras_files_hold_the_adapters(name, move, tmp_path):
    model = train(name, move)
    model.save(tmp_path / "model.keras")
    loaded = tft.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(predict(loaded), predict(model), atol=1e-6)
    assert tft.describe_lora(loaded) == tft.describe_lora(model)
    adapted = [x for x in loaded._flatten_layers() if isinstance(x, LowRank)]
    assert {layer.adapter_alpha for layer in adapted} == {3}
    assert int(loaded.optimizer.iterations) == 1
    held = [np.array(weight) for weight in loaded.non_trainable_weights]
    losses = loaded.fit(TOKENS, LABELS, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]  # Keras' own factors come back zero and never move
    for before, weight in zip(held, loaded.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(weight, before)


@each_network
def test_merged_models_load_with_keras_alone(name, move, tmp_path):
    model = train(name, move)
    expected = predict(model)
    tft.merge_lora(model).save(tmp_path / "merged.keras")
    # Compiled, Keras frees what lies in frozen attention, and warns of the optimizer.
    loaded = keras.models.load_model(tmp_path / "merged.keras", compile=False)
    np.testing.assert_allclose(predict(loaded), expected, atol=1e-5)
    assert len(loaded.weights) == len(BUILDERS[name][0]().weights)


def test_training_goes_on_where_the_file_ends(move, tmp_path):
    model = train("attention", move)
    model.save(tmp_path / "model.keras")
    loaded = tft.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        each.fit(TOKENS, LABELS, verbose=0, shuffle=False)
    np.testing.assert_allclose(predict(loaded), predict(model), atol=1e-5)


def test_weight_files_hold_the_factors(move, tmp_path):
    model = train("attention", move)
    expected = predict(model)
    model.save_weights(tmp_path / "model.weights.h5")
    model.fit(TOKENS, LABELS, epochs=2, verbose=0)
    assert np.abs(predict(model) - expected).max() > 1e-4
    model.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(predict(model), expected)
    assert all(np.any(x) for x in model.weights if x.name == "adapter_a")


def test_adapter_files_fit_layers_inside_others(move, tmp_path):
    path = tmp_path / "adapters.npz"
    keras.utils.set_random_seed(0)
    model = train("attention", move)
    tft.save_lora(model, path)
    keras.utils.set_random_seed(0)
    loaded = tft.load_lora(build_attention(), path)
    np.testing.assert_array_equal(predict(loaded), predict(model))


def test_adapters_do_not_go_on_top_of_themselves(move, tmp_path):
    model = train("shared", move)
    tft.save_lora(model, tmp_path / "adapters.npz")
    tft.merge_lora(model)
    with pytest.raises(ValueError, match="and other weights in 'words'"):
        tft.load_lora(model, tmp_path / "adapters.npz")


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # told once more
def test_base_weights_do_not_load_into_an_adapted_model(build_cnn, tmp_path):
    build_cnn().save_weights(tmp_path / "base.weights.h5")
    model = tft.add_lora(build_cnn(), 1)
    with pytest.raises(ValueError, match="expected 3 variables, but received 1"):
        model.load_weights(tmp_path / "base.weights.h5")
