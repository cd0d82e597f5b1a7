import numpy as np
import pytest

from tftransfer.data.synthetic import load_synthetic


def arrays(dataset):
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_color_tells_the_class_and_the_seed_the_images():
    train, test = (arrays(part) for part in load_synthetic(3, num_examples=30))
    again, _ = (arrays(part) for part in load_synthetic(3, num_examples=30))
    np.testing.assert_array_equal(train[0], again[0])
    assert not np.array_equal(train[0], test[0])
    centers = np.stack([train[0][train[1] == c].mean(axis=(0, 1, 2)) for c in range(3)])
    colors = test[0].mean(axis=(1, 2))
    nearest = ((colors[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, test[1])


def test_shapes_and_names():
    (only,) = load_synthetic(
        2, num_splits=1, num_examples=5, image_size=(4, 6), batch_size=2
    )
    assert [len(labels) for _, labels in only] == [2, 2, 1]
    assert only.element_spec[0].shape == (None, 4, 6, 3)
    assert only.class_names == ["class 0", "class 1"]


def test_every_argument_but_the_batch_size_is_in_the_fingerprint():
    plain = [part.fingerprint for part in load_synthetic(2)]
    assert plain == [part.fingerprint for part in load_synthetic(2, batch_size=5)]
    others = [
        load_synthetic(3)[0],
        load_synthetic(2, num_examples=63)[0],
        load_synthetic(2, image_size=(32, 31))[0],
        load_synthetic(2, seed=1)[0],
    ]
    assert len({*plain, *(part.fingerprint for part in others)}) == 6
    assert not others[0].shuffles and others[0].unshuffled is others[0]


@pytest.mark.parametrize("name", ["num_classes", "num_splits", "num_examples"])
def test_counts_that_are_not_positive_are_refused(name):
    with pytest.raises(ValueError, match=f"Received: {name}=0"):
        load_synthetic(**{name: 0})
