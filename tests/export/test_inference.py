import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export.loading import load_exported
from tftransfer.export.saved_model import export_model


@pytest.fixture(scope="module")
def loaded(exports):
    return {name: load_exported(export.path) for name, export in exports.items()}


@pytest.fixture
def files(tmp_path, photo):
    names = [tmp_path / f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        pixels = photo(20 + number, 31, seed=number)
        name.write_bytes(tf.io.encode_png(pixels).numpy())
    return names


def test_what_was_exported_is_known(loaded, exports):
    for name, model in loaded.items():
        assert model.labels == exports[name].names
        assert model.metadata == exports[name].about
    assert loaded["multi_label"].task == "multi_label"


def test_files_arrays_and_the_live_model_agree(loaded, exports, files):
    pixels = [tf.io.decode_png(file.read_bytes()).numpy() for file in files]
    live = [
        exports["classes"].model.predict(image[None].astype("float32"), verbose=0)[0]
        for image in pixels
    ]
    expected = tf.nn.softmax(live)
    model = loaded["classes"]
    for given in (files, files[0].parent, pixels):
        predictions = model.predict(given)
        np.testing.assert_allclose(predictions.to_array(), expected, atol=1e-5)
    assert [row.source for row in model.predict(files)] == list(map(str, files))
    assert [row.source for row in model.predict(pixels)] == [0, 1, 2, 3, 4]


def test_one_file_is_one_row(loaded, files):
    (row,) = loaded["binary"].predict(str(files[0]))
    assert row.source == str(files[0])
    assert row.label in {"good", "defect"}
    assert 0.5 <= row.probability <= 1
    assert sum(row.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batches_change_nothing(loaded, files, batch_size):
    model, images = loaded["regression"], np.stack([np.eye(3)] * 7).astype("uint8")
    images = np.repeat(images[..., None], 3, axis=-1) * 255
    for given in (files, images):
        np.testing.assert_allclose(
            model.predict(given, batch_size=batch_size).to_array(),
            model.predict(given).to_array(),
            atol=1e-5,
        )


def test_rows_of_mixed_sizes_stay_in_order(loaded, photo):
    images = [photo(9, 9), photo(30, 20, seed=1), photo(9, 9, seed=2)]
    together = loaded["classes"].predict(images).to_array()
    alone = [loaded["classes"].predict([image]).to_array()[0] for image in images]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_nothing_gives_an_empty_table(loaded):
    assert len(loaded["classes"].predict([])) == 0
    assert len(loaded["classes"].predict(np.zeros((0, 4, 4, 3), "uint8"))) == 0


def test_version_folder_is_taken_too(exports):
    export = exports["classes"]
    assert load_exported(export.path / "1").metadata == export.about


def test_version_folder_alone_knows_everything_but_the_proof(exports, tmp_path):
    shutil.copytree(exports["binary"].path / "1", tmp_path / "served")
    with pytest.warns(UserWarning, match="'.*served' are not checked: no metadata.jso"):
        model = load_exported(tmp_path / "served")
    expected = {**exports["binary"].about}
    for later in ("parity", "requires", "formats", "files"):
        del expected[later]
    assert model.metadata == expected


def test_texts_and_numbers_are_predicted(tmp_path, no_fresh_process):
    words = keras.layers.TextVectorization(
        vocabulary=["good", "bad"], output_mode="multi_hot"
    )
    inputs = keras.Input((), dtype="string")
    model = keras.Model(inputs, keras.layers.Dense(2)(words(inputs)))
    export_model(model, tmp_path / "texts", task="classification", verbose=False)
    texts = load_exported(tmp_path / "texts")
    expected = tf.nn.softmax(model(tf.constant(["good", "so bad"])))
    predictions = texts.predict(["good", "so bad"], batch_size=1)
    np.testing.assert_allclose(predictions.to_array(), expected, atol=1e-6)
    assert len(texts.predict("good")) == 1
    for given in (np.array(["good", "bad"]), tf.constant(["good", "bad"]), []):
        assert len(texts.predict(given)) == len(given)
    for wrong, told in (
        ([None], "None, in 1 rows"),
        (["a", 3], "3, in 2 rows"),
        ([["a", "b"]], r"texts of shape \(1, 2\), in 1 rows"),
        (7, "rows=7. Pass a list"),
    ):
        with pytest.raises(TypeError, match=f"`rows` must be .*Received: {told}"):
            texts.predict(wrong)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    export_model(model, tmp_path / "numbers", task="regression", verbose=False)
    numbers = load_exported(tmp_path / "numbers")
    rows = np.arange(12.0).reshape(3, 4)
    np.testing.assert_allclose(numbers.predict(rows).to_array(), model(rows), rtol=1e-5)
    with pytest.raises(ValueError, match=r"Received: rows of shape \(3, 5\)"):
        numbers.predict(np.zeros((3, 5)))


def test_a_model_of_many_channels_takes_no_files(tmp_path, no_fresh_process, files):
    inputs = keras.Input((None, None, 5))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    export_model(model, tmp_path / "x", task="classification", verbose=False)
    bands = load_exported(tmp_path / "x")
    assert len(bands.predict(np.zeros((2, 6, 7, 5), "uint8"))) == 2
    with pytest.raises(ValueError, match="of 5 channels.*Received: rows="):
        bands.predict(files)


def test_a_broken_file_is_named(loaded, files):
    files[3].write_bytes(files[3].read_bytes()[:50])
    with pytest.raises(ValueError, match=r"Received: '.*3.png', which cannot be decod"):
        loaded["classes"].predict(files, batch_size=2)


def test_a_missing_file_is_named_before_any_work(loaded, files, monkeypatch):
    monkeypatch.setattr(type(loaded["classes"]), "_serve", pytest.fail)
    with pytest.raises(ValueError, match=r"Received: '.*lost.png', which is not there"):
        loaded["classes"].predict([*files, "lost.png"])


@pytest.mark.parametrize("name", ["classes", "multi_label", "regression"])
def test_good_files_are_answered_beside_bad_ones(name, loaded, files):
    wanted = loaded[name].predict(files).to_array()
    files[1].write_bytes(files[1].read_bytes()[:50])
    given = [files[0], "lost.png", *files[1:]]
    found = loaded[name].predict(given, batch_size=3, on_error="keep")
    errors = [row.error for row in found]
    assert errors[1] == "is not there" and errors[2].startswith("cannot be decoded (")
    assert errors.count(None) == len(files) - 1
    rows = found.to_array()
    np.testing.assert_array_equal(np.isnan(rows).all(axis=1), [bool(x) for x in errors])
    kept = [row for row in range(len(files)) if row != 1]
    np.testing.assert_allclose(
        rows[[0, *range(3, len(given))]], wanted[kept], rtol=1e-6
    )
    assert found[1].to_dict() == {"source": "lost.png", "error": "is not there"}
    titles, _, lost = str(found).splitlines()[:3]
    assert titles.split()[-1] == "error" and lost.endswith("is not there")


def test_all_files_bad_is_no_failure(loaded, files):
    for file in files:
        file.write_bytes(file.read_bytes()[:50])
    found = loaded["classes"].predict(files, on_error="keep")
    assert all(row.error for row in found)
    with pytest.raises(ValueError, match="Received: on_error='skip'"):
        loaded["classes"].predict(files, on_error="skip")


def test_batch_size_must_be_a_whole_number(loaded, files):
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        loaded["classes"].predict(files, batch_size=0)


def test_a_damaged_saved_model_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="Received: path=.* that cannot be read: Err"):
        load_exported(tmp_path)


def test_a_changed_file_is_refused_before_it_is_loaded(exports, tmp_path):
    shutil.copytree(exports["classes"].path, tmp_path / "x")
    file = tmp_path / "x" / "1" / "variables" / "variables.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        ValueError, match="Received: path=.*variables.data.* is missing or not"
    ):
        load_exported(tmp_path / "x")


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_folder_without_saved_model_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="Received: path=.* no 1/saved_model.pb"):
        load_exported(tmp_path / name)


def test_a_saved_model_of_others_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    with pytest.raises(ValueError, match="Received: path=.*without readable metadata"):
        load_exported(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_metadata_is_refused(exports, tmp_path, text):
    shutil.copytree(exports["classes"].path, tmp_path / "x")
    (tmp_path / "x" / "metadata.json").write_text(text)
    with pytest.raises(ValueError, match="Received: path=.*without readable metadata"):
        load_exported(tmp_path / "x")


def test_an_export_of_a_later_format_is_refused(exports, tmp_path):
    shutil.copytree(exports["classes"].path, tmp_path / "x")
    about = {**exports["classes"].about, "format": 2}
    (tmp_path / "x" / "metadata.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="Received: path=.* of format 2, written by"):
        load_exported(tmp_path / "x")
