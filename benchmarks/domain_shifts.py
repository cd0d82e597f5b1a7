"""Shifts between two domains, from small to large, and a stress half, by name.

`list_shifts()` gives them; `shift.build(pools, seed)` draws rows. The seed draws other
rows, other noise and another LeNet; source and target never share a row. Shifts that
have the same source and seed have the same source rows.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from domain_features import CORRUPTIONS, flatten, resize
from scipy import ndimage
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

SOURCE_ROWS, TARGET_ROWS = 1500, 1000
TINY = 100
KEPT_SHARE = 0.25  # of the second half of the classes, where shares change
COMPONENTS = 200


class Domains(NamedTuple):
    """Labeled source rows and target rows, whose `truth` only the last table reads."""

    source: np.ndarray
    labels: np.ndarray
    target: np.ndarray
    truth: np.ndarray
    num_classes: int


@dataclasses.dataclass(frozen=True)
class Shift:
    """One way in which a target differs from its source.

    Attributes:
        family: What its row of the table is called.
        name: Its own.
        build: Function of `Pools` and a seed that returns `Domains`.
        is_stress: Whether it is in the stress half.
    """

    family: str
    name: str
    build: Callable
    is_stress: bool = False

    @property
    def file_name(self):
        """The name without what a file system may not like."""
        kept = [c if c.isalnum() or c in "-._" else "_" for c in self.name]
        return "".join(kept)


def list_shifts():
    """Return all shifts, those of the stress half last."""
    plain = [
        *digits(),
        *rotations(),
        *corruptions(),
        *photographs(),
        *cells(),
        *texts(),
    ]
    return [*plain, *stress({shift.name: shift for shift in plain})]


def digits():
    for source, target in (
        ("mnist16", "usps16"),
        ("usps16", "mnist16"),
        ("mnist8", "digits8"),
        ("digits8", "mnist8"),
        ("usps8", "digits8"),
        ("digits8", "usps8"),
    ):
        build = functools.partial(between_pixels, source, target)
        yield Shift("digits, pixels", f"{source} to {target}", build)
    for source, target in (("mnist", "usps"), ("usps", "mnist")):
        build = functools.partial(between_lenet, source, target)
        yield Shift("digits, LeNet", f"{source} to {target}, LeNet", build)


def between_pixels(source, target, pools, seed):
    drawn = draw(pools.pixels[source], seed, source, SOURCE_ROWS)
    return Domains(*drawn, *draw(pools.pixels[target], seed, target, TARGET_ROWS), 10)


def between_lenet(source, target, pools, seed):
    found = pools.lenet(source, seed)
    of_source, of_target = (
        (found[name], found[f"{name} labels"]) for name in (source, target)
    )
    drawn = draw(of_source, seed, source, SOURCE_ROWS)
    return Domains(*drawn, *draw(of_target, seed, target, TARGET_ROWS), 10)


def rotations():
    for degrees in (10, 20, 30, 45, 60):
        build = functools.partial(changed_mnist, functools.partial(turn, degrees))
        yield Shift("MNIST, turned", f"mnist turned by {degrees}", build)


def turn(degrees, images, generator):
    return ndimage.rotate(images, degrees, axes=(1, 2), reshape=False, order=1)


def corruptions():
    for name, change in {
        "noise 0.2": lambda x, g: x + 0.2 * g.normal(size=x.shape),
        "noise 0.6": lambda x, g: x + 0.6 * g.normal(size=x.shape),
        "blur 1": lambda x, g: ndimage.gaussian_filter(x, (0, 1, 1)),
        "blur 2": lambda x, g: ndimage.gaussian_filter(x, (0, 2, 2)),
        "contrast 0.3": lambda x, g: 0.3 + 0.3 * x,
        "thick": lambda x, g: ndimage.grey_dilation(x, (1, 3, 3)),
        "thin": lambda x, g: ndimage.grey_erosion(x, (1, 2, 2)),
        "moved by 2": lambda x, g: np.roll(x, 2, axis=1),
    }.items():
        build = functools.partial(changed_mnist, change)
        yield Shift("MNIST, corrupted", f"mnist {name}", build)


def changed_mnist(change, pools, seed):
    """Draw from one half of the digits; change those of the other half."""
    images, labels = pools.pixels["mnist"]
    half = len(labels) // 2
    first = draw((images[:half], labels[:half]), seed, "first", SOURCE_ROWS)
    second = draw((images[half:], labels[half:]), seed, "second", TARGET_ROWS)
    changed = change(second[0], np.random.default_rng([seed, 2]))
    source, target = (flatten(resize(rows, 14)) for rows in (first[0], changed))
    return Domains(source, first[1], target, second[1], 10)


def photographs():
    for name in CORRUPTIONS:
        if name != "clean":
            build = functools.partial(corrupted_cifar, name)
            yield Shift("CIFAR-10, MobileNetV2", f"cifar {name}", build)


def corrupted_cifar(name, pools, seed):
    found = pools.cifar(seed)
    pool = found["source"], found["source labels"]
    source = draw(pool, seed, "cifar", SOURCE_ROWS)
    return Domains(*source, found[name], found["labels"], 10)


def cells():
    for source, target in (("mono", "poly"), ("poly", "mono")):
        build = functools.partial(between_wafers, source)
        yield Shift("ELPV, EfficientNet", f"cells {source} to {target}", build)


def between_wafers(source, pools, seed):
    is_source = pools.cells["mono"] == (source == "mono")
    parts = [
        draw((pools.cells["features"][rows], pools.cells["labels"][rows]), seed, *how)
        for rows, how in ((is_source, ("cells", 900)), (~is_source, ("more", 900)))
    ]
    return Domains(*parts[0], *parts[1], 2)


def texts():
    domains = ("imdb", "books", "kitchen")
    pairs = [(a, b) for a in domains for b in domains if a != b]
    for source, target in [*pairs, ("short", "long"), ("long", "short")]:
        for family, embed in (("tf-idf", by_terms), ("MiniLM", by_sentences)):
            build = functools.partial(embed, source, target)
            yield Shift(f"reviews, {family}", f"{source} to {target}, {family}", build)


def by_sentences(source, target, pools, seed):
    rows, columns = pick_reviews(source, target, pools, seed)
    return Domains(
        pools.sentences[source][rows],
        pools.reviews[source][1][rows],
        pools.sentences[target][columns],
        pools.reviews[target][1][columns],
        2,
    )


def by_terms(source, target, pools, seed):
    """Count words and pairs of both domains, in 200 dimensions; labels are not read."""
    places = pick_reviews(source, target, pools, seed)
    parts = [
        [part[rows] for part in pools.reviews[name]]
        for name, rows in zip((source, target), places, strict=True)
    ]
    counter = TfidfVectorizer(sublinear_tf=True, min_df=3, ngram_range=(1, 2))
    counts = counter.fit_transform(np.concatenate([texts for texts, _ in parts]))
    rows = TruncatedSVD(COMPONENTS, random_state=seed).fit_transform(counts)
    cut = len(parts[0][0])
    return Domains(rows[:cut], parts[0][1], rows[cut:], parts[1][1], 2)


def pick_reviews(source, target, pools, seed):
    sizes = [len(pools.reviews[name][1]) for name in (source, target)]
    if source == target:
        order = order_of(sizes[0], seed, source)
        return np.split(order[: 2 * min(TARGET_ROWS, sizes[0] // 2)], 2)
    return (
        order_of(sizes[0], seed, source)[:SOURCE_ROWS],
        order_of(sizes[1], seed, target)[:TARGET_ROWS],
    )


def stress(plain):
    """Yield shifts whose target misses classes or rows, and some that are none."""
    for what, change, names in (
        (
            "other shares",
            with_other_shares,
            (
                "mnist to usps, LeNet",
                "mnist turned by 20",
                "cifar blur 3",
                "books to kitchen, MiniLM",
                "cells poly to mono",
            ),
        ),
        (
            "missing classes",
            without_classes,
            (
                "usps16 to mnist16",
                "cifar contrast 0.5",
                "mnist thick",
                "mnist8 to digits8",
            ),
        ),
        (
            "100 rows",
            with_few_rows,
            (
                "mnist16 to usps16",
                "cifar jpeg 10",
                "imdb to kitchen, MiniLM",
                "cells mono to poly",
            ),
        ),
    ):
        for name in names:
            build = functools.partial(changed_target, plain[name].build, change)
            yield Shift(f"stress: {what}", f"{name}, {what}", build, True)
    for name, build in {
        "mnist": functools.partial(changed_mnist, lambda x, g: x),
        "cifar": functools.partial(corrupted_cifar, "clean"),
        "imdb, MiniLM": functools.partial(by_sentences, "imdb", "imdb"),
        "books, tf-idf": functools.partial(by_terms, "books", "books"),
        "cells of both kinds": mixed_cells,
    }.items():
        yield Shift("stress: no shift", f"{name}, no shift", build, True)


def changed_target(build, change, pools, seed):
    domains = build(pools, seed)
    rows = change(domains, np.random.default_rng([seed, 3]))
    return domains._replace(target=domains.target[rows], truth=domains.truth[rows])


def with_other_shares(domains, generator):
    is_rare = domains.truth >= domains.num_classes // 2
    chance = np.where(is_rare, KEPT_SHARE, 1)
    return np.flatnonzero(generator.random(len(is_rare)) < chance)


def without_classes(domains, generator):
    left = generator.permutation(domains.num_classes)[: domains.num_classes // 2]
    return np.flatnonzero(np.isin(domains.truth, left))


def with_few_rows(domains, generator):
    return generator.permutation(len(domains.truth))[:TINY]


def mixed_cells(pools, seed):
    features, labels = pools.cells["features"], pools.cells["labels"]
    source, target = np.array_split(order_of(len(labels), seed, "mixed")[:2000], 2)
    return Domains(
        features[source], labels[source], features[target], labels[target], 2
    )


def draw(pool, seed, name, count):
    """Return rows and labels, the same for the same seed and name."""
    rows = order_of(len(pool[1]), seed, name)[:count]
    return pool[0][rows], pool[1][rows]


def order_of(count, seed, name):
    return np.random.default_rng([seed, zlib.crc32(name.encode())]).permutation(count)
