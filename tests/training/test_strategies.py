import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.alignment.aligned_model import AlignedModel
from tftransfer.alignment.coral import CORAL
from tftransfer.branches.hybrid_sharing import HybridSharing
from tftransfer.branches.residual_adapter import add_residual_adapters
from tftransfer.data.domains import pair_domains
from tftransfer.data.labeled_domains import join_domains, pair_labeled_domains
from tftransfer.features.extract_features import extract_features
from tftransfer.lora.adapters import add_lora
from tftransfer.rates.layerwise_rates import LayerwiseRates
from tftransfer.regularization.l2_sp import L2SP
from tftransfer.training.describing import describe_strategy
from tftransfer.training.fine_tune import fine_tune
from tftransfer.training.random_weights import SCRATCH_MOMENTUM, draw_weights_anew
from tftransfer.training.stages import Stage
from tftransfer.training.strategies import plan_strategy
from tftransfer.training.strategy import OF_TWO_DOMAINS, STRATEGIES, Strategy
from tftransfer.training.virtual_features import draw_virtual_features

SOURCE = (np.zeros((4, 6), "float32"), np.arange(4) % 3)


def stages_of(name, model, epochs, **options):
    plan = plan_strategy(Strategy(name, **options), model, epochs)
    return [(stage.epochs, stage.trainable_depth) for stage in plan.stages]


@pytest.mark.parametrize(
    "name, epochs, expected",
    [
        ("head_only", 5, [(5, 0)]),
        ("head_then_all", 8, [(2, 0), (6, "all")]),
        ("head_then_all", 2, [(1, 0), (1, "all")]),
        ("gradual_unfreezing", 8, [(2, 0), (3, 1), (3, "all")]),
        ("gradual_unfreezing", 2, [(1, 0), (1, "all")]),
        ("discriminative", 4, [(1, 0), (3, "all")]),
        ("full", 3, [(3, "all")]),
        ("from_scratch", 3, [(3, "all")]),
        ("source_then_target", 6, [(1, 0), (2, "all"), (3, "all")]),
        ("target_then_source", 2, [(1, "all"), (1, "all")]),
        ("joint", 4, [(1, 0), (3, "all")]),
        ("hybrid_sharing", 4, [(1, 0), (3, 1)]),
    ],
)
def test_a_strategy_divides_the_epochs_among_its_stages(name, epochs, expected, build):
    options = {"source": SOURCE} if name in ("joint", "hybrid_sharing") else {}
    options = {"source": SOURCE} if "target" in name else options
    assert stages_of(name, build(), epochs, **options) == expected


def equal_to_by_hand(build, arrays, strategy, by_hand, equal_weights, epochs=4):
    named, manual = build(), build()
    keras.utils.set_random_seed(2)
    fine_tune(named, arrays, strategy=strategy, epochs=epochs, seed=1, verbose=0)
    by_hand(manual)
    equal_weights(named, manual)
    return named


@pytest.mark.parametrize(
    "name, stages",
    [
        ("head_only", [Stage(4, trainable_depth=0)]),
        (
            "head_then_all",
            [Stage(1, trainable_depth=0), Stage(3, trainable_depth="all")],
        ),
        ("full", [Stage(4, trainable_depth="all")]),
    ],
)
def test_a_strategy_is_its_stages_written_by_hand(
    name, stages, build, arrays, equal_weights
):
    def by_hand(model):
        fine_tune(model, arrays, stages=stages, seed=1, verbose=0)

    equal_to_by_hand(build, arrays, name, by_hand, equal_weights)


def test_discriminative_is_layerwise_rates_by_hand(build, arrays, equal_weights):
    def by_hand(model):
        optimizer = LayerwiseRates(keras.optimizers.SGD(0.1), layer_decay=0.5)
        model.compile(optimizer, model.loss)
        stages = [Stage(1, trainable_depth=0), Stage(3, trainable_depth="all")]
        fine_tune(model, arrays, stages=stages, seed=1, verbose=0)

    strategy = Strategy("discriminative", layer_decay=0.5)
    named = equal_to_by_hand(build, arrays, strategy, by_hand, equal_weights)
    assert isinstance(named.optimizer, keras.optimizers.SGD)  # as it was
    assert float(named.optimizer.learning_rate) == pytest.approx(0.1)


