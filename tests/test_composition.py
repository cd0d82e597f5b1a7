"""What belongs together in any combination: strategy, alignment, head, LoRA, task."""

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tftransfer.training.strategy import STRATEGIES as STRATEGIES_BY_NAME

STRATEGIES = ("head_only", "gradual_unfreezing", "discriminative", "from_scratch")
ALIGNMENTS = (None, "coral", "mmd", "both")
HEADS = ("linear", "mlp")
TASKS = ("classification", "multi_label", "regression")
TWO_DOMAINS = ("source_then_target", "target_then_source", "joint", "hybrid_sharing")
MADE = {
    "coral": lambda: tft.CORAL(0.5),
    "mmd": lambda: tft.MMD(0.5),
    "both": lambda: [tft.CORAL(0.5), tft.MMD(0.5)],
    "dann": lambda: tft.DANN(0.5),
    "cdan": lambda: tft.CDAN(0.5),
    "mcc": lambda: tft.MCC(0.5),
}
PRODUCT = [
    pytest.param(
        # Each head with adapters and without, which alternate fastest.
        *(strategy, alignment, HEADS[(number + number // 2) % 2], adapters),
        TASKS[number % 3],
        marks=[] if number % 11 == 0 else pytest.mark.slow,
    )
    for number, (strategy, alignment, adapters) in enumerate(
        itertools.product(STRATEGIES, ALIGNMENTS, (False, True))
    )
    # Nothing is frozen from scratch, so there is nothing to adapt.
    if not (strategy == "from_scratch" and adapters)
]


@pytest.fixture
def backbone():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    for block, width in ((1, 8), (2, 16)):
        x = layers.Conv2D(width, 3, 2, name=f"block{block}_conv")(x)
        x = layers.BatchNormalization(name=f"block{block}_bn")(x)
        x = layers.ReLU(name=f"block{block}_relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, x)


def labels_of(task, rng, count):
    if task == "classification":
        return rng.integers(0, 3, count)
    if task == "multi_label":
        return rng.integers(0, 2, (count, 3)).astype("float32")
    return rng.normal(size=(count, 3)).astype("float32")


@pytest.mark.parametrize("strategy, alignment, head, adapters, task", PRODUCT)
def test_any_of_them_train_together(
    strategy, alignment, head, adapters, task, backbone, rng
):
    model = tft.build_transfer_model(
        backbone,
        num_classes=3,
        task=task,
        image_size=(8, 8),
        head=head,
        alignment=MADE[alignment]() if alignment else None,
        seed=0,
    )
    if adapters:
        tft.add_lora(model, 2)
    images = rng.integers(0, 256, (32, 8, 8, 3)).astype("float32")
    rows = images, labels_of(task, rng, 32)
    data = tf.data.Dataset.from_tensor_slices(rows).batch(16)
    train = tft.pair_domains(data, data.map(lambda x, y: x)) if alignment else data
    before = {weight.path: weight.numpy() for weight in model.weights}

    history = tft.fine_tune(
        *(model, train),
        validation_data=data,
        strategy=strategy,
        epochs=3,
        seed=0,
        verbose=0,
    )

    assert len(history.epoch) == 3
    assert all(np.isfinite(values).all() for values in history.history.values())
    told = any("alignment" in key or "coral" in key for key in history.history)
    assert told == (alignment is not None)
    moved = {
        name
        for name, weight in ((x.path, x) for x in model.weights)
        if not np.array_equal(weight, before[name])
    }
    opened = {x.path for x in model.trainable_weights}
    if strategy != "from_scratch":
        assert moved <= opened
    kernel = "adapter_b" if adapters else "conv/kernel"
    backbone_moved = any(kernel in name for name in moved)
    assert backbone_moved == (strategy != "head_only")
    if adapters:
        assert not any(name.endswith("conv/kernel") for name in moved)
    plain = getattr(model, "model", model)
    assert plain.predict(images, verbose=0).shape == (32, 3)


OF_TWO = [
    pytest.param(
        *(strategy, alignment, HEADS[number % 2]),
        # What looks at classes needs some.
        TASKS[number % 3] if alignment in ("coral", "mmd", "both") else TASKS[0],
        marks=[] if number % 9 == 0 else pytest.mark.slow,
    )
    for number, (strategy, alignment) in enumerate(
        itertools.product((*STRATEGIES, *TWO_DOMAINS), MADE)
    )
    if strategy in TWO_DOMAINS or alignment in ("dann", "cdan", "mcc")
]


@pytest.mark.parametrize("strategy, alignment, head, task", OF_TWO)
def test_two_domains_with_labels_or_without_are_aligned_any_way(
    strategy, alignment, head, task, backbone, rng
):
    model = tft.build_transfer_model(
        backbone,
        num_classes=3,
        task=task,
        image_size=(8, 8),
        head=head,
        alignment=MADE[alignment](),
        seed=0,
    )
    images = rng.integers(0, 256, (32, 8, 8, 3)).astype("float32")
    rows = images, labels_of(task, rng, 32)
    data = tf.data.Dataset.from_tensor_slices(rows).batch(16)
    train = tft.pair_domains(data, data.map(lambda x, y: x))
    if strategy in TWO_DOMAINS:
        train, strategy = data, tft.Strategy(strategy, source=data)
    before = [weight.numpy() for weight in model.model.trainable_weights]

    history = tft.fine_tune(
        *(model, train),
        validation_data=data,
        strategy=strategy,
        epochs=3,
        seed=0,
        verbose=0,
    )

    assert len(history.history["alignment_loss"]) == 3
    assert all(np.isfinite(values).all() for values in history.history.values())
    after = [weight.numpy() for weight in model.model.trainable_weights]
    assert len(after) >= len(before)
    assert (model.model.get_layer("logits").kernel != before[-2]).numpy().any()
    pairs = tft.pair_domains(data, data.map(lambda x, y: x))
    model.fit(pairs, shuffle=False, verbose=0)  # compiled anew, for what learns now
    assert model.model.predict(images, verbose=0).shape == (32, 3)


SCRIPT = """
import sys
import keras
import numpy as np
import tensorflow as tf
import tftransfer as tft
from keras import layers

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (32, 8, 8, 3)).astype("float32")
data = tf.data.Dataset.from_tensor_slices((images, rng.integers(0, 3, 32))).batch(16)
regularization = [tft.L2SP(0.1), tft.Mixout(0.5), tft.DELTA(0.1), tft.BSS(0.1)]
prepared = {
    "residual_adapter": lambda model: tft.add_residual_adapters(model, 2),
    "feature_extractor_network": lambda model: tft.add_side_network(model, (4,)),
    "lora": lambda model: tft.add_lora(model, 2),
}
two = ("source_then_target", "target_then_source", "joint", "hybrid_sharing")
names = [*STRATEGIES, "virtual", "lora", "alignment", "regularization"]
for name in names:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    for block, width in ((1, 8), (2, 16)):
        x = layers.Conv2D(width, 3, 2, name=f"block{block}_conv")(x)
        x = layers.BatchNormalization(name=f"block{block}_bn")(x)
        x = layers.ReLU(name=f"block{block}_relu")(x)
    backbone = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    model = tft.build_transfer_model(
        backbone,
        num_classes=3,
        image_size=(8, 8),
        alignment=tft.CORAL(0.5) if name == "alignment" else None,
        regularization=regularization if name == "regularization" else None,
        dtype=DTYPE,
        seed=0,
    )
    model = prepared.get(name, lambda x: x)(model)
    strategy = name if name in STRATEGIES else "discriminative"
    if name in two or name == "virtual":
        rows = 4 if name == "virtual" else 0
        kind = "joint" if name == "virtual" else name
        strategy = tft.Strategy(kind, source=data, virtual_rows=rows)
    train = tft.pair_domains(data, data.map(lambda x, y: x))
    train = train if name == "alignment" else data
    history = tft.fine_tune(
        *(model, train),
        validation_data=data,
        strategy=strategy,
        epochs=3,
        seed=0,
        verbose=0,
    )
    losses = history.history["loss"] + history.history["val_loss"]
    print(name, np.isfinite(losses).all() and losses[-1] < 1.5)
"""


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_all_strategies_train_in_half_precision_and_under_jax(
    backend, dtype, request, tmp_path
):
    script = f"STRATEGIES = {list(STRATEGIES_BY_NAME)}\nDTYPE = {dtype!r}\n{SCRIPT}"
    if backend == "jax":
        printed = request.getfixturevalue("run_under_jax")(script)
    else:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    lines = [line.split() for line in printed.splitlines() if line.count(" ") == 1]
    assert {name for name, _ in lines} >= set(STRATEGIES_BY_NAME)
    assert [name for name, fine in lines if fine != "True"] == []


def test_multipliers_of_the_users_own_go_with_lora_and_alignment(backbone, rng):
    model = tft.build_transfer_model(
        backbone, num_classes=3, image_size=(8, 8), alignment=tft.CORAL(0.5), seed=0
    )
    tft.add_lora(model, 2)
    rates = tft.LayerwiseRates("adam", {"block1": 0, "head": 1.0})
    model.compile(rates, keras.losses.SparseCategoricalCrossentropy(True))
    images = rng.integers(0, 256, (32, 8, 8, 3)).astype("float32")
    rows = images, rng.integers(0, 3, 32)
    data = tf.data.Dataset.from_tensor_slices(rows).batch(16)
    before = {weight.path: weight.numpy() for weight in model.trainable_weights}
    train = tft.pair_domains(data, data.map(lambda x, y: x))
    tft.fine_tune(model, train, strategy="head_then_all", epochs=2, verbose=0)
    moved = {
        x.path for x in model.trainable_weights if (x.numpy() != before[x.path]).any()
    }
    assert any("block2" in name for name in moved)
    assert not any("block1" in name for name in moved)
