"""Training on stored features must give what training on images gives."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft

slow = functools.partial(pytest.param, marks=pytest.mark.slow)


def test_a_linear_head(both, build, train, images):
    both(build.model, train, validation_data=images)


def test_a_head_with_dropout_draws_the_same_numbers(both, build, train):
    both(lambda: build.model(hidden=6, dropout=0.5), train)


@pytest.mark.slow
def test_open_last_blocks(both, build, train):
    def make():
        model = build.model()
        tft.set_trainable_depth(model, 1)
        return build.compiled(model)

    model = both(make, train)
    assert [block.name for block in tft.describe_trainable(model).blocks][-1:]


@pytest.mark.parametrize(
    "policy",
    [slow("inference"), slow("frozen"), "train"],
)
def test_batch_normalization_above_the_cut(both, build, train, policy):
    stages = [tft.Stage(2, 0.02, trainable_depth=1, batch_norm=policy)]
    settings = {"epochs": 5, "frozen_epochs": 1, "stages": stages}
    model = both(build.model, train, **settings)
    statistics = model.get_layer("block2_bn").moving_mean.numpy()
    before = build.model().get_layer("block2_bn").moving_mean.numpy()
    assert (np.abs(statistics - before).max() > 1e-4) == (policy == "train")


@pytest.mark.slow
def test_stages_that_open_more_and_more(both, build, train):
    stages = [tft.Stage(2, 0.05, 0), tft.Stage(1, 0.02, 1), tft.Stage(1, 0.01, 2)]
    both(build.model, train, epochs=5, frozen_epochs=1, stages=stages)


@pytest.mark.slow
def test_class_weights_and_sample_weights(both, build, train, images):
    both(build.model, train, class_weight={0: 5.0, 1: 0.5})
    weights = np.linspace(0.1, 3.0, 26).astype("float32")
    weighted = tf.data.Dataset.from_tensor_slices((*images, weights)).batch(8)
    both(build.model, weighted)


@pytest.mark.slow
def test_a_nested_model(both, build, train):
    """As the Keras guide builds it."""

    def make():
        base = build.base()
        base.trainable = False
        inputs = keras.Input((8, 8, 3))
        x = base(inputs, training=False)
        keras.utils.set_random_seed(2)
        return build.compiled(keras.Model(inputs, layers.Dense(3)(x)))

    both(make, train)


def test_a_cut_inside_a_nested_model(both, build, train):
    def make():
        base = build.base()
        for layer in base.layers:
            layer.trainable = layer.name.startswith("block2_conv")
        inputs = keras.Input((8, 8, 3))
        keras.utils.set_random_seed(2)
        outer = keras.Model(inputs, layers.Dense(3)(base(inputs)))
        return build.compiled(outer)

    both(make, train)


@pytest.mark.slow
def test_a_layer_shared_by_the_frozen_part_and_the_head(both, build, train):
    def make():
        base = build.base()
        keras.utils.set_random_seed(2)
        shared = layers.Dense(8, activation="relu", name="shared")
        x = shared(shared(base.output))
        model = keras.Model(base.input, layers.Dense(3)(layers.Add()([x, x])))
        for layer in (*base.layers, shared):
            layer.trainable = False
        return build.compiled(model)

    both(make, train)


def test_a_frozen_model_called_twice(both, build, images):
    """Two images of one example pass the same network: the cut is where they meet."""
    pairs = {"left": images[0], "right": images[0][::-1].copy()}

    def make():
        base = build.base()
        base.trainable = False
        inputs = {name: keras.Input((8, 8, 3), name=name) for name in pairs}
        x = layers.Concatenate(name="meet")([base(one) for one in inputs.values()])
        keras.utils.set_random_seed(2)
        return build.compiled(keras.Model(inputs, layers.Dense(3)(x)))

    both(make, tf.data.Dataset.from_tensor_slices((pairs, images[1])).batch(8))


@pytest.mark.parametrize("adam", [slow(False), True])
def test_arrays_in_their_own_order(build, images, capsys, adam):
    """`fit` of an accelerated model, not shuffled, batches of 5."""
    weights = []
    for accelerated in (False, True):
        model = build.model(hidden=4)
        build.compiled(model, keras.optimizers.Adam(0.01) if adam else None)
        tft.accelerate(model, accelerated, engine="tensorflow")
        model.fit(*images, batch_size=5, epochs=3, shuffle=False, verbose=2)
        weights.append(build.weights(model))
    assert "26 rows of features at 'features'" in capsys.readouterr().out
    np.testing.assert_allclose(*weights, rtol=0, atol=1e-5)


def aligned(alignment):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="block1")(inputs)
    x = layers.Conv2D(8, 3, activation="relu", name="block2")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    plain = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    return tft.AlignedModel(plain, alignment)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, slow(1)])
def test_paired_domains_are_both_stored(both, build, images, depth, capsys):
    pixels = (images[0] / 255.0).astype("float32")
    source = tf.data.Dataset.from_tensor_slices((pixels, images[1])).batch(8)
    target = tf.data.Dataset.from_tensor_slices(pixels[:20] * 0.5).batch(5)
    pairs = tft.pair_domains(source, target)

    def make():
        model = aligned(tft.CORAL(weight=2.0))
        tft.set_trainable_depth(model, depth)
        return build.compiled(model)

    model = both(make, pairs, validation_data=source)
    assert "alignment" in " ".join(model.history.history)


def without_dropout(layer):
    if isinstance(layer, layers.Dropout):
        return layers.Identity(name=layer.name)
    return layer.__class__.from_config(layer.get_config())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, size",
    [
        ("InceptionV3", 75),
        ("DenseNet121", 32),
        ("EfficientNetB0", 32),
        ("MobileNetV2", 32),
    ],
)
@pytest.mark.parametrize("depth", [0, 1])
def test_networks_with_many_branches(both, build, name, size, depth):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, size, size, 3)).astype("uint8")
    train = tf.data.Dataset.from_tensor_slices((images, rng.integers(0, 3, 12)))

    def make():
        keras.utils.set_random_seed(1)
        options = {"weights": None, "include_top": False, "pooling": "avg"}
        build_network = getattr(keras.applications, name)
        base = build_network(input_shape=(size, size, 3), **options)
        # Frozen blocks of EfficientNet would drop at random.
        base = keras.models.clone_model(base, clone_function=without_dropout)
        model = keras.Model(base.input, layers.Dense(3)(base.output))
        tft.set_trainable_depth(model, depth)
        return build.compiled(model, keras.optimizers.SGD(0.01, momentum=0.9))

    both(make, train.batch(6), epochs=2)


@pytest.mark.slow
def test_a_hub_module(both, build, tmp_path, images):
    module = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()]
    )
    module.export(tmp_path / "module", verbose=False)
    pixels = (images[0] / 255.0).astype("float32")
    train = tf.data.Dataset.from_tensor_slices((pixels, images[1])).batch(8)

    def make():
        inputs = keras.Input((8, 8, 3))
        x = tft.HubLayer(str(tmp_path / "module"), trainable=False)(inputs)
        keras.utils.set_random_seed(2)
        return build.compiled(keras.Model(inputs, layers.Dense(3)(x)))

    both(make, train)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_other_engines_reach_the_same_accuracy(build, images, engine):
    pytest.importorskip({"onnx": "onnxruntime"}.get(engine, engine))
    results = []
    for cache in (False, "auto"):
        model = build.model()
        tft.fine_tune(model, images, epochs=5, cache=cache, engine=engine, verbose=0)
        results.append(model.evaluate(*images, verbose=0)[1])
    assert abs(results[0] - results[1]) <= 1 / 26
