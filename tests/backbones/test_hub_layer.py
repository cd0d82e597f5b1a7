"""HubLayer: SavedModels that learn like any Keras layer."""

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.hub_layer import HubLayer

STATISTICS = ("moving_mean", "moving_variance")


def compile_with(model, optimizer):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    return model


def values_of(layer):
    return {weight.name: weight.numpy() for weight in layer.weights}


def changed_names(before, layer):
    after = values_of(layer)
    return {name for name in after if not np.array_equal(before[name], after[name])}


def without_counter(name):
    """Leave out the number that Keras gives each seed generator of a process."""
    return re.sub(r"seed_generator_\d+", "seed_generator", name)


def train_side_by_side(network, layer, build_hub_classifier, batch, steps=12):
    """Train the Keras network and the layer; return the largest difference of all."""
    head = keras.layers.Dense(3, kernel_initializer=keras.initializers.Zeros())
    original = keras.Model(network.input, head(network.output))
    tuned = build_hub_classifier(layer)
    original.layers[-1].set_weights(tuned.layers[-1].get_weights())
    for model in (original, tuned):
        compile_with(model, keras.optimizers.SGD(0.1, momentum=0.9))
    twins = {without_counter(weight.name): weight for weight in layer.weights}
    pairs = [
        (w, twins[without_counter(w.path.replace("/", "_"))]) for w in network.variables
    ]
    pairs += zip(original.weights[-2:], tuned.weights[-2:], strict=True)
    images, labels = batch
    worst = 0.0
    for step in range(steps):
        rows = np.arange(8) + 8 * (step % 2)
        losses = [
            m.train_on_batch(images[rows], labels[rows]) for m in (original, tuned)
        ]
        differences = [np.max(np.abs(a.numpy() - b.numpy())) for a, b in pairs]
        worst = max(worst, abs(losses[0] - losses[1]), *differences)
    ends = [model.evaluate(images, labels, verbose=0) for model in (original, tuned)]
    return max(worst, abs(ends[0] - ends[1]))


@pytest.mark.slow
def test_fine_tuning_equals_the_original_keras_model_step_by_step(
    small_module, small_network, build_hub_classifier, image_batch
):
    """Same batches, same SGD: every variable is the same after every step.

    Dropout works in both (rate 0.5). Its random state is a variable that is saved
    with the module, so that both draw the same masks.
    """
    layer = HubLayer(small_module, trainable=True, batch_norm="train")
    before = values_of(layer)
    worst = train_side_by_side(small_network, layer, build_hub_classifier, image_batch)
    print("largest difference", worst)
    assert worst <= 1e-5
    assert changed_names(before, layer) == set(before)  # random state included


@pytest.mark.slow
def test_the_comparison_notices_a_missing_training_flag(
    small_module, small_network, build_hub_classifier, image_batch
):
    layer = HubLayer(small_module, trainable=True)
    worst = train_side_by_side(small_network, layer, build_hub_classifier, image_batch)
    assert worst > 1e-2


def test_inference_mode_equals_keras_batch_normalization_in_inference_mode(
    small_module, small_network, build_hub_classifier, image_batch
):
    layer = HubLayer(small_module, trainable=True)
    for name in ("bn1", "bn2"):  # statistics fixed, scale and offset learn
        normalization = small_network.get_layer(name)
        normalization.trainable = False
        normalization.gamma.trainable = normalization.beta.trainable = True
    small_network.get_layer("dropout").rate = 0.0  # the flag is one for both
    worst = train_side_by_side(small_network, layer, build_hub_classifier, image_batch)
    assert worst <= 1e-5


def test_weights_are_the_variables_of_the_module(small_module, small_network):
    layer = HubLayer(small_module, trainable=True)
    loaded = {v.name.split(":")[0]: v for v in layer._module.all_variables}
    for weight, (name, *_) in zip(
        layer._module_weights, layer.record.variables, strict=True
    ):
        assert weight.value is loaded[name]
    assert len(layer.weights) == len(small_network.variables) == 13
    assert len(layer.trainable_weights) == 8
    images = np.ones((1, 8, 8, 3), "float32")
    layer.trainable_weights[-1].assign_add(np.ones(6))
    np.testing.assert_array_equal(layer(images), layer._module(images))


@pytest.mark.parametrize("batch_norm", ["inference", "train"])
def test_nothing_moves_when_frozen(
    small_module, build_hub_classifier, image_batch, batch_norm
):
    layer = HubLayer(small_module, batch_norm=batch_norm)
    model = compile_with(build_hub_classifier(layer), "sgd")
    before, head = values_of(layer), model.layers[-1].get_weights()[0]
    model.fit(*image_batch, verbose=0)
    assert layer.trainable_weights == []
    assert changed_names(before, layer) == set()
    assert not np.array_equal(head, model.layers[-1].get_weights()[0])


