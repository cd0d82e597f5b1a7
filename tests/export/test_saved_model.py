import errno
import importlib.metadata
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.alignment.aligned_model import AlignedModel
from tftransfer.alignment.coral import CORAL
from tftransfer.backbones.hub_layer import HubLayer
from tftransfer.export import saved_model
from tftransfer.export.saved_model import check_class_names, export_model, plain_model
from tftransfer.resizing import build_resizing
from tftransfer.tasks import Task


def test_layout_is_a_version_folder_and_its_metadata(exports):
    path = exports["classes"].path
    assert sorted(item.name for item in path.iterdir()) == ["1", "metadata.json"]
    assert (path / "1" / "saved_model.pb").is_file()
    assert (path / "1" / "variables").is_dir()


def test_metadata_tells_where_the_export_comes_from(exports):
    about = exports["classes"].about
    assert about["format"] == 1
    for package in ("tftransfer", "keras", "tensorflow"):
        assert about[package] == importlib.metadata.version(package)
    assert about["created"].endswith("+00:00")
    assert about["task"] == "classification"
    assert about["class_names"] == ["Katze", "dog", "鳥"]
    assert about["image_size"] == [32, 24]
    assert about["augment"] is None
    assert about["channels"] == 3
    assert about["resizing"] == {
        "interpolation": "bilinear",
        "antialias": True,
        "crop": False,
        "pad": False,
    }
    assert about["signatures"]["serving_default"] == {
        "inputs": {"image_bytes": {"dtype": "string", "shape": [None]}},
        "outputs": ["probabilities", "class_id", "label", "logits"],
    }
    assert about["signatures"]["serve_images"]["inputs"] == {
        "images": {"dtype": "uint8", "shape": [None, None, None, 3]}
    }


def test_returned_metadata_is_what_stands_in_the_file(exports):
    stored = (exports["classes"].path / "metadata.json").read_text("utf-8")
    assert json.loads(stored) == exports["classes"].about
    assert "鳥" in stored  # readable, not escaped


def test_the_proof_is_kept(exports):
    parity = exports["classes"].about["parity"]
    assert 0 <= parity["max_abs_difference"] <= 1e-5
    assert parity["rows"] == 6
    assert parity["where"].startswith("fresh process, tensorflow")


@pytest.mark.usefixtures("no_fresh_process")
class TestWithoutFreshProcess:
    """Exports whose proof runs in this process, which is faster."""

    def test_outcome_is_printed(self, small_model, tmp_path, capsys):
        export_model(small_model(), tmp_path / "x")
        assert "differs from the live model by at most " in capsys.readouterr().out

    def test_real_rows_and_own_metadata_are_taken(self, small_model, tmp_path, photo):
        images = [photo(20, 31, seed=seed) for seed in range(4)]
        about = export_model(
            small_model(), tmp_path / "x", examples=images, metadata={"accuracy": 0.9}
        )
        assert about["parity"]["rows"] == 4
        assert about["metadata"] == {"accuracy": 0.9}

    def test_overwrite_replaces_an_export(self, small_model, tmp_path, capsys):
        make_old_export(tmp_path / "x")
        export_model(small_model(), tmp_path / "x", overwrite=True, verbose=False)
        stored = json.loads((tmp_path / "x" / "metadata.json").read_text())
        assert stored["class_names"] == ["0", "1", "2"]
        assert [item.name for item in tmp_path.iterdir()] == ["x"]
        assert capsys.readouterr().out == ""

    def test_overwrite_takes_an_empty_folder(self, small_model, tmp_path):
        export_model(small_model(), tmp_path, overwrite=True)
        assert (tmp_path / "metadata.json").is_file()

    @pytest.mark.parametrize("compile_plain", [False, True])
    def test_aligned_model_exports_its_plain_model(
        self, small_model, tmp_path, compile_plain
    ):
        plain = small_model("binary")
        if not compile_plain:
            plain = keras.Model(plain.inputs, plain.outputs)
        aligned = AlignedModel(plain, CORAL(weight=1.0))
        aligned.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
        about = export_model(aligned, tmp_path / "x", class_names=["no", "yes"])
        assert plain_model(aligned) is plain
        assert about["task"] == "classification"
        assert about["class_names"] == ["no", "yes"]

    def test_tables_of_a_text_model_are_exported(self, tmp_path):
        words = keras.layers.TextVectorization(
            vocabulary=["good", "bad"], output_mode="multi_hot"
        )
        inputs = keras.Input((), dtype="string")
        model = keras.Model(inputs, keras.layers.Dense(2)(words(inputs)))
        about = export_model(model, tmp_path / "x", task="classification")
        assert about["input"] == "texts"
        loaded = tf.saved_model.load(str(tmp_path / "x" / "1"))
        served = loaded.signatures["serving_default"](texts=tf.constant(["good"]))
        expected = tf.nn.softmax(model(tf.constant(["good"])))
        np.testing.assert_allclose(served["probabilities"], expected, atol=1e-6)

    def test_what_a_layer_holds_is_exported_with_it(self, tmp_path):
        tf.saved_model.save(Lookup(), str(tmp_path / "module"))
        inputs = keras.Input((), dtype="string")
        holder = Holder(tf.saved_model.load(str(tmp_path / "module")))
        model = keras.Model(inputs, holder(inputs))
        rows = np.array(["a", "z"])
        export_model(model, tmp_path / "x", task="regression", examples=rows)
        shutil.rmtree(tmp_path / "module")
        loaded = tf.saved_model.load(str(tmp_path / "x" / "1"))
        served = loaded.signatures["serving_default"](texts=tf.constant(["a", "z"]))
        assert served["values"].numpy().tolist() == [[3.0, 6.0], [0.0, 0.0]]

    def test_a_layer_random_at_inference_is_refused(
        self, small_model, tmp_path, listing
    ):
        model = small_model(extra=[Noise()])
        with pytest.raises(RuntimeError, match="Received: a difference of .* 6 rows"):
            export_model(model, tmp_path / "a" / "x")
        assert listing(tmp_path) == []

    def test_a_network_of_nan_is_refused(self, small_model, tmp_path, listing):
        model = small_model()
        model.layers[-1].bias.assign([np.nan] * 3)
        with pytest.raises(RuntimeError, match="Received: a difference of nan"):
            export_model(model, tmp_path / "x")
        assert listing(tmp_path) == []


