import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tftransfer import models
from tftransfer.alignment.aligned_model import AlignedModel
from tftransfer.alignment.coral import CORAL, coral_loss
from tftransfer.alignment.mmd import MMD
from tftransfer.backbones import catalog
from tftransfer.backbones.catalog import load_backbone
from tftransfer.freezing.depth import set_trainable_depth
from tftransfer.models import build_transfer_model, load_model

SMALL = {"num_classes": 3, "image_size": (32, 32)}


@pytest.fixture
def backbone():
    return load_backbone(build_network(), image_size=(32, 32))


def build_network(regularizer=None):
    """A small network with everything that matters: two blocks, BatchNormalization."""
    images = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(images)
    for number, width in enumerate((8, 16), 1):
        name = f"block{number}_conv"
        x = layers.Conv2D(
            width, 3, strides=2, kernel_regularizer=regularizer, name=name
        )(x)
        x = layers.BatchNormalization(name=f"block{number}_bn")(x)
        x = layers.ReLU(name=f"block{number}_relu")(x)
    features = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, features)


@pytest.fixture
def mobilenet():
    return load_backbone(
        "keras:MobileNetV2", alpha=0.35, weights=None, image_size=(32, 32)
    )


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, size=(8, 40, 48, 3)).astype("uint8")


@pytest.fixture
def labels():
    return np.arange(8) % 3


def test_raw_pixels_of_any_size_and_dtype_give_the_same_logits(backbone, images):
    model = build_transfer_model(backbone, **SMALL)
    from_integers = model.predict(images, verbose=0)
    from_floats = model.predict(images.astype("float32"), verbose=0)
    assert from_integers.shape == (8, 3)
    np.testing.assert_allclose(from_integers, from_floats, atol=1e-6)
    assert model.predict(images[:2, :17, :23], verbose=0).shape == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("handle", ["pip:efficientnet_lite0", "keras:MobileNetV2"])
def test_a_plain_call_is_inference(handle, images):
    model = build_transfer_model(
        load_backbone(handle, weights=None), **SMALL, trainable_depth="all",
        batch_norm="train",
    )  # fmt: skip
    before = model.get_weights()
    called = np.asarray(model(images))
    np.testing.assert_allclose(called, model.predict(images, verbose=0), atol=1e-5)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_model_is_the_backbone_and_a_dense_layer(backbone, images):
    model = build_transfer_model(backbone, **SMALL)
    features = backbone.model.predict(images, verbose=0)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(
        model.predict(images, verbose=0), features @ kernel + bias, atol=1e-4
    )


def test_a_frozen_backbone_stays_as_it_is_and_the_head_learns(backbone, images, labels):
    model = build_transfer_model(backbone, **SMALL)
    before = model.get_weights()
    model.fit(images, labels, verbose=0)
    moved = [
        not np.array_equal(old, new)
        for old, new in zip(before, model.get_weights(), strict=True)
    ]
    assert moved == [False] * (len(before) - 2) + [True, True]


@pytest.mark.parametrize(
    ("task", "num_classes", "labels", "loss", "metric"),
    [
        (
            "classification",
            3,
            [0, 1, 2, 0],
            "sparse_categorical_crossentropy",
            "accuracy",
        ),
        ("classification", 1, [0, 1, 1, 0], "binary_crossentropy", "accuracy"),
        (
            "multi_label",
            2,
            [[0, 1], [1, 1], [0, 0], [1, 0]],
            "binary_crossentropy",
            "binary_accuracy",
        ),
        (
            "regression",
            1,
            [0.5, 1.5, -2.0, 3.0],
            "mean_squared_error",
            "mean_absolute_error",
        ),
    ],
)
def test_every_task_comes_compiled(
    backbone, images, task, num_classes, labels, loss, metric
):
    model = build_transfer_model(
        backbone, num_classes=num_classes, task=task, image_size=(32, 32)
    )
    assert model.loss.name == loss
    history = model.fit(images[:4], np.array(labels), verbose=0)
    assert set(history.history) == {"loss", metric}