@pytest.mark.slow
def test_one_domain_after_the_other_is_two_trainings_by_hand(
    build, arrays, equal_weights, rng
):
    source = rng.normal(size=(48, 6)).astype("float32"), np.arange(48) % 3

    def by_hand(model):
        stages = [
            Stage(1, trainable_depth=0, data=source),
            Stage(1, trainable_depth="all", data=source),
            Stage(2, trainable_depth="all"),
        ]
        fine_tune(model, arrays, stages=stages, seed=1, verbose=0)

    strategy = Strategy("source_then_target", source=source)
    equal_to_by_hand(build, arrays, strategy, by_hand, equal_weights)

    def the_other_way(model):
        stages = [
            Stage(1, trainable_depth=0),
            Stage(1, trainable_depth="all"),
            Stage(2, trainable_depth="all", data=source),
        ]
        fine_tune(model, arrays, stages=stages, seed=1, verbose=0)

    strategy = Strategy("target_then_source", source=source)
    equal_to_by_hand(build, arrays, strategy, the_other_way, equal_weights)


def test_joint_is_training_on_the_joined_rows(build, arrays, equal_weights, rng):
    source = rng.normal(size=(48, 6)).astype("float32"), np.arange(48) % 3

    def by_hand(model):
        rows = join_domains(source, arrays, source_weight=0.2)
        stages = [Stage(1, trainable_depth=0), Stage(3, trainable_depth="all")]
        fine_tune(model, rows, stages=stages, seed=1, verbose=0)

    strategy = Strategy("joint", source=source, source_weight=0.2)
    equal_to_by_hand(build, arrays, strategy, by_hand, equal_weights)


def test_hybrid_sharing_trains_the_model_itself(build, arrays, equal_weights, rng):
    source = rng.normal(size=(64, 6)).astype("float32"), np.arange(64) % 3
    datasets = [
        tf.data.Dataset.from_tensor_slices(part).batch(16) for part in (source, arrays)
    ]

    def by_hand(model):
        shared = HybridSharing(model, private_depth=1)
        stages = [Stage(1, trainable_depth=0), Stage(3, trainable_depth=1)]
        rows = pair_labeled_domains(*datasets)
        fine_tune(shared, rows, stages=stages, seed=1, verbose=0)

    strategy = Strategy("hybrid_sharing", source=datasets[0])
    named = equal_to_by_hand(build, datasets[1], strategy, by_hand, equal_weights)
    before = build().get_layer("block2").kernel
    assert np.abs(named.get_layer("block2").kernel - before).max() > 0


def test_arrays_of_two_domains_can_be_shared_in_pairs(build, arrays):
    model = build()
    strategy = Strategy("hybrid_sharing", source=arrays)
    history = fine_tune(
        *(model, arrays), validation_data=arrays, strategy=strategy, epochs=2, verbose=0
    )
    assert len(history.history["val_loss"]) == 2


def test_from_scratch_starts_from_other_weights(build, arrays):
    model = build()
    before = model.get_layer("block1").get_weights()[0]
    model.optimizer.learning_rate = 1e-9  # so that training itself moves nothing
    fine_tune(model, arrays, strategy="from_scratch", epochs=1, seed=4, verbose=0)
    after = model.get_layer("block1").get_weights()[0]
    assert np.abs(after - before).min() > 1e-6
    # Glorot's limit of 6 inputs and 8 units
    assert np.abs(after).max() <= np.sqrt(6 / (6 + 8)) + 1e-6


