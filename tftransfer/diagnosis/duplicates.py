"""Rows of validation or test data that are training rows too."""

import collections

import tensorflow as tf

from tftransfer.data.leakage import check_leakage
from tftransfer.diagnosis.finding import ERROR, Finding, NotChecked

SHARE, _FEWEST = 0.01, 2
_MOST_FOR_NEAR = 4000


def find_duplicates(case):
    """Find rows that are both trained on and measured on.

    Rows are compared by content; images of moderate number also by look, as
    `check_leakage` does. Equal rows are expected where training rows repeat among
    themselves, as short texts and rows of few categories do: they count only beyond
    three times that share.
    """
    if case.train is None or (case.validation is None and case.test is None):
        raise NotChecked("training data, and validation or test data, are needed")
    found = []
    for other in (case.validation, case.test):
        if other is not None:
            found += _compare(case.train, other)
    return found


def _compare(train, other):
    counts = collections.Counter(train.digests)
    repeated = sum(count - 1 for count in counts.values()) / len(train.digests)
    exact = sum(digest in counts for digest in other.digests)
    near = _count_near(train, other)
    share = max(exact, near) / len(other.digests)
    if max(exact, near) < _FEWEST or share < max(SHARE, 3 * repeated):
        return []
    return [
        Finding(
            "duplicates",
            ERROR,
            f"{max(exact, near)} rows of `{other.name}` are in the training data.",
            {
                "exact": exact,
                "exact or nearly": max(exact, near),
                "share": share,
                "repeated within training": repeated,
                "compared": [len(train.digests), len(other.digests)],
            },
            "What is measured on them is memory: figures are better than on new data.",
            f"print(tft.check_leakage(data, {other.name}))  # then drop these rows",
        )
    ]


def _count_near(train, other):
    """Count near duplicates where both are images in datasets of bounded size."""
    parts = [getattr(x.source, "unshuffled", x.source) for x in (train, other)]
    small = all(x.whole and len(x.digests) <= _MOST_FOR_NEAR for x in (train, other))
    if not small or not all(map(_are_images, parts)):
        return 0
    images = [x.map(lambda *element: element[0]) for x in parts]
    return len(check_leakage(*images).pairs)


def _are_images(dataset):
    if not isinstance(dataset, tf.data.Dataset):
        return False
    spec = dataset.element_spec
    spec = spec[0] if isinstance(spec, tuple) else spec
    is_image = isinstance(spec, tf.TensorSpec) and spec.shape.rank == 4
    # Gray thumbnails of very small images tell nothing.
    return is_image and None not in spec.shape[1:3] and min(spec.shape[1:3]) >= 32