def test_the_binary_accuracy_counts_a_positive_logit_as_one(backbone, images):
    model = build_transfer_model(backbone, num_classes=1, image_size=(32, 32))
    logits = model.predict(images, verbose=0)[:, 0]
    result = model.evaluate(images, logits > 0, verbose=0, return_dict=True)
    assert result["accuracy"] == 1.0


def test_one_seed_gives_one_model_bit_for_bit(backbone, images, labels):
    start, weights = backbone.model.get_weights(), []
    for draws in (0, 3):
        np.random.random(draws)  # whatever was drawn before does not count
        backbone.model.set_weights(start)
        model = build_transfer_model(
            backbone, **SMALL, head=(7,), dropout=0.5, trainable_depth=1, seed=5
        )
        model.fit(images, labels, epochs=2, batch_size=4, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


TRAIN = """
import sys
import keras, numpy as np
import tftransfer as tft
backbone = tft.load_backbone("keras:MobileNetV2", alpha=0.35, weights=None)
keras.utils.set_random_seed(int(sys.argv[2]))  # whatever came before does not count
model = tft.build_transfer_model(
    sys.argv[1], num_classes=3, image_size=(32, 32), head=(7,), dropout=0.5,
    trainable_depth=2, seed=5,
)
rows = np.random.default_rng(0)
images, labels = rows.uniform(0, 255, (8, 40, 48, 3)), np.arange(8) % 3
tft.fine_tune(model, (images, labels), epochs=1, trainable_depth=2, seed=5, verbose=0)
np.savez(sys.argv[3], *model.get_weights())
"""


@pytest.mark.slow
@pytest.mark.parametrize("handle", ["pip:efficientnet_lite0", "network.keras"])
def test_one_seed_gives_one_model_bit_for_bit_in_two_processes(handle, tmp_path):
    build_network().save(tmp_path / "network.keras")
    for number in (1, 2):
        arguments = [handle, str(number), f"{number}.npz"]
        subprocess.run(
            [sys.executable, "-c", TRAIN, *arguments], cwd=tmp_path, check=True
        )
    one, two = (np.load(tmp_path / f"{number}.npz") for number in (1, 2))
    assert len(one.files) == len(two.files) > 2
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4, 12])
def test_other_channel_counts(channels, rng):
    model = build_transfer_model(
        load_backbone("keras:MobileNetV2", alpha=0.35, weights=None),
        **SMALL,
        in_channels=channels,
    )
    images = rng.integers(0, 256, size=(2, 20, 20, channels)).astype("uint8")
    assert model.predict(images, verbose=0).shape == (2, 3)


def test_a_backbone_is_reloaded_for_another_size_with_its_options(mobilenet):
    model = build_transfer_model(mobilenet, num_classes=2, image_size=(64, 48))
    assert model.get_layer("resizing").output.shape == (None, 64, 48, 3)
    assert model.count_params() - 2 * 1281 == mobilenet.model.count_params()


def test_conv_transpose_head_stands_on_the_feature_map(backbone, images):
    model = build_transfer_model(backbone, **SMALL, head="conv_transpose")
    assert model.get_layer("features").output.shape == (None, 7, 7, 16)
    assert model.get_layer("head_relu_2").output.shape == (None, 28, 28, 128)
    assert model.predict(images, verbose=0).shape == (8, 3)


@pytest.mark.slow
def test_mixed_precision_keeps_logits_and_preprocessing_in_float32(images):
    model = build_transfer_model(
        "pip:efficientnet_lite0", **SMALL, dtype="mixed_bfloat16"
    )
    assert model.get_layer("top_conv").compute_dtype == "bfloat16"
    assert model.get_layer("preprocessing").output.dtype == "float32"
    assert model.predict(images, verbose=0).dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_the_saved_model_loads_where_tftransfer_is_not(backbone, images, tmp_path):
    model = build_transfer_model(backbone, **SMALL, head="mlp", dropout=0.2)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    program = (
        "import sys; sys.modules['tftransfer'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.models.load_model('model.keras')\n"
        "np.save('logits.npy', model.predict(np.load('images.npy'), verbose=0))\n"
        "assert model.compiled\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "logits.npy"), model.predict(images, verbose=0), atol=1e-5
    )


# --- alignment


