import gc
import pickle
import types

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

import tftransfer as tft
from tftransfer.data.domains import pair_domains
from tftransfer.data.unlabeled import UnlabeledDomain

SECRET = np.arange(7000, 7040, dtype="int64")  # numbers that occur nowhere else
IMAGES = np.random.default_rng(0).random((40, 4, 4, 3)).astype("float32")
LINE = "UnlabeledDomain: the labels of the target are dropped, nothing learns them.\n"


def images_and_labels():
    return tf.data.Dataset.from_tensor_slices((IMAGES, SECRET)).batch(8)


def table():
    return np.concatenate([np.zeros((40, 3)), SECRET[:, None]], axis=1)


def generated():
    labels = SECRET.copy()

    def rows():
        yield from zip(IMAGES, labels, strict=True)

    return tf.data.Dataset.from_generator(
        rows,
        output_signature=(
            tf.TensorSpec((4, 4, 3), tf.float32),
            tf.TensorSpec((), tf.int64),
        ),
    ).batch(8)


def mapped():
    labels = tf.constant(SECRET)
    rows = tf.data.Dataset.from_tensor_slices((IMAGES, np.arange(40)))
    return rows.map(lambda x, i: (x, labels[i])).cache().shuffle(40).batch(8)


class Marked(np.ndarray):
    """An array that carries its labels with it."""


def marked():
    array = np.zeros((40, 3)).view(Marked)
    array.labels = SECRET.copy()
    return array


LABELED = {
    "dataset": images_and_labels,
    "generator": generated,
    "closure of a map": mapped,
    "weights too": lambda: images_and_labels().map(lambda x, y: (x, y, y)),
    "arrays": lambda: (IMAGES, SECRET.copy()),
    "arrays and weights": lambda: (IMAGES, SECRET.copy(), np.ones(40)),
    "view of a table": lambda: (table()[:, :3], SECRET.copy()),
    "texts": lambda: (["some text"] * 40, SECRET.tolist()),
    "sparse": lambda: (scipy.sparse.csr_matrix(np.eye(40)), SECRET.copy()),
    "dictionary of inputs": lambda: ({"a": IMAGES, "b": IMAGES}, SECRET.copy()),
}
each_kind = pytest.mark.parametrize("kind", LABELED)


def reachable(start):
    """Every object that a path of references leads to, what is global aside.

    Global are modules, classes and TensorFlow's register of the whole process, which
    every variable and dataset refers to.
    """
    register = tf.compat.v1.get_default_graph()
    seen, waiting = {id(register): None}, [start]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, (types.ModuleType, type)):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, types.FunctionType):
            waiting += [thing.__closure__, thing.__defaults__, thing.__dict__]
        elif isinstance(thing, np.ndarray):
            waiting += [thing.base, getattr(thing, "__dict__", None)]
            waiting += thing.ravel().tolist() if thing.dtype.hasobject else []
        elif isinstance(thing, types.FrameType):
            continue  # of this very function
        else:
            waiting += gc.get_referents(thing)
    return list(seen.values())


def holds_secret(thing):
    if tf.is_tensor(thing) and hasattr(thing, "numpy"):
        is_plain = thing.dtype not in (tf.variant, tf.resource)
        thing = thing.numpy() if is_plain else None
    if isinstance(thing, np.ndarray) and thing.dtype.kind in "iuf":
        return bool(np.isin(thing, SECRET).any())
    return isinstance(thing, int) and 7000 <= thing < 7040


def names_of(things):
    return [type(thing).__name__ for thing in things if holds_secret(thing)]


@each_kind
def test_no_path_leads_from_the_domain_to_the_labels(kind, capsys):
    given = LABELED[kind]()
    assert names_of(reachable(given)), "the test must be able to see the labels"
    domain = UnlabeledDomain(given)
    assert capsys.readouterr().out == LINE and domain.dropped_labels
    assert names_of(reachable(domain)) == []
    assert names_of(reachable(list(domain))) == []
    assert len(domain) == 40


@pytest.mark.parametrize("kind", ["dataset", "generator", "closure of a map"])
def test_a_dataset_hands_out_inputs_alone_by_every_door(kind):
    data = UnlabeledDomain(LABELED[kind]()).data
    assert isinstance(data.element_spec, tf.TensorSpec)
    assert data.element_spec.dtype == tf.float32
    seen = []
    steps = data.map(lambda *parts: seen.append(len(parts)) or parts[0])
    assert seen == [1]
    for dataset in (data, steps, data.unbatch(), data.take(1), data.prefetch(1)):
        assert not any(holds_secret(np.asarray(batch)) for batch in dataset)
        assert names_of(reachable(dataset)) == []


@each_kind
def test_pickling_carries_no_labels(kind):
    domain = UnlabeledDomain(LABELED[kind]())
    if isinstance(domain.data, tf.data.Dataset):
        with pytest.raises(TypeError, match=r"Received: a tf\.data\.Dataset inside"):
            pickle.dumps(domain)
        return
    stored = pickle.dumps(domain)
    assert SECRET.tobytes() not in stored
    again = pickle.loads(stored)
    assert len(again) == 40 and again.dropped_labels
    assert names_of(reachable(again)) == []


def test_labels_carried_by_an_array_itself_stay_outside():
    assert names_of(reachable(marked()))
    assert names_of(reachable(UnlabeledDomain(marked()))) == []


