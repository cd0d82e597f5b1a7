"""Each pipeline is judged, and where cheap also read twice: is the verdict true?"""

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import tftransfer as tft
from tftransfer.features import datasets
from tftransfer.features.datasets import DatasetFacts, inspect_dataset

Dataset = tf.data.Dataset
AUTOTUNE = tf.data.AUTOTUNE
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3), "uint8")
LABELS = np.arange(8)
NOT_DRAWN = DatasetFacts(False, None, None)
SHUFFLED = DatasetFacts(True, None, None)


def images():
    return Dataset.from_tensor_slices((IMAGES, LABELS))


def draw(x):
    return x + tf.random.uniform(tf.shape(x), 0, 1000, x.dtype)


def read(dataset):
    """All examples of one pass, as bytes, in their order."""
    return [
        b"".join(part.tobytes() for part in keras.tree.flatten(example))
        for example in dataset.as_numpy_iterator()
    ]


STEADY = {
    "slices": images,
    "range": lambda: Dataset.range(8),
    "map, batch, prefetch": lambda: (
        images().map(lambda x, y: (x / 255, y), AUTOTUNE).batch(3).prefetch(2)
    ),
    "parallel batch": lambda: images().batch(3, num_parallel_calls=2),
    "cache": lambda: images().cache().repeat(2),
    "take and skip": lambda: images().skip(2).take(4),
    "shard and filter": lambda: images().shard(2, 0).filter(lambda x, y: y > 3),
    "zip": lambda: Dataset.zip(Dataset.range(8), images()),
    "concatenate": lambda: images().concatenate(images()),
    "enumerate": lambda: images().enumerate(),
    "counter": lambda: Dataset.zip(images(), Dataset.counter()),
    "choose": lambda: Dataset.choose_from_datasets(
        [Dataset.range(4), Dataset.range(4, 8)], Dataset.range(2).repeat(4)
    ),
    "interleave": lambda: Dataset.range(4).interleave(
        lambda x: Dataset.from_tensors(x).repeat(2), num_parallel_calls=2
    ),
    "flat map": lambda: Dataset.range(8).batch(4).flat_map(Dataset.from_tensor_slices),
    "window": lambda: Dataset.range(8).window(2).flat_map(lambda x: x.batch(2)),
    "padded batch": lambda: (
        Dataset.range(8).map(lambda x: tf.repeat(x, x)).padded_batch(3)
    ),
    "ragged batch": lambda: Dataset.range(8).ragged_batch(3).map(lambda x: x + 1),
    "unbatch": lambda: images().batch(4).unbatch(),
    "rebatch": lambda: images().batch(4).rebatch(2),
    "stateless random by content": lambda: Dataset.range(8).map(
        lambda x: tf.random.stateless_uniform((2,), tf.stack([x, 1]))
    ),
    "seeded random numbers": lambda: Dataset.random(seed=1).take(8),
    "seeded sampling": lambda: Dataset.sample_from_datasets(
        [Dataset.range(8), Dataset.range(8, 16)], seed=1
    ),
    "random below a cache": lambda: Dataset.range(8).map(draw).cache().batch(2),
    "shuffled below a cache": lambda: Dataset.range(8).shuffle(8).cache().batch(3),
    "shuffled once": lambda: (
        Dataset.range(8).shuffle(8, reshuffle_each_iteration=False).take(3)
    ),
    "loop and branch": lambda: Dataset.range(8).map(
        lambda x: tf.while_loop(
            lambda i: i < x,
            lambda i: (tf.cond(i > 3, lambda: i + 2, lambda: i + 1),),
            (tf.constant(0, tf.int64),),
        )
    ),
    "print and assert": lambda: Dataset.range(8).map(
        lambda x: (tf.debugging.assert_positive(x + 1), tf.identity(x))[1]
    ),
    "resizing": lambda: (
        images().batch(4).map(lambda x, y: (keras.layers.Resizing(4, 4)(x), y))
    ),
    "text to numbers": lambda: Dataset.from_tensor_slices(["a b", "b"]).map(
        keras.layers.TextVectorization(vocabulary=["a", "b"])
    ),
    "pure NumPy function": lambda: Dataset.range(8).map(
        lambda x: tf.numpy_function(np.negative, [x], tf.int64, stateful=False)
    ),
}


@pytest.mark.parametrize("name", STEADY)
def test_steady_pipelines_are_known_as_such(name):
    dataset = STEADY[name]()
    assert inspect_dataset(dataset) == NOT_DRAWN
    assert read(dataset) == read(dataset)


REORDERED = {
    "shuffle": lambda: Dataset.range(64).shuffle(64),
    "shuffle with a seed": lambda: Dataset.range(64).shuffle(64, seed=1),
    "shuffle, map, batch": lambda: (
        Dataset.range(64).shuffle(64).map(lambda x: x + 1).batch(8).prefetch(1)
    ),
    "cache, then shuffle": lambda: Dataset.range(64).map(draw).cache().shuffle(64),
    "take all": lambda: Dataset.range(64).shuffle(64).take(64),
    "batches without remainder": lambda: (
        Dataset.range(64).shuffle(64).batch(8, drop_remainder=True)
    ),
    "padded to one size": lambda: (
        Dataset.range(64).shuffle(64).batch(1).padded_batch(8, [3])
    ),
}