@pytest.fixture
def pairs(images, labels, rng):
    target = rng.integers(0, 128, size=(5, 40, 48, 3)).astype("uint8")
    return tf.data.Dataset.from_tensors(((images, target), labels)), target


def test_with_weight_zero_training_equals_plain_training(
    backbone, pairs, images, labels
):
    results = []
    options = {**SMALL, "head": (7,), "dropout": 0.5, "trainable_depth": 2, "seed": 3}
    start = backbone.model.get_weights()
    for alignment, data in (
        (None, tf.data.Dataset.from_tensors((images, labels))),
        (CORAL(weight=0.0), pairs[0]),
    ):
        backbone.model.set_weights(start)
        model = build_transfer_model(backbone, **options, alignment=alignment)
        model.fit(data, epochs=2, shuffle=False, verbose=0)
        plain = model if alignment is None else model.model
        results.append(plain.get_weights())
    backbone.model.set_weights(start)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("depth", "place"), [(0, "logits"), ("all", "features")])
def test_the_loss_is_the_task_loss_plus_the_weighted_distance(
    backbone, pairs, images, labels, depth, place
):
    model = build_transfer_model(
        backbone, **SMALL, trainable_depth=depth, alignment=CORAL(weight=0.5)
    )
    plain = model.model
    reader = keras.Model(
        plain.input, [plain.get_layer("features").output, plain.output]
    )
    source, target = (reader.predict(x, verbose=0) for x in (images, pairs[1]))
    index = ("features", "logits").index(place)
    distance = float(coral_loss(source[index], target[index]))
    task_loss = float(model.loss(labels, source[1]))
    start = plain.get_weights()
    history = model.fit(pairs[0], shuffle=False, verbose=0).history
    plain.set_weights(start)
    np.testing.assert_allclose(history["alignment_loss"][0], distance, rtol=1e-3)
    np.testing.assert_allclose(
        history["loss"][0], task_loss + 0.5 * distance, rtol=1e-3
    )


def test_alignment_reaches_the_backbone_and_draws_the_domains_together(backbone, pairs):
    model = build_transfer_model(
        backbone, **SMALL, trainable_depth="all", alignment=MMD(weight=1.0)
    )
    model.compile(keras.optimizers.Adam(1e-2), loss=lambda y, logits: 0.0 * logits)
    before = model.model.get_layer("block1_conv").get_weights()[0]
    history = model.fit(pairs[0], epochs=20, shuffle=False, verbose=0).history
    distances = history["alignment_loss"]
    assert distances[-1] < 0.3 * distances[0]
    after = model.model.get_layer("block1_conv").get_weights()[0]
    assert not np.array_equal(before, after)


def test_evaluation_and_prediction_take_one_input(backbone, pairs, images, labels):
    model = build_transfer_model(backbone, **SMALL, alignment=CORAL())
    history = model.fit(
        pairs[0], shuffle=False, validation_data=(images, labels), verbose=0
    ).history
    assert set(history) == {
        "loss", "accuracy", "alignment_loss", "val_loss", "val_accuracy"
    }  # fmt: skip
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), model.model.predict(images, verbose=0)
    )


def test_domains_with_images_of_different_sizes(backbone, pairs, images, labels, rng):
    target = rng.integers(0, 256, size=(4, 20, 24, 3)).astype("uint8")
    data = tf.data.Dataset.from_tensors(((images, target), labels))
    model = build_transfer_model(backbone, **SMALL, alignment=CORAL())
    assert np.isfinite(
        model.fit(data, shuffle=False, verbose=0).history["alignment_loss"]
    ).all()


def test_domains_whose_sizes_are_known_at_run_time_only(backbone, images, labels):
    source, target = (tf.TensorSpec((None, None, None, 3), tf.uint8) for _ in range(2))
    data = tf.data.Dataset.from_generator(
        lambda: iter([((images, images[:5, :20, :24]), labels)]),
        output_signature=((source, target), tf.TensorSpec((None,), tf.int64)),
    ).apply(tf.data.experimental.assert_cardinality(1))
    model = build_transfer_model(backbone, **SMALL, alignment=CORAL())
    history = model.fit(data, shuffle=False, verbose=0).history
    assert np.isfinite(history["alignment_loss"]).all()