def test_virtual_rows_train_the_head_on_features_of_both_domains(build, arrays, rng):
    source = rng.normal(size=(48, 6)).astype("float32"), np.arange(48) % 3
    model = build()
    before = build().get_layer("block2").get_weights()
    strategy = Strategy("joint", source=source, virtual_rows=20)
    history = fine_tune(
        *(model, arrays),
        validation_data=arrays,
        strategy=strategy,
        epochs=3,
        seed=0,
        verbose=0,
    )
    for one, other in zip(model.get_layer("block2").get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    # The first loss is that of the untrained head on these rows, all in one step.
    by_hand = build()
    x, y = map(np.asarray, extract_features(by_hand, arrays, verbose=False))
    more = draw_virtual_features(x, y, 20)
    target = [np.concatenate(both) for both in zip((x, y), more, strict=True)]
    others = tuple(map(np.asarray, extract_features(by_hand, source, verbose=False)))
    rows, labels, weights = join_domains(others, target)
    assert len(rows) == 48 + 80 + 60
    head = keras.Model(
        by_hand.get_layer("features").output, by_hand.get_layer("logits").output
    )
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    start = float(loss(labels, head(rows), sample_weight=weights))
    assert history.history["loss"][0] < start < 2 * history.history["loss"][0]
    assert history.history["val_loss"][-1] < history.history["val_loss"][0]


def test_adapters_are_asked_for_before_they_can_be_trained(build, arrays):
    model = build()
    with pytest.raises(ValueError, match=r"prepared.*tft.add_residual_adapters\(model"):
        fine_tune(model, arrays, strategy="residual_adapter")
    adapted = add_residual_adapters(model, 2)
    fine_tune(adapted, arrays, strategy="residual_adapter", epochs=1, verbose=0)
    with pytest.raises(ValueError, match=r"prepared.*tft.add_side_network\(model\)"):
        fine_tune(model, arrays, strategy="feature_extractor_network")


@pytest.mark.parametrize(
    "other", [{"stages": [Stage(1)]}, {"trainable_depth": 2}, {"learning_rate": 0.1}]
)
def test_two_ways_of_saying_stages_at_once_are_refused(other, build, arrays):
    name = next(iter(other))
    with pytest.raises(ValueError, match=f"`strategy` must.*Received: .* and {name}"):
        fine_tune(build(), arrays, strategy="full", **other)


def test_what_is_no_strategy_is_refused(build, arrays):
    with pytest.raises(ValueError, match="'head_then_all'.*'head_then_al'"):
        fine_tune(build(), arrays, strategy="head_then_al")
    with pytest.raises(TypeError, match="must be the name of one or a Strategy.*int"):
        fine_tune(build(), arrays, strategy=3)
    with pytest.raises(ValueError, match="'joint' must have labeled source.*none"):
        fine_tune(build(), arrays, strategy="joint")
    with pytest.raises(ValueError, match="'full' must have no labeled source.*one"):
        Strategy("full", source=SOURCE)
    with pytest.raises(ValueError, match="`virtual_rows` must be left.*=5 with 'full'"):
        Strategy("full", virtual_rows=5)
    with pytest.raises(ValueError, match="at least 2 with strategy 'head_then_all'"):
        fine_tune(build(), arrays, strategy="head_then_all", epochs=1)


def test_discriminative_on_rates_of_the_users_own_is_refused(build, arrays):
    model = build(optimizer=LayerwiseRates("sgd", {"block1": 0.1}))
    with pytest.raises(ValueError, match="must not be compiled with LayerwiseRates"):
        fine_tune(model, arrays, strategy="discriminative")


def test_source_data_that_do_not_fit_are_refused_before_training(build, arrays):
    source = arrays[0], arrays[1] + 5
    with pytest.raises(ValueError, match="`source`"):
        fine_tune(build(), arrays, strategy=Strategy("joint", source=source))


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_described_runs_and_gives_the_same(name, build, arrays, equal_weights):
    """The code of a description is run as it stands."""
    import tftransfer as tft

    options = {}
    if name in ("joint", "hybrid_sharing") or "target" in name:
        options["source"] = tf.data.Dataset.from_tensor_slices(arrays).batch(16)
    train = tf.data.Dataset.from_tensor_slices(arrays).batch(16)

    def prepare():
        model = build()
        if name == "residual_adapter":
            return add_residual_adapters(model, 2)
        return model

    if name == "feature_extractor_network":
        pytest.skip("takes images; its one stage is that of head_only")
    strategy = Strategy(name, **options)
    code = describe_strategy(strategy, prepare(), epochs=4)
    assert code.startswith(f"# {STRATEGIES[name]}\n")
    named, manual = prepare(), prepare()
    fine_tune(named, train, strategy=strategy, epochs=4, seed=3, verbose=0)
    code = code.replace("stages=stages)", "stages=stages, seed=3, verbose=0)")
    if name == "from_scratch":  # draw at the same place of the random numbers
        draw = "tft.draw_weights_anew(model)"
        code = code.replace(draw, f"start(model)\n{draw}")
    names = {"tft": tft, "keras": keras, "np": np, "model": manual, "train": train}

    def start(model):
        from tftransfer.training.seeding import seed_training

        seed_training(model, 3)

    exec(code, {**names, **options, "start": start})
    # These draw, at random or an order, in another place than by hand.
    if name not in ("from_scratch", "joint"):
        equal_weights(named, manual)


def test_virtual_rows_are_described_too(build):
    strategy = Strategy("joint", source=SOURCE, virtual_rows=7)
    code = describe_strategy(strategy, build(), epochs=4)
    assert "tft.draw_virtual_features(x, y, 7)" in code
    assert "tft.fine_tune(head, train, epochs=4, frozen_epochs=0)" in code


def test_adapters_cannot_start_from_scratch(build, arrays):
    model = add_lora(build(), 1)
    match = "no adapters to start from scratch.*merge_lo"
    with pytest.raises(ValueError, match=match):
        fine_tune(model, arrays, strategy="from_scratch")
    with pytest.raises(ValueError, match=match):
        draw_weights_anew(model)


def test_from_scratch_its_statistics_keep_up_and_nothing_holds_it_back():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(8, name="block1")(inputs)
    x = keras.layers.BatchNormalization(name="block1_bn", momentum=0.999)(x)
    x = keras.layers.Activation("relu", name="features")(x)
    model = AlignedModel(
        keras.Model(inputs, keras.layers.Dense(3)(x)), regularization=L2SP(1.0)
    )
    model.compile(
        keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(True)
    )
    before = model.model.get_layer("block1").kernel.numpy()
    draw_weights_anew(model)
    drawn = model.model.get_layer("block1").kernel.numpy()
    assert np.abs(drawn - before).max() > 0.1
    assert model.model.get_layer("block1_bn").momentum == SCRATCH_MOMENTUM == 0.9
    (start,) = [x for x in model.start.weights if x.shape == drawn.shape]
    np.testing.assert_array_equal(start, drawn)


def test_virtual_rows_are_refused_where_the_features_are_not_all(build):
    model = AlignedModel(build(), regularization=L2SP(1.0))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
    strategy = Strategy("joint", source=SOURCE, virtual_rows=3)
    with pytest.raises(ValueError, match="`virtual_rows` must be 0 where.*plain model"):
        plan_strategy(strategy, model, 4)


@pytest.mark.parametrize("name", OF_TWO_DOMAINS)
def test_two_labeled_domains_are_aligned_as_by_hand(name, build, arrays, equal_weights):
    import tftransfer as tft

    data = tf.data.Dataset.from_tensor_slices(arrays).batch(16)
    moved = arrays[0] + np.float32(1), (arrays[1] + 1) % 3
    source = tf.data.Dataset.from_tensor_slices(moved).batch(12)

    def aligned():
        model = AlignedModel(build(), CORAL(0.5))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
        return model

    named, manual = aligned(), aligned()
    strategy = Strategy(name, source=source)
    history = fine_tune(named, data, strategy=strategy, epochs=4, seed=3, verbose=0)
    finished = named.get_weights()
    assert len(history.history["alignment_loss"]) == 4
    assert min(history.history["alignment_loss"]) > 0
    assert named.labels_both is False
    named.labels_both = True
    assert "pairs" in named.obstacle_to_cutting
    fine_tune(named, data, strategy=strategy, epochs=2, verbose=0)
    assert named.labels_both is True
    named.set_weights(finished)
    code = describe_strategy(strategy, aligned(), epochs=4)
    code = code.replace("stages=stages)", "stages=stages, seed=3, verbose=0)")
    exec(code, {"tft": tft, "model": manual, "train": data, "source": source})
    equal_weights(named, manual)
    with pytest.raises(ValueError, match="labeled data of the target alone.*pairs of"):
        fine_tune(aligned(), pair_domains(source, data), strategy=strategy)


def test_regularization_goes_with_joint_and_not_with_copies(build, arrays):
    def train(name):
        model = AlignedModel(build(), regularization=L2SP(1.0))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
        strategy = Strategy(name, source=arrays)
        return fine_tune(model, arrays, strategy=strategy, epochs=2, verbose=0)

    assert len(train("joint").history["l2sp"]) == 2
    with pytest.raises(ValueError, match="no regularization.*'hybrid_sharing'.*Leave"):
        train("hybrid_sharing")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("full", {"layer_decay": 0.1}),
        ("full", {"private_depth": 7}),
        ("source_then_target", {"source": SOURCE, "source_weight": 0.2}),
        ("discriminative", {"layer_decay": 0.0}),
        ("joint", {"source": SOURCE, "source_weight": 0.0}),
    ],
)
def test_options_without_effect_are_refused(name, option):
    *_, word = option
    with pytest.raises(ValueError, match=f"`{word}` must be .*Received: {word}="):
        Strategy(name, **option)


def test_virtual_rows_are_drawn_where_the_head_begins(arrays):
    """On word vectors that learn, `features` marks what stays, below other layers."""
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5, name="block1")(inputs)
    x = keras.layers.Activation("linear", name="features")(x)
    x = keras.layers.Dense(4)(x)
    x = keras.layers.Activation("linear", name="text_features")(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
    strategy = Strategy("joint", source=arrays, virtual_rows=3)
    history = fine_tune(model, arrays, strategy=strategy, epochs=2, verbose=0)
    assert len(history.epoch) == 2
