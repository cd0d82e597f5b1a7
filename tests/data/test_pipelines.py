import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.pipelines import Preparation, make_dataset
from tftransfer.resizing import build_resizing, resize_images

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 8, 6, 3), "uint8")


def examples():
    return tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(10)))


def make(training=False, shape=(8, 6, 3), **options):
    preparation = Preparation(**{"batch_size": 4, **options})
    return make_dataset(
        examples(), tf.identity, preparation, training=training, shape=shape
    )


def gather(dataset):
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_evaluation_keeps_order_values_and_dtype():
    dataset = make()
    images, labels = gather(dataset)
    np.testing.assert_array_equal(images, IMAGES)
    assert images.dtype == np.uint8 and labels.tolist() == list(range(10))
    assert [len(y) for _, y in dataset] == [4, 4, 2] and len(dataset) == 3


@pytest.mark.parametrize("shape", [None, (8, 6, 3)], ids=["one by one", "by batch"])
@pytest.mark.parametrize("crop", [False, True])
def test_resizing_is_that_of_models_to_the_last_bit(shape, crop):
    images, _ = gather(make(shape=shape, image_size=(5, 7), crop=crop))
    wanted = resize_images(IMAGES, build_resizing((5, 7), crop=crop))
    np.testing.assert_array_equal(images, wanted)
    assert images.dtype == np.float32 and (images % 1 != 0).any()


def test_shrinking_by_two_averages_neighbors_as_worked_by_hand():
    # antialiased bilinear at factor 2 weighs four pixels 1/8, 3/8, 3/8, 1/8
    row = np.float32([0, 80, 160, 240, 200, 100, 0, 0])
    images = np.repeat(row[None, None, :, None], 8, axis=1)
    dataset = make_dataset(
        tf.data.Dataset.from_tensor_slices((images, [0])),
        tf.identity,
        Preparation(image_size=(8, 4)),
    )
    middle = gather(dataset)[0][0, 0, 1, 0]
    assert middle == pytest.approx((80 + 3 * 160 + 3 * 240 + 200) / 8)


def test_a_model_s_own_resizing_layer_is_taken():
    layer = build_resizing((4, 4), interpolation="nearest", crop=True)
    images, _ = gather(make(image_size=layer))
    np.testing.assert_array_equal(images, resize_images(IMAGES, layer))


def test_training_is_reproducible_and_new_every_epoch():
    first, again, other = make(True), make(True), make(True, seed=1)
    epochs = [gather(first)[1].tolist() for _ in range(3)]
    assert [gather(again)[1].tolist() for _ in range(3)] == epochs
    assert epochs[0] != epochs[1] != epochs[2]
    assert gather(other)[1].tolist() != epochs[0]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)


def test_images_stay_with_their_labels_when_shuffled():
    images, labels = gather(make(True))
    np.testing.assert_array_equal(images, IMAGES[labels])


def test_augmentation_changes_training_only():
    steps = ("flip", "brightness")
    train = make(True, augment=steps)
    images, labels = gather(train)
    assert (images != IMAGES[labels]).any()
    np.testing.assert_array_equal(gather(make(augment=steps))[0], IMAGES)
    np.testing.assert_array_equal(gather(train.unshuffled)[0], IMAGES)


def test_augmentation_is_reproducible_and_new_every_epoch():
    first, again = (make(True, augment=("brightness",)) for _ in range(2))
    for _ in range(2):
        np.testing.assert_array_equal(gather(first)[0], gather(again)[0])
    by_label = [dict(zip(*gather(first)[::-1], strict=True)) for _ in range(2)]
    assert any((by_label[0][i] != by_label[1][i]).any() for i in range(10))


def test_cache_decodes_once_and_still_reshuffles():
    calls = tf.Variable(0)

    def decode(image):
        calls.assign_add(1)
        return image

    dataset = make_dataset(
        examples(), decode, Preparation(batch_size=4, cache=True), training=True
    )
    epochs = [gather(dataset) for _ in range(3)]
    assert int(calls) == 10
    assert epochs[1][1].tolist() != epochs[2][1].tolist()
    np.testing.assert_array_equal(epochs[2][0], IMAGES[epochs[2][1]])


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize(
    ("size", "steps"),
    [(None, ()), ((5, 7), ()), ((16, 16), ()), ((5, 7), ("contrast",))],
)
def test_grey_sources_are_prepared_as_if_they_had_three_channels(size, steps, cache):
    gray = IMAGES[..., :1]

    def prepared(pixels, is_gray):
        return make_dataset(
            tf.data.Dataset.from_tensor_slices((pixels, np.arange(10))),
            tf.identity,
            Preparation(image_size=size, batch_size=4, augment=steps, cache=cache),
            training=True,
            shape=pixels.shape[1:],
            gray=is_gray,
        )

    found = prepared(gray, True)
    wanted = prepared(np.repeat(gray, 3, axis=3), False)
    assert found.element_spec == wanted.element_spec
    np.testing.assert_array_equal(gather(found)[0], gather(wanted)[0])
    np.testing.assert_array_equal(
        gather(found.unshuffled)[0], gather(wanted.unshuffled)[0]
    )


def test_class_names_hang_on_dataset_and_on_unshuffled():
    dataset = make_dataset(
        examples(), tf.identity, Preparation(), training=True, class_names=["a", "b"]
    )
    assert dataset.class_names == dataset.unshuffled.class_names == ["a", "b"]
    assert make().unshuffled is not None


def test_a_model_fits_on_it():
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(make(True, image_size=4), epochs=2, shuffle=False, verbose=0)
    assert len(history.history["loss"]) == 2


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"batch_size": 0}, ValueError, "Received: batch_size=0"),
        ({"batch_size": 2.0}, TypeError, "Received: batch_size=2.0"),
        ({"seed": -1}, ValueError, "Received: seed=-1"),
        ({"seed": None}, TypeError, "Received: seed=None"),
        ({"image_size": (0, 4)}, ValueError, "Received: image_size="),
        ({"image_size": 4, "interpolation": "x"}, ValueError, "interpolation='x'"),
        ({"augment": ("spin",)}, ValueError, "Received: augment='spin'"),
    ],
)
def test_unusable_options_are_refused_before_any_work(options, error, text):
    with pytest.raises(error, match=text):
        Preparation(**options)