@pytest.mark.parametrize("alignment", [CORAL(), MMD(), MMD(estimator="unbiased")])
def test_a_last_batch_of_one_source_image(alignment, backbone, images, labels):
    source = tf.data.Dataset.from_tensor_slices((images, labels)).batch(7)  # 7 and 1
    target = tf.data.Dataset.from_tensors(images[:5]).repeat(2)
    data = tf.data.Dataset.zip(source, target).map(lambda s, t: ((s[0], t), s[1]))
    model = build_transfer_model(
        backbone, **SMALL, trainable_depth=1, alignment=alignment
    )
    model.fit(data, shuffle=False, verbose=0)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_class_weights_and_regularizers_leave_the_distance_alone(pairs, images):
    model = build_transfer_model(
        build_network(keras.regularizers.L2(0.1)),
        **SMALL,
        trainable_depth="all",
        alignment=MMD(weight=2.0, on="features"),
    )
    convolutions = (model.model.get_layer(f"block{n}_conv") for n in (1, 2))
    penalty = sum(0.1 * (layer.kernel.numpy() ** 2).sum() for layer in convolutions)
    weightless = dict.fromkeys(range(3), 0.0)
    history = model.fit(
        pairs[0], class_weight=weightless, shuffle=False, verbose=0
    ).history
    expected = 2.0 * history["alignment_loss"][0] + penalty
    np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-5)


def test_another_depth_moves_the_place_of_the_alignment(backbone, pairs, images):
    model = build_transfer_model(backbone, **SMALL, alignment=CORAL())
    plain = model.model
    reader = keras.Model(
        plain.input, [plain.get_layer("features").output, plain.output]
    )
    for depth, place in ((0, 1), (1, 0), (0, 1)):
        set_trainable_depth(model, depth)
        source, target = (reader.predict(x, verbose=0) for x in (images, pairs[1]))
        history = model.fit(pairs[0], shuffle=False, verbose=0).history
        expected = float(coral_loss(source[place], target[place]))
        np.testing.assert_allclose(history["alignment_loss"][0], expected, rtol=1e-3)


@pytest.mark.slow
def test_float16_scales_the_loss_with_and_without_alignment(
    backbone, pairs, images, labels
):
    for alignment, data in (
        (None, tf.data.Dataset.from_tensors((images, labels))),
        (CORAL(), pairs[0]),
    ):
        model = build_transfer_model(
            "pip:efficientnet_lite0",
            **SMALL,
            dtype="mixed_float16",
            trainable_depth=1,
            alignment=alignment,
        )
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        before = model.get_weights()
        history = model.fit(data, shuffle=False, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        after = model.get_weights()
        assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_an_aligned_model_goes_on_training_where_it_was_saved(
    backbone, pairs, tmp_path
):
    model = build_transfer_model(backbone, **SMALL, alignment=CORAL(weight=0.3))
    model.fit(pairs[0], shuffle=False, verbose=0)
    model.save(tmp_path / "aligned.keras")
    again = load_model(tmp_path / "aligned.keras")
    for one, other in zip(
        model.optimizer.variables, again.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    histories = [x.fit(pairs[0], shuffle=False, verbose=0) for x in (model, again)]
    assert histories[0].history == histories[1].history


def test_an_aligned_model_is_cloned_with_new_weights(backbone, images):
    model = build_transfer_model(backbone, **SMALL, alignment=CORAL(weight=0.3))
    clone = keras.models.clone_model(model)
    assert clone.alignment.weight == 0.3
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(
        clone.predict(images, verbose=0), model.predict(images, verbose=0)
    )


def test_an_aligned_model_is_saved_and_loaded_with_its_alignment(
    backbone, images, tmp_path
):
    model = build_transfer_model(
        backbone, **SMALL, alignment=MMD(weight=0.3, bandwidths=(1.0, 2.0))
    )
    model.save(tmp_path / "aligned.keras")
    again = load_model(tmp_path / "aligned.keras")
    assert (again.alignment.weight, again.alignment.bandwidths) == (0.3, (1.0, 2.0))
    np.testing.assert_allclose(
        again.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6
    )


# --- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"backbone": "keras:ResNet5"},
            "Received: backbone='keras:ResNet5'. Did you mean",
        ),
        ({"backbone": "efficientnet"}, "Received: backbone='efficientnet'"),
        (
            {"backbone": "nowhere/model.keras"},
            "Received: backbone='nowhere/model.keras'",
        ),
        ({"num_classes": 0}, "Received: num_classes=0"),
        ({"task": "ranking"}, "Received: task='ranking'"),
        ({"head": "linaer"}, "Received: head='linaer'"),
        ({"seed": -1}, "Received: seed=-1"),
        ({"dropout": 1.0}, "Received: dropout=1.0"),
        ({"trainable_depth": 1.5}, "Received: trainable_depth=1.5"),
        ({"batch_norm": "freeze"}, "Received: batch_norm='freeze'"),
        ({"dtype": "mixed_float61"}, "Cannot convert 'mixed_float61'"),
    ],
)
def test_bad_values_are_refused_before_anything_is_loaded(
    arguments, message, monkeypatch
):
    monkeypatch.setattr(models, "load_backbone", None)
    with pytest.raises(ValueError, match=message):
        build_transfer_model(
            **{"backbone": "pip:efficientnet_lite0", "num_classes": 2, **arguments}
        )


