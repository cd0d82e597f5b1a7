import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.heads import apply_head, check_head


def build(head, num_outputs=3, with_map=True, **options):
    images = keras.Input((4, 4, 8))
    features = layers.GlobalAveragePooling2D(name="features")(images)
    feature_map = images if with_map else None
    logits = apply_head(head, features, feature_map, num_outputs=num_outputs, **options)
    return keras.Model(images, logits)


def test_linear_head_is_one_dense_layer(rng):
    model = build("linear")
    kernel, bias = model.get_layer("logits").get_weights()
    images = rng.normal(size=(2, 4, 4, 8)).astype("float32")
    expected = images.mean(axis=(1, 2)) @ kernel + bias
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-6)
    assert model.count_params() == 8 * 3 + 3


def test_widths_make_hidden_layers_with_dropout_before_each():
    model = build((16, 5), dropout=0.5)
    kinds = [type(layer).__name__ for layer in model.layers[2:]]
    assert kinds == ["Dropout", "Dense"] * 3
    # 8 -> 16 -> 5 -> 3, weights and biases.
    assert model.count_params() == (8 * 16 + 16) + (16 * 5 + 5) + (5 * 3 + 3)


def test_alexnet_recipe_of_two_wide_layers():
    model = build((4096, 4096), num_outputs=10, dropout=0.5)
    assert [w.shape[-1] for w in model.weights[::2]] == [4096, 4096, 10]


def test_conv_transpose_quadruples_the_map_before_pooling():
    model = build("conv_transpose")
    assert model.get_layer("head_conv_transpose_2").output.shape == (None, 16, 16, 128)
    assert model.output_shape == (None, 3)


def test_layers_models_and_functions_are_applied():
    for head in (
        layers.Dense(3),
        keras.Sequential([layers.Dense(7, activation="gelu"), layers.Dense(3)]),
        lambda features: layers.Dense(3)(keras.ops.tanh(features)),
    ):
        assert build(head).output_shape == (None, 3)


@pytest.mark.parametrize(
    "head", ["mlp", lambda x: layers.Dense(3)(layers.Dense(4, name="head_dense_1")(x))]
)
def test_logits_stay_float32_under_mixed_precision(head):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(head)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output.dtype == "float32"
    assert model.get_layer("head_dense_1").compute_dtype == "bfloat16"


def test_a_model_built_elsewhere_is_a_head_where_its_width_fits():
    head = keras.Sequential([keras.Input((8,)), layers.Dense(3)])
    model = build(head)
    assert model.layers[-1] is head
    narrow = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    with pytest.raises(
        ValueError, match=r"shape \(None, 8\) as its.*Received: head=<S"
    ):
        build(narrow)


def test_a_function_of_other_arguments_is_refused():
    with pytest.raises(ValueError, match="Received: head=<function.*missing 1 requir"):
        build(lambda features, feature_map: features)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("lineer", "Received: head='lineer'. Did you mean 'linear'"),
        ((16, 0), r"Received: head=\(16, 0\)"),
        ((True,), r"Received: head=\(True,\)"),
    ],
)
def test_unknown_heads_are_refused(head, message):
    with pytest.raises(ValueError, match=message):
        check_head(head)


def test_dropout_of_sparse_features_is_refused():
    features = keras.Input((8,), sparse=True)
    assert apply_head("mlp", features, None, num_outputs=3).shape == (None, 3)
    with pytest.raises(ValueError, match="sparse features.* Received: dropout=0.5"):
        apply_head("linear", features, None, num_outputs=3, dropout=0.5)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="Received: head=3 of type int"):
        check_head(3)
    with pytest.raises(TypeError, match="Received: head=.*Dense.* of type type"):
        check_head(layers.Dense)


@pytest.mark.parametrize("head", [layers.Dense(4), lambda features: 1.0])
def test_other_shapes_than_the_logits_are_refused(head):
    with pytest.raises(ValueError, match=r"shape \(batch, 3\). Received: head="):
        build(head)


def test_conv_transpose_needs_a_feature_map():
    with pytest.raises(
        ValueError, match="Received: a backbone whose output is already"
    ):
        build("conv_transpose", with_map=False)


def test_dropout_of_everything_is_refused():
    with pytest.raises(ValueError, match="Received: dropout=1.0"):
        build("linear", dropout=1.0)
