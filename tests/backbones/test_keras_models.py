import keras
import numpy as np
import pytest
from keras import layers

from tftransfer.backbones.keras_models import load_keras_backbone


def classifier(size=16, **names):
    inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 255, name=names.get("first"))(inputs)
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.GlobalAveragePooling2D(name=names.get("pool", "pool"))(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="top")(x))


@pytest.fixture
def images(rng):
    return rng.uniform(0, 255, (2, 16, 16, 3)).astype("float32")


def output_of(model, name, images):
    part = keras.Model(model.inputs[0], model.get_layer(name).output)
    return np.asarray(part(images))


def test_the_output_of_the_model_becomes_the_features(images):
    model = classifier()
    backbone = load_keras_backbone(model)
    assert backbone.layers[-1].name == "features"
    np.testing.assert_allclose(backbone(images), model(images), rtol=1e-5)


def test_the_top_is_cut_at_the_last_pooling(images):
    model = classifier()
    backbone = load_keras_backbone(model, cut_top=True)
    assert backbone.output_shape == (None, 6)
    assert backbone.get_layer("features").input.shape == (None, 14, 14, 6)
    np.testing.assert_allclose(backbone(images), output_of(model, "pool", images), 1e-5)


def test_the_top_is_cut_at_the_flattening_where_nothing_is_pooled(images):
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(2, 3, name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(8, activation="relu"),
            layers.Dense(4),
        ]
    )
    backbone = load_keras_backbone(model, cut_top=True)
    np.testing.assert_allclose(backbone(images), output_of(model, "flat", images), 1e-5)


@pytest.mark.parametrize(("layer", "width"), [("conv", 6), ("pool", 6), ("top", 4)])
def test_any_layer_can_give_the_features(layer, width, images):
    model = classifier()
    backbone = load_keras_backbone(model, layer=layer)
    wanted = output_of(model, layer, images)
    if wanted.ndim == 4:
        wanted = wanted.mean(axis=(1, 2))
    assert backbone.output_shape == (None, width)
    np.testing.assert_allclose(backbone(images), wanted, rtol=1e-5, atol=1e-6)


def test_layers_and_weights_are_shared_not_copied(images):
    model = classifier()
    backbone = load_keras_backbone(model, cut_top=True)
    assert backbone.get_layer("conv") is model.get_layer("conv")
    own = {id(variable) for variable in model.variables}
    assert {id(variable) for variable in backbone.variables} <= own
    before = model.get_layer("conv").kernel.numpy()
    backbone.compile("sgd", "mse")
    backbone.fit(images, np.ones((2, 6)), verbose=0)
    assert np.abs(model.get_layer("conv").kernel.numpy() - before).max() > 0


def test_the_given_model_still_works(images, tmp_path):
    model = classifier()
    before = np.asarray(model(images))
    load_keras_backbone(model, cut_top=True)
    np.testing.assert_array_equal(model(images), before)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), before, rtol=1e-5)


def test_a_model_of_fixed_size_takes_images_of_any_size(rng):
    backbone = load_keras_backbone(classifier(16), cut_top=True)
    assert backbone.layers[1].name == "resizing"
    photos = rng.integers(0, 256, (2, 50, 30, 3)).astype("uint8")
    resized = backbone.get_layer("resizing")(photos.astype("float32"))
    np.testing.assert_allclose(backbone(photos), backbone(resized), rtol=1e-5)


def test_a_model_of_any_size_is_resized_when_asked_only(images):
    model = classifier(None)
    plain = load_keras_backbone(model, cut_top=True)
    assert "resizing" not in [layer.name for layer in plain.layers]
    np.testing.assert_allclose(plain(images), output_of(model, "pool", images), 1e-5)
    resizing = load_keras_backbone(model, cut_top=True, image_size=(8, 12))
    assert resizing.get_layer("conv").output is not None
    assert resizing.get_layer("features").input.shape == (None, 6, 10, 6)


def test_a_convolutional_model_can_take_another_size_than_its_own(images):
    backbone = load_keras_backbone(classifier(16), cut_top=True, image_size=24)
    assert backbone.get_layer("features").input.shape == (None, 22, 22, 6)


