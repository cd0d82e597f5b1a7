"""What a SavedModel offers: functions, outputs, flags, and what is refused."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.backbones.hub_layer import HubLayer
from tftransfer.backbones.hub_module import Endpoint

VECTOR = tf.TensorSpec((None, 2))
ONES = np.ones((3, 2), "float32")


def save_signatures(folder, **signatures):
    module = tf.Module()
    module.scale = tf.Variable(2.0, name="scale")
    functions = {
        name: tf.function(function, [VECTOR], autograph=False)
        for name, function in signatures.items()
    }
    tf.saved_model.save(module, str(folder), functions)
    return str(folder)


def save_tf1_style(folder, name="serving_default"):
    """A SavedModel as TensorFlow 1 wrote them: a graph, a collection, a signature."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(tf.float32, (None, 2))
        start = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        kernel = v1.get_variable("block1/dense/kernel", initializer=start)
        outputs = tf.matmul(inputs, kernel)
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.signature_def_utils.predict_signature_def(
            {"images": inputs}, {"features": outputs}
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {name: signature})
        builder.save()
    return str(folder)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("signature", ["serving_default", "image_features"])
def test_tf1_style_saved_models_work_and_learn(tmp_path, signature):
    layer = HubLayer(save_tf1_style(tmp_path / "tf1", signature), trainable=True)
    np.testing.assert_allclose(layer(ONES), [[5.0, 7.0, 9.0]] * 3)
    (kernel,) = layer.trainable_weights
    assert [name for name, _ in layer.variable_blocks] == ["block1/dense"]
    before = kernel.numpy()
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(ONES, np.zeros((3, 3)), epochs=1, verbose=0)
    # d mean((x W)^2) / dW = 2 / 3 * (x W) for rows of ones
    expected = before - 0.1 * 2 / 3 * np.array([[5.0, 7.0, 9.0]] * 2)
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)


def test_a_keras_export_works_and_learns(tmp_path, small_network, image_batch):
    small_network.export(str(tmp_path / "keras"), verbose=False)
    layer = HubLayer(tmp_path / "keras", trainable=True)
    images = image_batch[0]
    np.testing.assert_allclose(
        layer(images), small_network.predict(images, verbose=0), atol=1e-5
    )
    assert len(layer.trainable_weights) == 8
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    model.compile("sgd", "mse")
    before = [w.numpy() for w in layer.weights]
    model.fit(images, np.zeros((16, 6)), verbose=0)
    moved = [
        not np.array_equal(*pair) for pair in zip(before, layer.weights, strict=True)
    ]
    # A bias under BatchNormalization in inference mode learns, too: 8 of 8.
    assert sum(moved) == 8


def test_signatures_are_chosen_by_name(tmp_path):
    folder = save_signatures(
        tmp_path / "m", serving_default=lambda x: x, double=lambda x: 2 * x
    )
    assert float(HubLayer(folder)(ONES)[0, 0]) == 1.0
    assert float(HubLayer(folder, signature="double")(ONES)[0, 0]) == 2.0
    message = r"\['double', 'serving_default'\]. Received: signature='triple'"
    with pytest.raises(ValueError, match=message):
        HubLayer(folder, signature="triple")


def test_a_choice_is_asked_for_where_none_is_usual(tmp_path):
    folder = save_signatures(tmp_path / "m", one=lambda x: x, two=lambda x: 2 * x)
    with pytest.raises(ValueError, match=r"\['one', 'two'\]. Received: signature=None"):
        HubLayer(folder)


def test_outputs_are_chosen_by_key(save_function):
    folder = save_function(
        lambda x: {"sum": x + x, "layers": [x, {"last": 3 * x}]}, VECTOR
    )
    layer = HubLayer(folder, output_key="layers/1/last")
    np.testing.assert_array_equal(layer(ONES), 3 * ONES)
    keys = r"\['layers/0', 'layers/1/last', 'sum'\]"
    for output_key in (None, "mean"):
        message = rf"one of {keys}. Received: output_key={output_key!r}"
        with pytest.raises(ValueError, match=message):
            HubLayer(folder, output_key=output_key)


def test_an_output_named_default_is_the_default(save_function):
    folder = save_function(lambda x: {"default": 2 * x, "other": x}, VECTOR)
    np.testing.assert_array_equal(HubLayer(folder)(ONES), 2 * ONES)


def test_the_more_general_of_two_inputs_is_taken(save_function, tmp_path):
    module = tf.Module()
    module.__class__ = type("Module", (tf.Module,), {})
    module.__call__ = tf.function(lambda x: 2 * x, autograph=False)
    for shape in [(1, 2), (None, 2)]:
        module.__call__.get_concrete_function(tf.TensorSpec(shape))
    tf.saved_model.save(module, str(tmp_path / "m"))
    endpoint = Endpoint(tf.saved_model.load(str(tmp_path / "m")))
    assert endpoint.input_spec.shape.as_list() == [None, 2]


def test_an_open_width_is_measured(save_function):
    folder = save_function(lambda x: tf.repeat(x, tf.constant([3, 2]), axis=1), VECTOR)
    layer = HubLayer(folder)
    assert layer(keras.Input((2,))).shape == (None, 5)


def test_an_open_rank_and_width_are_refused(save_function):
    folder = save_function(lambda x: 2 * x, tf.TensorSpec(None))
    message = "tells the rank of its input.*Received: input <unknown>"
    with pytest.raises(ValueError, match=message):
        HubLayer(folder)


def test_several_inputs_are_refused(save_function):
    folder = save_function(lambda x, y: x + y, VECTOR, VECTOR)
    message = "takes one tensor. Received: a function of .*TensorSpec"
    with pytest.raises(ValueError, match=message):
        HubLayer(folder)


def test_a_module_for_training_only_is_refused(export_module, small_network):
    folder = export_module(small_network, flags=(True,))
    message = "Received: a function saved for training=True only"
    with pytest.raises(ValueError, match=message):
        HubLayer(folder)


def test_a_module_for_inference_only_is_never_asked_to_train(
    export_module, small_network
):
    layer = HubLayer(export_module(small_network, flags=(False,)), trainable=True)
    assert not layer.record.takes_training
    assert layer(np.ones((1, 8, 8, 3), "float32"), training=True).shape == (1, 6)


def test_a_damaged_saved_model_is_refused(tmp_path):
    folder = save_signatures(tmp_path / "m", serving_default=lambda x: x)
    (tmp_path / "m" / "saved_model.pb").write_bytes(b"no program")
    with pytest.raises(ValueError, match=r"(?s)can load. Received: handle='.*m'"):
        HubLayer(folder)


def test_unknown_tags_are_refused(tmp_path):
    folder = save_signatures(tmp_path / "m", serving_default=lambda x: x)
    layer = HubLayer(folder, tags=["serve"])
    assert HubLayer.from_config(layer.get_config()).tags == ("serve",)
    with pytest.raises(ValueError, match=r"Received: .*tags=\('train',\)"):
        HubLayer(folder, tags=["train"])


def test_the_record_survives_json(small_module):
    record = HubLayer(small_module).record
    again = json.loads(json.dumps(record.__dict__))
    assert type(record).from_config(again) == record
    assert record.inputs == ((None, 8, 8, 3), "float32")
    assert record.outputs == ((None, 6), "float32")
    assert record.has_statistics and record.takes_training
