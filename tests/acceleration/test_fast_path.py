"""When features are stored, when not, and what is told."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tftransfer.store.listing import list_entries

slow = functools.partial(pytest.param, marks=pytest.mark.slow)


def train_quietly(model, data, **settings):
    settings = {"epochs": 1, "frozen_epochs": 0, "engine": "tensorflow"} | settings
    return tft.fine_tune(model, data, verbose=2, **settings)


@pytest.fixture
def told(capsys):
    """Train and return the lines of the fast path."""

    def run(model, data, **settings):
        capsys.readouterr()
        train_quietly(model, data, **settings)
        lines = capsys.readouterr().out.splitlines()
        return [x for x in lines if "ast path" in x or "rows of features at" in x]

    return run


def test_the_estimate_comes_before_the_work(told, build, train):
    estimate, done = told(build.model(), train)
    # At most 4 batches of 8 rows of 8 float32 numbers: 1,024 bytes.
    assert estimate == "Fast path: 32 rows of features at 'features' take 1.0 kB."
    assert done.startswith("26 rows of features at 'features' in ")


def test_a_second_run_finds_what_the_first_has_stored(told, build, train):
    assert len(told(build.model(), train)) == 2
    assert len(told(build.model(), train)) == 1
    (entry,) = list_entries().entries
    assert entry.num_rows == 26


def _other_pixel(images):
    pixels = images[0].copy()
    pixels[3, 2, 1, 0] ^= 1
    return pixels, images[1]


def _other_label(images):
    labels = images[1].copy()
    labels[7] = (labels[7] + 1) % 3
    return images[0], labels


@pytest.mark.parametrize(
    "change", [_other_pixel, _other_label, lambda x: (x[0][:25], x[1][:25])]
)
@pytest.mark.parametrize("as_dataset", [slow(False), True])
def test_other_data_are_never_taken_for_these(told, build, images, change, as_dataset):
    def given(data):
        dataset = tf.data.Dataset.from_tensor_slices(data).batch(8)
        return dataset if as_dataset else data

    told(build.model(), given(images))
    assert len(told(build.model(), given(change(images)))) == 2
    assert len(told(build.model(), given(images))) == 1


@pytest.mark.slow
def test_another_weight_image_size_or_dtype_is_computed_anew(told, build, train):
    told(build.model(), train)
    model = build.model()
    kernel = model.get_layer("stem_conv").kernel
    kernel.assign(np.where(np.arange(4) == 1, kernel * 1.001, kernel))
    assert len(told(model, train)) == 2

    base = build.base()
    other = keras.models.clone_model(
        base,
        clone_function=lambda layer: (
            layers.Resizing(9, 9, antialias=True)
            if isinstance(layer, layers.Resizing)
            else layer.__class__.from_config(layer.get_config())
        ),
    )
    other.set_weights(base.get_weights())
    assert len(told(build.model(base=other), train)) == 2
    images = next(iter(train))[0]
    single = tft.extract_features(build.model(), images, verbose=0)
    half = tft.extract_features(build.model(), images, dtype="float16", verbose=0)
    assert (single.features.dtype, half.features.dtype) == ("float32", "float16")


def test_augmentation_in_the_pipeline_is_not_frozen(told, build, train):
    noisy = train.map(lambda x, y: (tf.image.random_flip_left_right(x), y))
    (line,) = told(build.model(), noisy)
    assert line == (
        "Fast path not taken: it draws random numbers; augmented_views=k would store "
        "k passes."
    )


def test_a_random_layer_below_is_named(told, build, train):
    base = build.base()
    inputs = keras.Input((8, 8, 3))
    flipped = layers.RandomFlip(name="flip")(inputs)
    base.trainable = False
    outer = keras.Model(inputs, layers.Dense(3)(base(flipped)))
    (line,) = told(build.compiled(outer), train)
    assert line == (
        "Fast path not taken: layer 'flip' draws at random in training; "
        "augmented_views=k would store k draws."
    )


def test_dropout_in_the_frozen_part_keeps_the_cut_below_it(told, build, train):
    base = build.base()
    x = layers.Dropout(0.3, name="late")(base.get_layer("block1_relu").output)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, name="top")(x))
    model = keras.Model(base.input, layers.Dense(3, name="logits")(x))
    for layer in model.layers[:-1]:
        layer.trainable = False
    lines = told(build.compiled(model), train)
    assert "at 'block1_relu'" in lines[0]


@pytest.mark.slow
def test_a_training_batch_normalization_is_not_frozen(told, build, train):
    base = build.base()
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(center=False, scale=False, name="first")(inputs)
    base.trainable = False
    model = keras.Model(inputs, layers.Dense(3)(base(x)))
    (line,) = told(build.compiled(model), train)
    assert line == (
        "Fast path not taken: nothing with weights is frozen below the first layer "
        "that learns."
    )


@pytest.mark.slow
def test_a_layer_that_only_looks_frozen_is_found_out(told, build, train):
    class Sly(layers.Layer):
        """Draws no numbers and has no weights, yet differs in training."""

        def call(self, inputs, training=None):
            return 2.0 * inputs if training else inputs

    class Adding(layers.Layer):
        def call(self, inputs):
            self.add_loss(keras.ops.mean(inputs))
            return inputs

    class Counting(layers.Layer):
        def build(self, shape):
            self.calls = self.add_weight(shape=(), trainable=False, name="calls")

        def call(self, inputs, training=None):
            if training:
                self.calls.assign_add(1.0)
            return inputs

    endings = {
        Sly: "gives other values in training.",
        Adding: "adds to the loss.",
        Counting: "calls' below 'features'.",
    }
    for kind, ending in endings.items():
        base = build.base()
        inputs = keras.Input((8, 8, 3))
        x = base(kind(trainable=False)(inputs))
        base.trainable = False
        model = build.compiled(keras.Model(inputs, layers.Dense(3)(x)))
        (_, line) = told(model, train)
        assert line.startswith("Fast path not taken: ") and line.endswith(ending)


@pytest.mark.slow
def test_cache_true_insists(told, build, train, images):
    def generate():
        yield from (tuple(map(np.array, batch)) for batch in train)

    spec = train.element_spec
    generated = tf.data.Dataset.from_generator(generate, output_signature=spec)
    (line,) = told(build.model(), generated)
    assert line.startswith("Fast path not taken: ")
    assert "26 rows" in told(build.model(), generated, cache=True)[-1]
    assert list_entries().entries == ()  # nobody may be served what is not identified

    model = build.model()
    for layer in model.layers:
        layer.trainable = True
    with pytest.raises(ValueError, match="nothing with weights is frozen.*cache=True"):
        train_quietly(build.compiled(model), train, cache=True)


def test_cache_false_stores_nothing(told, build, train):
    assert told(build.model(), train, cache=False) == []
    assert list_entries().entries == ()


def test_a_folder_of_ones_own(told, build, train, tmp_path):
    told(build.model(), train, cache=str(tmp_path / "mine"))
    assert len(list_entries(tmp_path / "mine").entries) == 1
    assert list_entries().entries == ()


def test_the_cut_moves_to_where_features_fit(told, build, train):
    """Below block1 are 6 x 6 x 4 numbers, above block2 eight times two."""
    stages = [tft.Stage(1, 0.01, trainable_depth=1)]
    settings = {"epochs": 5, "frozen_epochs": 1, "stages": stages}
    whole = told(build.model(), train, **settings)
    assert "'block1_relu' take 18 kB." in whole[0]  # 32 x 144 x 4 bytes
    (line,) = told(build.model(), train, cache_bytes=10_000, **settings)
    assert line == (
        "Fast path not taken: features at 'block1_relu' would take 18 kB, more "
        "than the 10 kB allowed; cache_bytes sets the limit."
    )


def test_views_take_turns(build, images):
    """Two stored passes over flipped images: epochs 1 and 3 see the same."""
    seeds = tf.data.Dataset.random(seed=1, rerandomize_each_iteration=True).batch(2)
    pairs = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(images), seeds)
    flip = tf.image.stateless_random_flip_left_right
    train = pairs.map(lambda xy, seed: (flip(xy[0], seed), xy[1])).batch(26)
    model = build.model()
    model.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    keras.utils.set_random_seed(1)
    history = tft.fine_tune(
        model, train, epochs=4, frozen_epochs=0, augmented_views=2, verbose=0
    )
    loss = history.history["loss"]
    np.testing.assert_allclose(loss[0], loss[2], rtol=1e-6)
    np.testing.assert_allclose(loss[1], loss[3], rtol=1e-6)
    assert abs(loss[0] - loss[1]) > 1e-6


@pytest.mark.slow
def test_views_of_a_random_layer(build, images):
    base = build.base()
    base.trainable = False
    inputs = keras.Input((8, 8, 3))
    x = base(layers.RandomBrightness(0.8, seed=1)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(x))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    labels = np.zeros((26, 3), "float32")
    history = tft.fine_tune(
        model, (images[0], labels), epochs=4, frozen_epochs=0, augmented_views=2,
        verbose=0,
    )  # fmt: skip
    loss = history.history["loss"]
    np.testing.assert_allclose(loss[:2], loss[2:], rtol=1e-5)
    assert abs(loss[0] - loss[1]) > 1e-6


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"cache": 3}, TypeError, "`cache` must be.*Received: cache=3"),
        ({"cache_bytes": -1}, ValueError, "Received: cache_bytes=-1"),
        ({"augmented_views": 0}, ValueError, "Received: augmented_views=0"),
        ({"engine": "fast"}, ValueError, "Received: engine='fast'"),
    ],
)
def test_settings_are_checked_first(build, settings, error, message):
    with pytest.raises(error, match=message):
        tft.fine_tune(build.model(), None, **settings)


def test_a_store_that_is_full_lets_training_go_on(told, build, train, monkeypatch):
    monkeypatch.setenv("TFTRANSFER_CACHE_BYTES", "100")
    (line,) = told(build.model(), train)
    assert line.endswith("more than the 50 bytes allowed; cache_bytes sets the limit.")
    with pytest.raises(ValueError, match="50 bytes allowed.*Received: cache=True"):
        train_quietly(build.model(), train, cache=True)
