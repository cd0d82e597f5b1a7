import numpy as np
import pytest
import tensorflow as tf

from tftransfer.data.leakage import check_leakage
from tftransfer.data.pipelines import Preparation, make_dataset


def photographs(count, seed=0, side=64):
    """Smooth random images, so that compression and scaling change little."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (count, 8, 8, 3)).astype("float32")
    images = tf.image.resize(coarse, (side, side), method="bicubic").numpy()
    return np.clip(np.rint(images), 0, 255).astype("uint8")


def batches(images, batch_size=7):
    return tf.data.Dataset.from_tensor_slices(images).batch(batch_size)


def found(report):
    return [(pair.train_index, pair.test_index, pair.kind) for pair in report.pairs]


def jpeg(image):
    return tf.io.decode_jpeg(tf.io.encode_jpeg(image, quality=60)).numpy()


def test_different_images_are_no_leakage():
    report = check_leakage(batches(photographs(60)), batches(photographs(30, seed=1)))
    assert not report and report.pairs == []
    assert str(report) == (
        "No leakage found: compared 30 test examples against 60 to train on."
    )


def test_exact_copies_are_found_with_their_positions():
    train = photographs(20)
    test = np.concatenate([photographs(5, seed=1), train[[13, 2]]])
    report = check_leakage(batches(train), batches(test, 4))
    assert report and found(report) == [(13, 5, "exact"), (2, 6, "exact")]
    assert (report.count("exact"), report.count("near")) == (2, 0)
    assert "Leakage: 2 exact and 0 near" in str(report)
    assert "train     13  test      5" in str(report)


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda image: np.clip(image.astype(int) + 12, 0, 255).astype("uint8"),
        lambda image: np.clip(image * 0.9, 0, 255).astype("uint8"),
        lambda image: np.clip(image.astype(int) + (image[:1, :1] > 99), 0, 255),
    ],
    ids=["jpeg", "brighter", "less contrast", "one level"],
)
def test_edited_copies_are_near_duplicates(change):
    train = photographs(20)
    copies = np.stack([change(image) for image in train[:5]]).astype("uint8")
    report = check_leakage(batches(train), batches(copies))
    assert found(report) == [(i, i, "near") for i in range(5)]


def test_a_copy_at_another_size_is_a_near_duplicate():
    train = photographs(10)
    small = tf.image.resize(train[3:5], (40, 40), antialias=True).numpy()
    assert found(check_leakage(batches(train), batches(small))) == [
        (3, 0, "near"),
        (4, 1, "near"),
    ]


def test_one_layout_with_other_content_is_no_false_alarm():
    # the same bright frame and dark lines everywhere, only the texture differs
    random = np.random.default_rng(0)
    layout = np.full((64, 64, 3), 150.0)
    layout[::16], layout[:, :3] = 30, 230
    texture = random.normal(0, 1, (40, 16, 16, 1)).repeat(4, 1).repeat(4, 2)
    images = np.clip(layout + 12 * texture, 0, 255).astype("uint8")
    assert not check_leakage(batches(images[:25]), batches(images[25:]))


def test_plain_images_agree_only_in_the_same_gray():
    plain = np.stack([np.full((16, 16, 3), v, "uint8") for v in (0, 100, 101, 200)])
    assert not check_leakage(batches(plain[:1]), batches(plain[1:]))
    assert found(check_leakage(batches(plain[1:2]), batches(plain[2:]))) == [
        (0, 0, "near")
    ]


def test_pixels_count_not_their_number_type():
    images = photographs(3)
    report = check_leakage(batches(images), batches(images.astype("float32")))
    assert report.count("exact") == 3


def test_a_shuffled_augmented_training_set_is_read_as_it_was_before():
    images = photographs(12)
    train = make_dataset(
        tf.data.Dataset.from_tensor_slices((images, np.arange(12))),
        tf.identity,
        Preparation(batch_size=4, augment=("flip_vertical", "brightness")),
        training=True,
    )
    report = check_leakage(train, batches(images[[7, 9]]))
    assert found(report) == [(7, 0, "exact"), (9, 1, "exact")]


def test_the_closest_training_image_is_reported():
    train = np.concatenate([np.stack([jpeg(photographs(1)[0])]), photographs(1)])
    assert found(check_leakage(batches(train), batches(photographs(1)))) == [
        (1, 0, "exact")
    ]


def test_long_reports_are_cut():
    images = photographs(14)
    text = str(check_leakage(batches(images), batches(images)))
    assert text.endswith("and 4 more") and len(text.splitlines()) == 12


def test_texts_are_compared_for_equality():
    report = check_leakage(batches(["a", "b"]), batches(["c", "b"]))
    assert found(report) == [(1, 1, "exact")]


def test_unbatched_and_empty_data_are_refused():
    images = photographs(2)
    with pytest.raises(ValueError, match=r"Received: a tensor of shape \(64, 64, 3\)"):
        check_leakage(batches(images).unbatch(), batches(images))
    with pytest.raises(ValueError, match="Received: test with none"):
        check_leakage(batches(images), batches(images).take(0))


def test_the_correlation_must_be_a_share():
    with pytest.raises(ValueError, match="Received: min_correlation=2"):
        check_leakage(None, None, min_correlation=2)
    with pytest.raises(TypeError, match="Received: min_correlation='high'"):
        check_leakage(None, None, min_correlation="high")