@pytest.mark.parametrize("name", REORDERED)
def test_a_shuffle_changes_the_order_only(name):
    dataset = REORDERED[name]()
    assert inspect_dataset(dataset) == SHUFFLED
    # The same padding, so that the bytes of all batches are the same set of numbers.
    assert sorted(b"".join(read(dataset))) == sorted(b"".join(read(dataset)))
    assert read(dataset) != read(dataset)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Dataset.range(8).interleave(
            lambda x: Dataset.range(x), num_parallel_calls=2, deterministic=False
        ),
        lambda: Dataset.range(8).map(
            lambda x: x, num_parallel_calls=2, deterministic=False
        ),
        lambda: Dataset.range(8).batch(2, num_parallel_calls=2, deterministic=False),
        lambda: Dataset.range(8).interleave(lambda x: Dataset.range(x).shuffle(8)),
        lambda: _with_free_order(Dataset.range(8).map(lambda x: x, 2)),
        lambda: _with_free_order(
            Dataset.range(8).interleave(Dataset.range, num_parallel_calls=2)
        ),
    ],
)
def test_parallel_steps_that_may_reorder_count_as_shuffling(build):
    assert inspect_dataset(build()) == SHUFFLED


def _with_free_order(dataset):
    options = tf.data.Options()
    options.deterministic = False
    return dataset.with_options(options)


RANDOM = {
    "draws random numbers": [
        lambda: Dataset.range(8).map(draw),
        lambda: Dataset.range(8).map(draw).shuffle(8).batch(2),
        lambda: Dataset.range(8).cache().map(draw),
        lambda: images().map(lambda x, y: (tf.image.random_flip_up_down(x), y)),
        lambda: images().batch(8).map(with_layer(keras.layers.RandomFlip())),
        lambda: images().batch(8).map(with_layer(random_layers())),
        lambda: Dataset.range(8).map(
            lambda x: tf.map_fn(lambda y: draw(y), tf.stack([x, x]))
        ),
        lambda: Dataset.range(8).map(tf.function(draw)),
        lambda: Dataset.range(8).interleave(lambda x: Dataset.range(x).map(draw)),
        lambda: Dataset.range(8).filter(lambda x: tf.random.uniform(()) < 0.5),
        lambda: Dataset.range(8).map(with_generator()),
        lambda: Dataset.random().take(8),
        lambda: Dataset.range(8).map(draw).cache().take(4),  # never filled
        lambda: Dataset.zip(Dataset.range(4), Dataset.range(8).map(draw).cache()),
        lambda: Dataset.random(seed=1, rerandomize_each_iteration=True).take(8),
        lambda: Dataset.zip(Dataset.range(8), Dataset.random().batch(2)).map(
            lambda x, seed: tf.random.stateless_uniform((), seed)
        ),
        lambda: Dataset.sample_from_datasets(
            [Dataset.range(8), Dataset.range(8)], stop_on_empty_dataset=True
        ),
        lambda: Dataset.range(9).rejection_resample(
            lambda x: tf.cast(x % 2, tf.int64), [0.9, 0.1], [0.5, 0.5]
        ),
    ],
    "reads a Python generator": [
        lambda: Dataset.from_generator(
            lambda: iter([1]), output_signature=tf.TensorSpec((), tf.int32)
        ),
    ],
    "runs Python code": [
        lambda: Dataset.range(8).map(
            lambda x: tf.numpy_function(np.negative, [x], tf.int64)
        ),
        lambda: Dataset.range(8).map(
            lambda x: tf.py_function(lambda y: y, [x], tf.int64)
        ),
    ],
    "reads a variable": [
        lambda: Dataset.range(8).map(
            with_variable(lambda x, v: v + tf.cast(x, v.dtype))
        )
    ],
    "changes a variable": [
        lambda: Dataset.range(8).map(with_variable(lambda x, v: v.assign_add(1)))
    ],
    "keeps a state of its own": [
        lambda: Dataset.range(8).map(lambda x: tf.timestamp())
    ],
    "`take` after a shuffle": [lambda: Dataset.range(8).shuffle(8).take(4)],
    "`skip` after a shuffle": [lambda: Dataset.range(8).shuffle(8).skip(4).batch(2)],
    "`shard` after a shuffle": [lambda: Dataset.range(8).shuffle(8).shard(2, 1)],
    "`zip` after a shuffle": [
        lambda: Dataset.zip(Dataset.range(8).shuffle(8), Dataset.range(8)),
        lambda: Dataset.range(8).shuffle(8).enumerate(),
    ],
    "`batch` after a shuffle": [
        lambda: Dataset.range(8).shuffle(8).batch(3, drop_remainder=True),
    ],
    "`padded_batch` after a shuffle": [
        lambda: (
            Dataset.range(8).shuffle(8).map(lambda x: tf.repeat(x, x)).padded_batch(2)
        )
    ],
    "`window` after a shuffle": [
        lambda: Dataset.range(8).shuffle(8).window(2).flat_map(lambda x: x.batch(2))
    ],
    "`group_by_window` after a shuffle": [
        lambda: (
            Dataset.range(8)
            .shuffle(8)
            .group_by_window(lambda x: x % 2, lambda k, group: group.batch(2), 2)
        )
    ],
}