@pytest.mark.parametrize("handle", ["pip:efficientnet_lite0", "keras:VGG16"])
def test_sizes_and_channels_are_checked_before_building(handle, monkeypatch):
    monkeypatch.setattr(catalog, "_build", None)
    with pytest.raises(ValueError, match="Received: in_channels=0"):
        build_transfer_model(handle, num_classes=2, in_channels=0)
    with pytest.raises(ValueError, match=r"Received: image_size=\(0, 9\)"):
        build_transfer_model(handle, num_classes=2, image_size=(0, 9))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": 7}, "Received: backbone=7 of type int"),
        ({"num_classes": 2.0}, "Received: num_classes=2.0 of type float"),
        ({"alignment": "coral"}, "Received: alignment='coral' of type str"),
        ({"trainable_depth": True}, "Received: trainable_depth=True of type bool"),
    ],
)
def test_wrong_types_are_refused(arguments, message, monkeypatch):
    monkeypatch.setattr(models, "load_backbone", None)
    with pytest.raises(TypeError, match=message):
        build_transfer_model(
            **{"backbone": "pip:efficientnet_lite0", "num_classes": 2, **arguments}
        )


@pytest.mark.parametrize(
    "head",
    [
        layers.Dense(3, activation="softmax"),
        keras.Sequential([layers.Dense(3), layers.Softmax()]),
        lambda features: keras.ops.sigmoid(layers.Dense(3)(features)),
    ],
)
def test_a_head_that_gives_probabilities_is_refused(head, backbone):
    with pytest.raises(ValueError, match="Received: a head that ends in s[oi][fg]"):
        build_transfer_model(backbone, **SMALL, head=head)
    model = build_transfer_model(backbone, **SMALL, head=head, task="regression")
    assert model.output_shape == (None, 3)


def test_a_model_without_features_cannot_be_aligned():
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must have a layer named 'features'"):
        AlignedModel(plain, CORAL())


def test_a_missing_file_is_refused():
    with pytest.raises(ValueError, match="Received: path='nowhere.keras'"):
        load_model("nowhere.keras")


def test_one_label_of_many_is_refused():
    with pytest.raises(ValueError, match="Received: num_classes=1. One label"):
        build_transfer_model("alexnet", num_classes=1, task="multi_label")


def test_a_model_with_its_top_is_no_backbone(backbone):
    model = build_transfer_model(backbone, **SMALL)
    message = "Received: a model with a layer named 'logits'"
    with pytest.raises(ValueError, match=message):
        build_transfer_model(model, num_classes=2)
    again = build_transfer_model(load_backbone(model, cut_top=True), num_classes=2)
    assert again.output_shape == (None, 2)


def test_convnext_has_a_feature_map_for_the_upsampling_head():
    backbone = load_backbone("keras:ConvNeXtTiny", weights=None, image_size=(32, 32))
    model = build_transfer_model(backbone, num_classes=2, head="conv_transpose")
    assert model.get_layer("features").output.shape == (None, 1, 1, 768)