def test_statistics_move_in_training_only(images):
    backbone = load_keras_backbone(classifier(), cut_top=True)
    statistics = backbone.get_layer("bn").moving_mean
    before = statistics.numpy()
    backbone(images)
    np.testing.assert_array_equal(statistics, before)
    backbone(images, training=True)
    assert np.abs(statistics.numpy() - before).max() > 0


def test_nested_models_are_laid_flat(images):
    body = classifier()
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5, name="deep")])
    inputs = keras.Input((16, 16, 3))
    x = inner(body(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(2, name="outer")(x))
    backbone = load_keras_backbone(model)
    assert not [part for part in backbone.layers if isinstance(part, keras.Model)]
    np.testing.assert_allclose(backbone(images), model(images), rtol=1e-5)
    deep = load_keras_backbone(model, layer="pool")
    np.testing.assert_allclose(deep(images), output_of(body, "pool", images), 1e-5)


def test_a_nested_model_called_for_inference_stays_in_inference(images):
    body = classifier()
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, body(inputs, training=False))
    backbone = load_keras_backbone(model)
    before = body.get_layer("bn").moving_mean.numpy()
    np.testing.assert_array_equal(
        backbone(images, training=False), backbone(images, training=False)
    )
    backbone(images)
    np.testing.assert_array_equal(body.get_layer("bn").moving_mean, before)


def test_operations_and_branches_survive(images):
    inputs = keras.Input((16, 16, 3))
    x = keras.ops.flip(inputs, axis=-1) / 2.0
    y = layers.Conv2D(3, 3, padding="same")(x)
    model = keras.Model(inputs, layers.GlobalMaxPooling2D()(layers.Add()([x, y]) + x))
    backbone = load_keras_backbone(model)
    np.testing.assert_allclose(backbone(images), model(images), rtol=1e-5)


def test_pooling_that_keeps_its_dimensions_is_flattened(images):
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(5, 3)(inputs))
    x = layers.Flatten()(layers.Conv2D(7, 1)(x))
    model = keras.Model(inputs, layers.Activation("softmax")(x))
    backbone = load_keras_backbone(model, cut_top=True)
    assert backbone.output_shape == (None, 5)


def test_names_of_ours_are_given_up_by_layers_without_weights(images):
    model = classifier(first="resizing", pool="features")
    backbone = load_keras_backbone(model)
    assert backbone.layers[-1].name == "features"
    assert "features_1" in [layer.name for layer in backbone.layers]
    np.testing.assert_allclose(backbone(images), model(images), rtol=1e-5)
    cut = load_keras_backbone(model, layer="features")
    np.testing.assert_allclose(cut(images), output_of(model, "features", images), 1e-5)


def test_names_of_ours_on_layers_with_weights_are_refused():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="features")])
    with pytest.raises(ValueError, match="Received: layer 'features'. Rename it"):
        load_keras_backbone(model)
    model.get_layer("features").name = "features_1"
    assert load_keras_backbone(model).output_shape == (None, 2)


def test_models_of_vectors_need_no_image_size(rng):
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3), layers.Dense(2)])
    vectors = rng.normal(size=(2, 5))
    np.testing.assert_allclose(
        load_keras_backbone(model)(vectors), model(vectors), 1e-5
    )
    with pytest.raises(ValueError, match="Received: image_size=8 for inputs"):
        load_keras_backbone(model, image_size=8)


def test_a_keras_file_is_loaded_and_saved_again(images, tmp_path):
    model = classifier()
    model.save(tmp_path / "model.keras")
    backbone = load_keras_backbone(tmp_path / "model.keras", cut_top=True)
    wanted = output_of(model, "pool", images)
    np.testing.assert_allclose(backbone(images), wanted, rtol=1e-5)
    backbone.save(tmp_path / "backbone.keras")
    again = keras.models.load_model(tmp_path / "backbone.keras")
    np.testing.assert_allclose(again(images), wanted, rtol=1e-5)