def with_layer(layer):
    return lambda x, y: (layer(x, training=True), y)


def random_layers():
    return keras.Sequential([keras.layers.Rescaling(2.0), keras.layers.Dropout(0.5)])


def with_generator():
    generator = tf.random.Generator.from_seed(1)
    return lambda x: generator.uniform(())


def with_variable(function):
    variable = tf.Variable(1)
    return lambda x: function(x, variable)


@pytest.mark.parametrize(
    ("reason", "build"),
    [(key, build) for key, all_of in RANDOM.items() for build in all_of],
)
def test_what_may_differ_from_pass_to_pass_is_named(reason, build):
    tf.random.set_seed(None)  # with a seed for all, Dataset.random repeats itself
    facts = inspect_dataset(build())
    assert reason in facts.randomness
    assert facts.identity is None


def test_keras_folders_are_steady_and_shuffle_when_asked(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for index in range(3):
            image = PIL.Image.fromarray(IMAGES[index])
            image.save(tmp_path / name / f"{index}.png")
    load = keras.utils.image_dataset_from_directory
    arguments = {"image_size": (4, 4), "batch_size": 2, "verbose": 0}
    assert inspect_dataset(load(tmp_path, shuffle=False, **arguments)) == NOT_DRAWN
    assert inspect_dataset(load(tmp_path, shuffle=True, **arguments)) == SHUFFLED
    files = Dataset.list_files(str(tmp_path / "*" / "*.png"))
    assert inspect_dataset(files.map(tf.io.read_file)) == SHUFFLED


def test_records_are_steady_and_shuffle_with_the_names_of_their_files(tmp_path):
    paths = [str(tmp_path / f"{index}.tfrecord") for index in range(3)]
    for path in paths:
        with tf.io.TFRecordWriter(path) as writer:
            writer.write(path.encode())
    read_records = tf.data.TFRecordDataset
    assert inspect_dataset(read_records(paths)) == NOT_DRAWN
    assert inspect_dataset(read_records(paths, num_parallel_reads=2)) == NOT_DRAWN
    names = Dataset.from_tensor_slices(paths)
    assert inspect_dataset(read_records(names.shuffle(3))) == SHUFFLED
    assert inspect_dataset(tf.data.TextLineDataset(names.shuffle(3))) == SHUFFLED


def test_tfds_is_steady_unless_its_files_are_shuffled(tmp_path):
    builder = _Numbers(data_dir=tmp_path)
    builder.download_and_prepare()
    assert inspect_dataset(builder.as_dataset(split="train[:75%]")) == NOT_DRAWN
    # More files than one are needed for a shuffle; with one the cache comes after it.
    uncached = tfds.ReadConfig(try_autocache=False)
    shuffled = builder.as_dataset("train", shuffle_files=True, read_config=uncached)
    assert inspect_dataset(shuffled) == SHUFFLED


class _Numbers(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"number": np.int64})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(8):
            yield number, {"number": number}


def test_our_loaders_are_taken_at_their_word():
    train, _ = tft.load_synthetic(num_examples=4, image_size=8)
    assert inspect_dataset(train) == DatasetFacts(False, None, train.fingerprint)
    assert len(train.fingerprint) == 64


def test_steps_after_a_loader_keep_its_randomness_but_not_its_identity():
    dataset = images().batch(2)
    dataset.fingerprint, dataset.shuffles, dataset.augmented = "abc", True, True
    facts = inspect_dataset(dataset)
    assert facts == DatasetFacts(True, "it changes images at random", None)
    dataset.augmented = False
    assert inspect_dataset(dataset).identity == "abc"
    assert inspect_dataset(dataset.map(lambda x, y: (x, y))) == SHUFFLED


def test_a_dataset_of_another_library_is_not_trusted():
    class Foreign(type(Dataset.range(1))):
        pass

    facts = inspect_dataset(Foreign(3).batch(1))
    assert facts == DatasetFacts(True, datasets.UNKNOWN, None)


def test_a_failing_private_name_is_answered_honestly(monkeypatch):
    dataset = Dataset.range(8).map(lambda x: x)

    def fail():
        raise NotImplementedError

    monkeypatch.setattr(dataset, "_functions", fail)
    assert inspect_dataset(dataset) == DatasetFacts(True, datasets.UNKNOWN, None)


def test_a_long_chain_is_followed_to_its_end():
    dataset = Dataset.range(1).map(draw)
    for _ in range(100):
        dataset = dataset.take(1)
    assert "random numbers" in inspect_dataset(dataset).randomness


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="Received: dataset of type list"):
        inspect_dataset([1, 2])