def test_data_without_labels_pass_in_silence(capsys):
    plain = images_and_labels().map(lambda x, y: x)
    for data in (IMAGES, (IMAGES,), (IMAGES, None), plain, ["a", "b"]):
        assert UnlabeledDomain(data).dropped_labels is False
    assert capsys.readouterr().out == ""
    assert UnlabeledDomain(IMAGES).data is IMAGES  # nothing is copied without need


def test_the_rows_are_those_given():
    np.testing.assert_array_equal(UnlabeledDomain((IMAGES, SECRET)).data, IMAGES)
    for data in (images_and_labels(), generated()):
        batches = [batch.numpy() for batch in UnlabeledDomain(data)]
        np.testing.assert_array_equal(np.concatenate(batches), IMAGES)
    batches = list(UnlabeledDomain((IMAGES, SECRET)))
    np.testing.assert_array_equal(np.concatenate(batches), IMAGES)
    both = list(UnlabeledDomain(LABELED["dictionary of inputs"]()))
    np.testing.assert_array_equal(np.concatenate([b["b"] for b in both]), IMAGES)


def test_tables_and_generators_of_a_pipeline_live_on(capsys):
    def build():
        initializer = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0])
        lookup = tf.lookup.StaticHashTable(initializer, -1.0)
        texts = tf.data.Dataset.from_tensor_slices((["a", "b"], [0, 1]))
        return UnlabeledDomain(texts.map(lambda x, y: (lookup.lookup(x), y)).batch(2))

    domain = build()
    gc.collect()
    assert next(iter(domain)).numpy().tolist() == [1.0, 2.0]
    domain = UnlabeledDomain(generated())
    gc.collect()
    assert len(domain) == 40


def test_a_domain_given_again_is_the_same(capsys):
    domain = UnlabeledDomain((IMAGES, SECRET))
    capsys.readouterr()
    again = UnlabeledDomain(domain)
    assert again.data is domain.data and again.dropped_labels
    assert capsys.readouterr().out == ""


def test_a_loaders_dataset_keeps_what_features_are_found_by():
    train, _ = tft.load_synthetic(num_examples=20, batch_size=8)
    data = UnlabeledDomain(train).data
    told = vars(data)
    assert told["fingerprint"] and told["fingerprint"] != vars(train)["fingerprint"]
    assert told["unshuffled"] is data and told["augmented"] is False
    assert told["class_names"] is None
    paired = pair_domains(train, train).domains[1]
    assert vars(paired)["fingerprint"] == told["fingerprint"]


def test_a_shuffled_dataset_keeps_its_first_order_without_labels(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for number in range(6):
            image = np.full((8, 8, 3), 20 * number, "uint8")
            keras.utils.save_img(tmp_path / name / f"{number}.png", image, scale=False)
    train, _ = tft.load_folder(tmp_path, image_size=8, batch_size=4)
    assert "cats" in repr(reachable(train))
    data = UnlabeledDomain(train).data
    assert "cats" not in repr(reachable(data))  # names of files tell the classes
    first = vars(data)["unshuffled"]
    assert first is not data and isinstance(first.element_spec, tf.TensorSpec)
    expected = [batch.numpy() for batch, _ in train.unshuffled]
    found = [batch.numpy() for batch in first]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))


def test_features_are_extracted_once_and_found_again(tmp_path):
    train, _ = tft.load_synthetic(num_examples=20, batch_size=8, image_size=(4, 4))
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    data = UnlabeledDomain(train).data
    first = tft.extract_features(model, data, directory=tmp_path, verbose=0)
    assert first.labels is None and first.features.shape == (20, 2)
    again = UnlabeledDomain(
        tft.load_synthetic(num_examples=20, batch_size=8, image_size=(4, 4))[0]
    ).data
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    tft.extract_features(model, again, directory=tmp_path, verbose=0)
    assert stored == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    domain = UnlabeledDomain(
        tft.extract_features(model, train, directory=tmp_path, verbose=0)
    )
    assert domain.dropped_labels and type(domain.data) is np.ndarray
    np.testing.assert_allclose(domain.data, np.asarray(first.features), rtol=1e-6)


REFUSED = {
    "labels alone": (SECRET, ValueError, r"Received: data of shape \(40,\)"),
    "no rows": (np.zeros((0, 3)), ValueError, r"Received: data of shape \(0, 3\)"),
    "objects": ([{"x": 1}], TypeError, r"parts of type \['dict'\]"),
    "a bare dictionary": (
        {"image": IMAGES, "label": SECRET},
        ValueError,
        r"Received: a dictionary of \['image', 'label'\]",
    ),
    "fields": (
        np.zeros((4, 2), [("x", "f4"), ("y", "i8")]),
        ValueError,
        "Received: data of shape",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_tell_rows_is_refused(name):
    data, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        UnlabeledDomain(data)


def test_datasets_that_cannot_be_read_in_batches_to_an_end_are_refused():
    rows = tf.data.Dataset.from_tensor_slices((IMAGES, SECRET))
    for data in (rows, rows.map(lambda x, y: x)):
        with pytest.raises(ValueError, match=r"Received: data\.element_spec"):
            UnlabeledDomain(data)
    for data in (rows.batch(2).repeat(), rows.batch(2).take(0)):
        with pytest.raises(ValueError, match="Received: data with cardinality"):
            UnlabeledDomain(data)
    with pytest.raises(ValueError, match=r"a dataset of \['image', 'label'\]"):
        UnlabeledDomain(rows.batch(2).map(lambda x, y: {"image": x, "label": y}))
