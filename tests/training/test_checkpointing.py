"""`fine_tune` goes on with the stage, the epoch and the batch where it was killed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tftransfer as tft
from tests.killing import KillAt, KillAtEpoch, Killed


@pytest.fixture
def photographs():
    """60 images of noise with three classes."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (60, 8, 8, 3)).astype("uint8"), np.arange(60) % 3


def build():
    """Build two blocks with BatchNormalization, and a head."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    for number, width in enumerate((4, 8), 1):
        x = layers.Conv2D(width, 3, padding="same", name=f"block{number}_conv")(x)
        x = layers.BatchNormalization(name=f"block{number}_norm")(x)
        x = layers.ReLU(name=f"block{number}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return tft.build_transfer_model(
        keras.Model(inputs, x), num_classes=3, image_size=(8, 8), seed=0
    )


def shuffled(arrays, seed=1):
    return tf.data.Dataset.from_tensor_slices(arrays).shuffle(60, seed=seed).batch(16)


def aligned(model, alignment=None):
    wrapper = tft.AlignedModel(model, alignment or tft.CORAL())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    wrapper.compile("adam", loss, metrics=["accuracy"])
    return wrapper


def adapted(model):
    tft.add_lora(model, 2)
    return model


def averaged(model):
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    return model


@pytest.fixture
def fine_tune(photographs, tmp_path, monkeypatch):
    """Fine-tune until a step, with a store of its own for each folder."""

    def fine_tune_(name, step=-1, *, change=None, data=None, more=list, **arguments):
        monkeypatch.setenv("TFTRANSFER_CACHE", str(tmp_path / f"{name}_store"))
        keras.utils.set_random_seed(0)  # seeds of `tf.data` rest on it too
        KillAt.step, KillAt.seen = step, 0
        arguments = {"seed": 3, "verbose": 0, "checkpoint_every": 2, **arguments}
        kill = KillAtEpoch() if arguments.pop("at_epochs", False) else KillAt()
        if arguments.get("strategy") in (
            "source_then_target",
            "joint",
            "hybrid_sharing",
        ):
            source = shuffled(photographs, seed=9)  # anew, as in another process
            arguments["strategy"] = tft.Strategy(arguments["strategy"], source=source)
        model = build() if change is None else change(build())
        history = tft.fine_tune(
            model,
            photographs if data is None else data(photographs),
            callbacks=[*more(), kill],
            checkpoint=tmp_path / name,
            **arguments,
        )
        return model, history

    return fine_tune_


def assert_close(one, other):
    """Assert equality but for the last digit.

    On a busy machine a convolution's gradients may differ in it from run to run, killed
    or not. A state that is not whole shows in the third or fourth.
    """
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.fixture
def ends_equal(fine_tune):
    """Assert that runs killed behind some steps end as one that was not."""

    def ends_equal_(steps, **arguments):
        whole, history = fine_tune("whole", **arguments)
        for step in steps:
            with pytest.raises(Killed):
                fine_tune(f"killed_{step}", step, **arguments)
            model, again = fine_tune(f"killed_{step}", **arguments)
            for one, other in zip(
                whole.get_weights(), model.get_weights(), strict=True
            ):
                assert_close(one, other)
            assert again.epoch == history.epoch
            assert again.stages == history.stages
            for name, values in history.history.items():
                assert_close(again.history[name], values)

    return ends_equal_


HEAD_THEN_ALL = {"frozen_epochs": 2, "epochs": 2, "trainable_depth": "all"}


def test_stage_epoch_and_batch_come_back(ends_equal):
    ends_equal([3, 5, 8], **HEAD_THEN_ALL)


def test_best_weights_and_patience_come_back(ends_equal, photographs):
    ends_equal([3, 7], **HEAD_THEN_ALL, validation_data=photographs)


def test_a_dataset_that_shuffles_comes_back(ends_equal):
    ends_equal([10], **HEAD_THEN_ALL, data=shuffled, cache=False)


def test_a_stage_that_ends_early_is_followed_by_the_next(ends_equal, photographs):
    stages = [
        tft.Stage(6, learning_rate=1e-9, trainable_depth=0, patience=1),
        tft.Stage(2, trainable_depth="all"),
    ]
    ends_equal(
        [14],
        stages=stages,
        data=shuffled,
        validation_data=(photographs[0][:20], photographs[1][:20]),
    )


SETTINGS = {
    "frozen, from the store": {
        "frozen_epochs": 0,
        "epochs": 3,
        "trainable_depth": 0,
    },
    "partial": {**HEAD_THEN_ALL, "trainable_depth": 1},
    "gradual": {"epochs": 4, "strategy": "gradual_unfreezing"},
    "discriminative": {"epochs": 4, "strategy": "discriminative"},
    "LoRA": {**HEAD_THEN_ALL, "change": adapted},
    "moving average": {**HEAD_THEN_ALL, "change": averaged},
    "alignment": {
        **HEAD_THEN_ALL,
        "change": aligned,
        "data": lambda arrays: tft.pair_domains(
            shuffled(arrays), shuffled(arrays, 2).map(lambda x, y: x).take(3)
        ),
    },
    "alignment, stored": {
        "frozen_epochs": 0,
        "epochs": 4,
        "trainable_depth": 0,
        "change": aligned,
        "data": lambda arrays: tft.pair_domains(
            shuffled(arrays), shuffled(arrays, 2).map(lambda x, y: x)
        ),
    },
    "DANN": {
        **HEAD_THEN_ALL,
        "change": lambda model: aligned(model, tft.DANN()),
        "data": lambda arrays: tft.pair_domains(
            shuffled(arrays), shuffled(arrays, 2).map(lambda x, y: x)
        ),
        "cache": False,
    },
    "freeze threshold": {
        **HEAD_THEN_ALL,
        "epochs": 7,
        "more": lambda: [tft.FreezeThreshold(0.00035, 1, verbose=False)],
    },
    "fading and averages": {
        **HEAD_THEN_ALL,
        "more": lambda: [
            tft.StochasticFreezing(0.5, seed=1),
            tft.ParameterDecay(0.2, 3),
            tft.SWA(2),
        ],
    },
    "pruning": {
        "frozen_epochs": 0,
        "epochs": 5,
        "trainable_depth": "all",
        "more": lambda: [
            tft.StructuredPruning(
                {"block2_conv": 4}, criterion="l2", epochs=3, max_drop=None
            )
        ],
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.filterwarnings("ignore:What a resumed run reads may differ")
def test_everything_that_trains_comes_back(ends_equal, settings):
    ends_equal([4, 6], **settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["source_then_target", "joint", "hybrid_sharing"])
def test_two_labeled_domains_come_back(ends_equal, name):
    ends_equal([6, 10], epochs=4, data=shuffled, strategy=name)


@pytest.mark.slow
def test_many_steps_in_a_call_come_back(ends_equal):
    rng = np.random.default_rng(1)
    many = rng.integers(0, 255, (3000, 8, 8, 3)).astype("uint8"), np.arange(3000) % 3
    ends_equal(
        [2, 5],
        at_epochs=True,
        data=lambda arrays: many,
        frozen_epochs=0,
        epochs=8,
        trainable_depth=0,
    )


def test_a_run_that_is_over_gives_its_end(fine_tune, photographs):
    model, history = fine_tune("run", **HEAD_THEN_ALL)
    again, other = fine_tune("run", 1, **HEAD_THEN_ALL)
    assert other.epoch == history.epoch
    assert other.stages == history.stages
    assert other.history == history.history
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [x.trainable for x in model.layers] == [x.trainable for x in again.layers]


def test_a_run_without_a_seed_keeps_the_one_it_drew(fine_tune):
    with pytest.raises(Killed):
        fine_tune("run", 7, **HEAD_THEN_ALL, seed=None)
    first = fine_tune("run", **HEAD_THEN_ALL, seed=None)
    again = fine_tune("run", **HEAD_THEN_ALL, seed=None)
    assert first[1].history == again[1].history


@pytest.mark.parametrize(
    "change, named",
    [
        ({"epochs": 3}, "other stages .*epochs=3"),
        ({"class_weight": {0: 2.0}}, "other class_weight"),
        ({"cache": False}, "other settings .*cache=False"),
        ({"data": lambda arrays: (arrays[0] // 2, arrays[1])}, "other train .*content"),
        ({"data": shuffled}, "other train .*kind then 'tuple', now 'Dataset'"),
        (
            {"strategy": "full", "frozen_epochs": 1, "trainable_depth": None},
            "other .*strategy",
        ),
    ],
    ids=["stages", "weights", "settings", "content", "kind", "strategy"],
)
def test_another_run_is_named(fine_tune, change, named):
    with pytest.raises(Killed):
        fine_tune("run", 7, **HEAD_THEN_ALL)
    with pytest.raises(ValueError, match=named):
        fine_tune("run", **{**HEAD_THEN_ALL, **change})


def test_another_model_is_named(fine_tune):
    with pytest.raises(Killed):
        fine_tune("run", 7, **HEAD_THEN_ALL)
    with pytest.raises(ValueError, match="other layers .*other weights"):
        fine_tune("run", **HEAD_THEN_ALL, change=adapted)
    with pytest.raises(ValueError, match="other optimizer"):
        fine_tune("run", **HEAD_THEN_ALL, change=averaged)


def test_resume_among_the_callbacks_is_refused(fine_tune, tmp_path):
    with pytest.raises(ValueError, match="Pass checkpoint=directory instead"):
        fine_tune("run", more=lambda: [tft.Resume(tmp_path)])


def test_the_folder_is_free_after_an_error(fine_tune):
    for step in (5, 3):
        with pytest.raises(Killed):
            fine_tune("run", step, **HEAD_THEN_ALL)
    fine_tune("run", **HEAD_THEN_ALL)