def test_code_in_a_keras_file_is_refused(tmp_path):
    path = tmp_path / "code.keras"
    keras.Sequential([keras.Input((4, 4, 3)), layers.Lambda(lambda x: x + 1)]).save(
        path
    )
    with pytest.raises(ValueError, match="safe mode. Received: model='.*code.keras'"):
        load_keras_backbone(path)


def test_files_and_objects_that_are_no_model_are_refused(tmp_path):
    (tmp_path / "empty.keras").touch()
    for path in (tmp_path / "missing.keras", tmp_path):
        with pytest.raises(ValueError, match="existing file ending in .keras. Receive"):
            load_keras_backbone(path)
    with pytest.raises(ValueError, match="Received: model='.*empty.keras'"):
        load_keras_backbone(tmp_path / "empty.keras")
    with pytest.raises(TypeError, match="Received: model=3 of type int"):
        load_keras_backbone(3)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def test_models_without_a_visible_graph_are_refused_with_the_way_out(rng):
    with pytest.raises(
        ValueError, match="Received: model='subclassed.*Wrap it: inputs"
    ):
        load_keras_backbone(Subclassed())
    with pytest.raises(ValueError, match="of class Sequential"):
        load_keras_backbone(keras.Sequential([layers.Dense(2)]))
    inputs = keras.Input((3,))
    wrapped = keras.Model(inputs, Subclassed()(inputs))
    vectors = rng.normal(size=(2, 3))
    found = load_keras_backbone(wrapped)(vectors)
    np.testing.assert_allclose(found, wrapped(vectors), rtol=1e-5)


def test_wrong_cuts_and_shapes_are_refused():
    model = classifier()
    with pytest.raises(ValueError, match="Received: layer='pol'. Did you mean 'pool'"):
        load_keras_backbone(model, layer="pol")
    with pytest.raises(ValueError, match="Received: cut_top=True, layer='pool'"):
        load_keras_backbone(model, layer="pool", cut_top=True)
    vectors = keras.Sequential([keras.Input((5,)), layers.Dense(3, name="only")])
    with pytest.raises(ValueError, match=r"Received: .* last layers are \['only'\]"):
        load_keras_backbone(vectors, cut_top=True)
    inputs = [keras.Input((4,)), keras.Input((4,))]
    two = keras.Model(inputs, layers.Add()(inputs))
    with pytest.raises(ValueError, match="with 2 inputs"):
        load_keras_backbone(two)
    inputs = keras.Input((4,))
    forked = keras.Model(inputs, [layers.Dense(2)(inputs), layers.Dense(3)(inputs)])
    with pytest.raises(ValueError, match="must give one tensor.*Received: output"):
        load_keras_backbone(forked)
    sequence = keras.Sequential([keras.Input((4, 3)), layers.Dense(2)])
    with pytest.raises(ValueError, match="must give one tensor.*Received: output"):
        load_keras_backbone(sequence)


def test_an_image_size_the_model_does_not_take_is_refused():
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(4)]
    )
    with pytest.raises(ValueError, match="Received: image_size=24: .*incompatible"):
        load_keras_backbone(model, image_size=24)


def test_nested_models_with_layers_of_the_same_name_stay_nested(rng):
    parts = [
        keras.Sequential([keras.Input((4,)), layers.Dense(4, name="same")], name=name)
        for name in ("one", "two")
    ]
    inputs = keras.Input((4,))
    model = keras.Model(inputs, parts[1](parts[0](inputs)))
    backbone = load_keras_backbone(model)
    vectors = rng.normal(size=(2, 4))
    np.testing.assert_allclose(backbone(vectors), model(vectors), rtol=1e-5)
    assert [part.name for part in backbone.layers][1:3] == ["same", "two"]


def test_a_nested_model_used_twice_is_laid_flat_twice(rng):
    part = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="same")])
    inputs = keras.Input((4,))
    model = keras.Model(inputs, part(part(inputs)))
    backbone = load_keras_backbone(model)
    vectors = rng.normal(size=(2, 4))
    np.testing.assert_allclose(backbone(vectors), model(vectors), rtol=1e-5)
    assert [part.name for part in backbone.layers][1:] == ["same", "features"]