def test_statistics_stay_and_the_rest_learns_in_inference_mode(
    small_module, build_hub_classifier, image_batch
):
    layer = HubLayer(small_module, trainable=True)
    model = compile_with(build_hub_classifier(layer), keras.optimizers.SGD(0.1))
    before = values_of(layer)
    model.fit(*image_batch, verbose=0)
    assert changed_names(before, layer) == {w.name for w in layer.trainable_weights}
    assert not any(name.endswith(STATISTICS) for name in changed_names(before, layer))


def test_each_variable_can_be_frozen_alone(
    small_module, build_hub_classifier, image_batch
):
    layer = HubLayer(small_module, trainable=True)
    for weight in layer.weights:
        weight.trainable = weight.name == "conv2_kernel"
    model = compile_with(build_hub_classifier(layer), "adam")
    before = values_of(layer)
    model.fit(*image_batch, verbose=0)
    assert changed_names(before, layer) == {"conv2_kernel"}


def test_freezing_and_opening_again_follows_trainable(small_module):
    layer = HubLayer(small_module)
    assert len(layer.trainable_weights) == 0
    layer.trainable = True
    assert len(layer.trainable_weights) == 8
    layer.trainable = False
    assert len(layer.trainable_weights) == 0


def test_a_module_without_statistics_gets_the_training_flag(save_function):
    scale = tf.Variable(2.0, name="scale")
    folder = save_function(
        lambda x, training: tf.where(training, x * scale, x),
        tf.TensorSpec((None, 1)),
        tf.TensorSpec((), tf.bool),
        variables=[scale],
    )
    ones = np.ones((1, 1), "float32")
    layer = HubLayer(folder, trainable=True)
    assert float(layer(ones, training=True)[0, 0]) == 2.0
    assert float(layer(ones, training=False)[0, 0]) == 1.0
    layer.trainable = False
    assert float(layer(ones, training=True)[0, 0]) == 1.0


def test_regularization_losses_are_added_once_while_trainable(
    small_module, image_batch
):
    layer = HubLayer(small_module, trainable=True)
    kernels = [w.numpy() for w in layer.weights if w.name.endswith("kernel")]
    expected = 0.05 * sum(np.sum(kernel**2) for kernel in kernels)  # L2(0.05)
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    outputs = keras.layers.subtract([layer(first), layer(second)])
    siamese = keras.Model([first, second], outputs)
    images = image_batch[0]
    siamese([images, images], training=True)
    assert float(sum(siamese.losses)) == pytest.approx(expected, rel=1e-5)
    layer.trainable = False
    siamese([images, images], training=True)
    assert siamese.losses == []