class Lookup(tf.Module):
    """A module of others with a table and a variable."""

    def __init__(self):
        pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], [3.0, 5.0])
        self.table = tf.lookup.StaticHashTable(pairs, 0.0)
        self.scale = tf.Variable([[1.0, 2.0]])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts):
        return self.table.lookup(texts)[:, tf.newaxis] * self.scale


class Holder(keras.layers.Layer):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def call(self, texts):
        return self.module(texts)

    def compute_output_spec(self, texts):
        return keras.KerasTensor((None, 2))


class Noise(keras.layers.Layer):
    def call(self, features):
        return features + tf.random.normal(tf.shape(features))


def half_written(error):
    def write(model, signatures, folder, extras):
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"half")
        raise error

    return write


INTERRUPTIONS = {
    "full disk": OSError(errno.ENOSPC, "No space left on device"),
    "full disk in TensorFlow": tf.errors.ResourceExhaustedError(
        None, None, "x; No space left on device"
    ),
    "Ctrl-C": KeyboardInterrupt(),
}
WHILE_WRITING = ["full disk", "full disk in TensorFlow", "Ctrl-C"]


@pytest.mark.parametrize("name", WHILE_WRITING)
@pytest.mark.parametrize("has_old", [False, True])
def test_interrupted_writing_leaves_what_was_there(
    small_model, tmp_path, monkeypatch, listing, name, has_old
):
    path = tmp_path / "models" / "x"
    if has_old:
        make_old_export(path)
    before = listing(tmp_path)
    error = INTERRUPTIONS[name]
    monkeypatch.setattr(saved_model, "write_signatures", half_written(error))
    raised = KeyboardInterrupt if name == "Ctrl-C" else OSError
    message = None if name == "Ctrl-C" else "Received: path=.*No space left on device"
    with pytest.raises(raised, match=message):
        export_model(small_model(), path, overwrite=True)
    assert listing(tmp_path) == before
    if has_old:
        assert (path / "1" / "saved_model.pb").read_bytes() == b"old"
        assert (path / "metadata.json").read_text() == "old"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_proof_leaves_what_was_there(
    small_model, tmp_path, monkeypatch, listing, error
):
    def fail(*_):
        raise error

    make_old_export(tmp_path / "x")
    before = listing(tmp_path)
    monkeypatch.setattr(saved_model, "measure_parity", fail)
    with pytest.raises(error):
        export_model(small_model(), tmp_path / "x", overwrite=True)
    assert listing(tmp_path) == before
    assert (tmp_path / "x" / "1" / "saved_model.pb").read_bytes() == b"old"


def make_old_export(path):
    (path / "1").mkdir(parents=True)
    (path / "1" / "saved_model.pb").write_bytes(b"old")
    (path / "metadata.json").write_text("old")


