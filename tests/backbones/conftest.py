"""SavedModels that the tests of the hub files export for themselves."""

import shutil

import keras
import pytest
import tensorflow as tf


class _Reusable(tf.Module):
    """A Keras model as TensorFlow Hub publishes them: flag, variables and losses."""

    def __init__(self, model, losses):
        super().__init__()
        self.model = model
        self.regularization_losses = losses

    @tf.function(autograph=False)
    def __call__(self, inputs, training=False):
        return self.model(inputs, training=training)


def _make_loss(weight):
    return tf.function(
        lambda: weight.regularizer(weight), input_signature=[], autograph=False
    )


def _export(model, directory, flags=(True, False)):
    regularized = [w for w in model.trainable_weights if w.regularizer]
    module = _Reusable(model, [_make_loss(w) for w in regularized])
    module.all_variables = [weight.value for weight in model.variables]
    spec = tf.TensorSpec((None, *model.input_shape[1:]), model.input.dtype)
    for flag in flags:
        module.__call__.get_concrete_function(spec, training=flag)
    tf.saved_model.save(module, str(directory))
    return str(directory)


@pytest.fixture
def export_module(tmp_path):
    """Function `(keras_model, name="module", flags=(True, False)) -> directory`."""

    def export(model, name="module", flags=(True, False)):
        return _export(model, tmp_path / name, flags)

    return export


def _build_small_network():
    layers, l2 = keras.layers, keras.regularizers.L2(0.05)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, kernel_regularizer=l2, name="conv1")(inputs)
    x = layers.BatchNormalization(momentum=0.8, name="bn1")(x)
    x = layers.ReLU(name="relu1")(x)
    x = layers.Dropout(0.5, seed=3, name="dropout")(x)
    x = layers.Conv2D(6, 3, kernel_regularizer=l2, name="conv2")(x)
    x = layers.BatchNormalization(momentum=0.8, name="bn2")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, x)


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory):
    """The small network exported once, and the values of its variables."""
    network = _build_small_network()
    values = [variable.numpy() for variable in network.variables]
    return _export(network, tmp_path_factory.mktemp("small") / "module"), values


@pytest.fixture
def small_network(small_archive):
    """A backbone with all that makes fine-tuning a SavedModel hard."""
    network = _build_small_network()
    for variable, value in zip(network.variables, small_archive[1], strict=True):
        variable.assign(value)
    return network


@pytest.fixture
def small_module(small_archive, tmp_path):
    """Directory of `small_network` as a module; the test's own copy."""
    return str(shutil.copytree(small_archive[0], tmp_path / "module"))


@pytest.fixture
def image_batch(rng):
    """16 images of 8 x 8 pixels and their 3 classes."""
    images = rng.normal(size=(16, 8, 8, 3)).astype("float32")
    return images, rng.integers(0, 3, 16)


@pytest.fixture
def save_function(tmp_path):
    """Function `(function, *specs, variables=(), **attributes) -> directory`."""

    def save(function, *specs, variables=(), name="function", **attributes):
        module = tf.__internal__.tracking.AutoTrackable()
        module.variables = list(variables)
        for key, value in attributes.items():
            setattr(module, key, value)
        module.__call__ = tf.function(function, input_signature=specs, autograph=False)
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(tmp_path / name), options=options)
        return str(tmp_path / name)

    return save


@pytest.fixture
def build_hub_classifier():
    """Function `(hub_layer, inputs=None) -> model` with a linear head of 3 classes."""

    def build(layer, inputs=None):
        inputs = keras.Input((8, 8, 3)) if inputs is None else inputs
        start = keras.initializers.GlorotUniform(seed=1)
        outputs = keras.layers.Dense(3, kernel_initializer=start)(layer(inputs))
        return keras.Model(inputs, outputs)

    return build


@pytest.fixture
def text_module(tmp_path):
    """Directory of an embedding of words; its vocabulary is a file, as usual."""
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("good\nbad\n")
    module = tf.Module()
    module.table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(vocabulary),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        num_oov_buckets=1,
    )
    start = tf.reshape(tf.range(6.0), (3, 2))
    module.embeddings = tf.Variable(start, name="words/embeddings")
    module.variables_and_tables = [module.embeddings, None]
    module.call = tf.function(
        lambda words: tf.gather(module.embeddings, module.table.lookup(words)),
        [tf.TensorSpec((None,), tf.string)],
        autograph=False,
    )
    tf.saved_model.save(module, str(tmp_path / "text"), module.call)
    vocabulary.unlink()
    return str(tmp_path / "text")