def test_fit_evaluate_and_predict_agree(
    small_module, build_hub_classifier, image_batch
):
    layer = HubLayer(small_module, trainable=True)
    model = compile_with(build_hub_classifier(layer), keras.optimizers.SGD(0.05))
    images, labels = image_batch
    history = model.fit(images, labels, epochs=3, batch_size=8, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    logits = model.predict(images, batch_size=5, verbose=0)
    np.testing.assert_allclose(logits, model(images), atol=1e-5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(loss(labels, logits)) + float(sum(model.losses))
    assert model.evaluate(images, labels, verbose=0) == pytest.approx(
        expected, rel=1e-4
    )


def test_mixed_precision_keeps_the_module_in_its_own_dtype(
    small_module, build_hub_classifier, image_batch
):
    folder = small_module
    layer = HubLayer(folder, trainable=True, dtype="mixed_float16")
    outputs = layer(image_batch[0])
    assert outputs.dtype == "float16"
    assert {w.dtype for w in layer.trainable_weights} == {"float32"}
    np.testing.assert_allclose(outputs, HubLayer(folder)(image_batch[0]), atol=2e-3)
    model = compile_with(build_hub_classifier(layer), "sgd")
    before = values_of(layer)
    model.fit(*image_batch, verbose=0)
    assert "conv1_kernel" in changed_names(before, layer)


def test_numeric_inputs_are_cast_to_what_the_module_wants(save_function):
    folder = save_function(lambda x: x + 1, tf.TensorSpec((None, 2), tf.uint8))
    layer = HubLayer(folder)
    np.testing.assert_array_equal(layer(np.array([[0.6, 254.4]])), [[2, 255]])
    assert layer(keras.Input((2,))).dtype == "uint8"


def test_get_config_rebuilds_the_layer(small_module):
    layer = HubLayer(small_module, trainable=True, batch_norm="train", name="module")
    layer.weights[0].trainable = False
    config = json.loads(json.dumps(layer.get_config()))
    twin = HubLayer.from_config(config)
    assert twin.get_config() == layer.get_config()
    assert [w.trainable for w in twin.weights] == [w.trainable for w in layer.weights]
    assert [w.path for w in twin.weights] == [w.path for w in layer.weights]
    assert not twin.weights[0].trainable


def test_cloning_a_model_gives_weights_of_its_own(
    small_module, build_hub_classifier, image_batch
):
    model = build_hub_classifier(HubLayer(small_module, trainable=True))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    before = model.predict(image_batch[0], verbose=0)
    np.testing.assert_array_equal(clone.predict(image_batch[0], verbose=0), before)
    compile_with(clone, "sgd").fit(*image_batch, verbose=0)
    np.testing.assert_array_equal(model.predict(image_batch[0], verbose=0), before)


def test_two_layers_on_one_module_learn_apart(small_module, image_batch):
    folder = small_module
    left, right = HubLayer(folder, trainable=True), HubLayer(folder)
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.concatenate([left(inputs), right(inputs)])
    model = keras.Model(inputs, keras.layers.Dense(3)(features))
    paths = [weight.path for weight in model.weights]
    assert len(set(paths)) == len(paths) == 2 * 13 + 2
    before = values_of(left)
    compile_with(model, "sgd").fit(*image_batch, verbose=0)
    assert len(changed_names(before, left)) == 8
    assert changed_names(before, right) == set()


def test_blocks_are_prefixes_of_trainable_variables(small_module):
    layer = HubLayer(small_module)
    blocks = layer.variable_blocks
    assert [name for name, _ in blocks] == ["conv1", "bn1", "conv2", "bn2"]
    names = [[weight.name for weight in weights] for _, weights in blocks]
    assert names[:2] == [["conv1_kernel", "conv1_bias"], ["bn1_gamma", "bn1_beta"]]


def test_unnamed_blocks_are_refused(save_function):
    scale = tf.Variable(2.0, name="scale")
    folder = save_function(
        lambda x: x * scale, tf.TensorSpec((None, 1)), variables=[scale]
    )
    message = r"must be 0 or 'all'.*Received: variable names \['scale'\]"
    with pytest.raises(ValueError, match=message):
        _ = HubLayer(folder).variable_blocks


def test_a_module_without_custom_gradients_is_refused_for_training(save_function):
    @tf.custom_gradient
    def clipped(x):
        return tf.identity(x), lambda upstream: tf.clip_by_value(upstream, -1, 1)

    scale = tf.Variable([1.0], name="scale")
    folder = save_function(
        lambda x: clipped(x * scale), tf.TensorSpec((None, 1)), variables=[scale]
    )
    # Another process would not know the gradient's name; neither does this one now.
    program = Path(folder, "saved_model.pb")
    program.write_bytes(
        program.read_bytes().replace(b"CustomGradient-", b"UnsavedGradnt--")
    )
    layer = HubLayer(folder)
    assert float(layer(np.ones((1, 1)))[0, 0]) == 1.0  # frozen it works
    message = r"saved without custom gradients \(No gradient.*Received: trainable=True"
    with pytest.raises(ValueError, match=message):
        HubLayer(folder, trainable=True)
    with pytest.raises(ValueError, match=message):
        layer.trainable = True


def test_a_module_without_variables_is_refused_for_training(save_function):
    folder = save_function(lambda x: x, tf.TensorSpec((None, 1)))
    message = "does not depend on its variables. Received: trainable=True"
    with pytest.raises(ValueError, match=message):
        HubLayer(folder, trainable=True)
    model = keras.Sequential([keras.Input((1,)), HubLayer(folder)])
    model.trainable = True  # nothing to learn, nothing to refuse
    assert model.trainable_weights == []


def test_train_mode_needs_a_training_flag(save_function):
    folder = save_function(lambda x: x, tf.TensorSpec((None, 1)))
    message = "takes no training=True. Received: batch_norm='train'"
    with pytest.raises(ValueError, match=message):
        HubLayer(folder, batch_norm="train")


def test_an_unknown_batch_norm_mode_is_refused_before_the_module_is_loaded():
    with pytest.raises(ValueError, match="Received: batch_norm='frozen'"):
        HubLayer("nowhere", batch_norm="frozen")


@pytest.mark.parametrize(
    ("inputs", "received"),
    [
        (np.ones((2, 3), "float32"), r"inputs.shape=\(2, 3\), inputs.dtype=float32"),
        (np.array([["a", "b"]]), r"inputs.shape=\(1, 2\), inputs.dtype=string"),
    ],
)
def test_unfit_inputs_are_refused(save_function, inputs, received):
    layer = HubLayer(save_function(lambda x: x, tf.TensorSpec((None, 2))))
    with pytest.raises(ValueError, match=rf"shape \(None, 2\).*Received: {received}"):
        layer(tf.constant(inputs))


def test_other_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(NotImplementedError, match="Received: the backend 'jax'"):
        HubLayer("nowhere")


@pytest.mark.slow
def test_training_runs_under_a_distribution_strategy(
    small_module, build_hub_classifier, image_batch
):
    folder = small_module
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        layer = HubLayer(folder, trainable=True)
        model = compile_with(build_hub_classifier(layer), "sgd")
    before = values_of(layer)
    model.fit(*image_batch, verbose=0)
    assert changed_names(before, layer) == {w.name for w in layer.trainable_weights}