@pytest.mark.usefixtures("forbidden")
class TestRefusals:
    """All of them come before a graph is built or a process started."""

    def test_existing_path(self, small_model, tmp_path):
        make_old_export(tmp_path / "x")
        with pytest.raises(ValueError, match="Received: path=.*which exists"):
            export_model(small_model(), tmp_path / "x")

    def test_something_else_is_never_overwritten(self, small_model, tmp_path):
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "me.jpg").touch()
        for path in (tmp_path / "photos", tmp_path / "photos" / "me.jpg"):
            with pytest.raises(ValueError, match="Received: path=.*something else"):
                export_model(small_model(), path, overwrite=True)
        assert (tmp_path / "photos" / "me.jpg").is_file()

    def test_disk_without_room(self, small_model, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "tftransfer.writing.shutil.disk_usage",
            lambda _: type("Usage", (), {"free": 10}),
        )
        with pytest.raises(ValueError, match="Received: path=.*where 10 are free"):
            export_model(small_model(), tmp_path / "x")

    @pytest.mark.parametrize(
        ("names", "error", "message"),
        [
            (["a", "b"], ValueError, "Received: class_names=.*which are 2"),
            (["a", "b", "a"], ValueError, r"Received: class_names=\['a', 'b', 'a'\]"),
            (["a", "b", " "], ValueError, "Received: class_names=.*a name of its own"),
            ("abc", TypeError, "Received: class_names='abc'"),
            ([1, 2, 3], TypeError, r"Received: class_names=\[1, 2, 3\]"),
        ],
    )
    def test_class_names_that_do_not_fit(
        self, small_model, tmp_path, names, error, message
    ):
        with pytest.raises(error, match=message):
            export_model(small_model(), tmp_path / "x", class_names=names)

    def test_a_single_logit_has_two_names(self, small_model, tmp_path):
        with pytest.raises(ValueError, match="must hold 2 names.*Received: class_name"):
            export_model(small_model("binary"), tmp_path / "x", class_names=["defect"])

    @pytest.mark.parametrize("metadata", [{"a": np.zeros(2)}, [1], {"b": {1, 2}}])
    def test_metadata_that_is_not_json(self, small_model, tmp_path, metadata):
        with pytest.raises(TypeError, match="Received: metadata="):
            export_model(small_model(), tmp_path / "x", metadata=metadata)

    def test_what_is_no_model(self, tmp_path):
        with pytest.raises(
            TypeError, match="Received: model='model.keras' of type str"
        ):
            export_model("model.keras", tmp_path / "x")

    def test_a_loss_that_tells_nothing(self, tmp_path):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        with pytest.raises(ValueError, match="`task` must be given.*Received: loss="):
            export_model(model, tmp_path / "x")


def test_missing_class_names_are_numbers():
    assert check_class_names(None, Task("classification", 1)) == ["0", "1"]
    assert check_class_names(("a", "b"), Task("multi_label", 2)) == ["a", "b"]


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_a_pretrained_network_is_exported_exactly(tmp_path, shared_data, photo):
    inputs = keras.Input((None, None, 3))
    pixels = keras.layers.Rescaling(1 / 127.5, -1)(build_resizing((224, 224))(inputs))
    backbone = keras.applications.MobileNetV2(
        alpha=0.35,
        include_top=False,
        input_shape=(224, 224, 3),
        pooling="avg",
        weights=shared_data / "mobilenet_v2_0.35_224_no_top.weights.h5",
    )
    spread = keras.initializers.RandomNormal(stddev=0.3, seed=0)
    outputs = keras.layers.Dense(10, kernel_initializer=spread)(backbone(pixels))
    model = keras.Model(inputs, outputs)
    images = [photo(150 + 40 * seed, 300, seed=seed) for seed in range(8)]
    about = export_model(
        model, tmp_path / "x", task="classification", examples=images, verbose=False
    )
    assert about["parity"]["rows"] == 8
    assert about["parity"]["max_abs_difference"] <= 1e-5
    variables = tmp_path / "x/1/variables/variables.data-00000-of-00001"
    assert variables.stat().st_size < 1.1 * 4 * model.count_params()  # once, not twice


@pytest.mark.slow
@pytest.mark.needs_shared_data
def test_a_published_module_is_exported_with_its_layer(tmp_path, shared_data):
    module = shared_data / "saved_model_basic_pitch"
    inputs = keras.Input((43844, 1))
    notes = HubLayer(str(module), output_key="note")(inputs)
    notes = keras.layers.GlobalAveragePooling1D()(notes)
    model = keras.Model(inputs, keras.layers.Dense(2)(notes))
    about = export_model(model, tmp_path / "x", task="classification", verbose=False)
    assert about["input"] == "numbers"
    assert about["parity"]["max_abs_difference"] <= 1e-5
