import errno
import importlib.util
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.export.about import hash_files
from tftransfer.export.saved_model import export_model
from tftransfer.formats import catalog, proof, run_alone


@pytest.fixture
def served_here(monkeypatch):
    """Serve in this process; a list of the formats that were."""
    served = []

    def serve(name, path, rows, modules=()):
        served.append(name)
        runtime = load_saved_model if name == "tf_saved_model" else None
        runtime = runtime or run_alone.RUNTIMES[name][0]
        return run_alone.compute(runtime(str(path), 1), rows, 32), {"runtime": "here"}

    monkeypatch.setattr(proof, "run_in_fresh_process", serve)
    return served


def load_saved_model(path, _):
    loaded = tf.saved_model.load(path)

    def serve(rows, _held=loaded):
        outputs = loaded.signatures["serve_images"](images=tf.constant(rows))
        return {name: value.numpy() for name, value in outputs.items()}

    return serve


@pytest.fixture
def labeled(photo):
    images = np.stack([photo(32, 24, seed=seed) for seed in range(9)])
    return tf.data.Dataset.from_tensor_slices((images, np.arange(9) % 3)).batch(4)


@pytest.fixture
def onnx():
    for module in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module, reason=f"{module} is not installed")


def export(model, path, **options):
    return export_model(model, path, **{"verbose": False, **options})


@pytest.mark.usefixtures("no_fresh_process", "onnx")
class TestServedHere:
    """Formats served in this process, which is faster."""

    def test_formats_lie_beside_the_saved_model_with_their_proof(
        self, small_model, tmp_path, labeled, served_here, capsys
    ):
        about = export(
            small_model(),
            tmp_path / "x",
            formats=["tf_saved_model", "onnx"],
            examples=labeled,
            verbose=True,
        )
        assert sorted(item.name for item in (tmp_path / "x").iterdir()) == [
            "1",
            "metadata.json",
            "onnx",
            "parity.json",
        ]
        parity = json.loads((tmp_path / "x" / "parity.json").read_text())
        assert parity["rows"] == 9 and parity["labeled"]
        assert not parity["rows_are_made_up"]
        assert served_here == list(parity["formats"]) == ["tf_saved_model", "onnx"]
        for figures in parity["formats"].values():
            assert figures["accepted"] and figures["relative_difference"] < 1e-5
            assert figures["equal_decisions"] == 1.0
            assert figures["accuracy"] == figures["live_accuracy"]
        assert about["formats"] == {
            "accepted": {"tf_saved_model": "float32", "onnx": "float32"},
            "input": {
                "name": "images",
                "dtype": "uint8",
                "shape": [None, 32, 24, 3],
                "range": [0, 255],
                "size": "resize as `resizing` says, then round; nothing else",
            },
            "outputs": ["probabilities", "logits"],
        }
        assert json.loads((tmp_path / "x" / "metadata.json").read_text()) == about
        found = hash_files(tmp_path / "x")
        del found["metadata.json"]
        assert about["files"] == found and "onnx/model.onnx" in found
        assert "onnx            " in capsys.readouterr().out

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["binary", "multi_label", "regression"])
    def test_every_task_is_served_alike(
        self, small_model, tmp_path, photo, served_here, name
    ):
        images = [photo(32, 24, seed=seed) for seed in range(3)]
        export(
            small_model(name),
            tmp_path / "x",
            formats=["tf_saved_model", "onnx"],
            examples=images,
        )
        parity = json.loads((tmp_path / "x" / "parity.json").read_text())
        assert parity["formats"]["onnx"]["relative_difference"] < 1e-5
        serve = run_alone.load_onnx(tmp_path / "x" / "onnx", 1)
        shapes = {key: each.shape for key, each in serve(np.stack(images)).items()}
        assert (
            shapes
            == {
                "binary": {"logits": (3, 1), "probabilities": (3, 2)},
                "multi_label": {"logits": (3, 3), "probabilities": (3, 3)},
                "regression": {"values": (3, 2)},
            }[name]
        )

    @pytest.mark.slow
    def test_one_out_of_bounds_is_left_out_and_the_others_kept(
        self, small_model, tmp_path, labeled, monkeypatch, served_here, capsys
    ):
        def shift(name, path, rows, modules=()):
            outputs, told = here(name, path, rows)
            if name == "onnx":
                outputs["logits"] = outputs["logits"] + np.float32(0.01)
            return outputs, told

        here = proof.run_in_fresh_process
        monkeypatch.setattr(proof, "run_in_fresh_process", shift)
        with pytest.warns(UserWarning, match="holds no 'onnx': differs by .* of the"):
            about = export(
                small_model(),
                tmp_path / "x",
                formats=["tf_saved_model", "onnx"],
                examples=labeled,
                verbose=True,
            )
        assert about["formats"]["accepted"] == {"tf_saved_model": "float32"}
        assert not (tmp_path / "x" / "onnx").exists()
        parity = json.loads((tmp_path / "x" / "parity.json").read_text())
        assert not parity["formats"]["onnx"]["accepted"]
        assert parity["formats"]["tf_saved_model"]["accepted"]
        assert "onnx is refused: differs by" in capsys.readouterr().out

    def test_one_half_written_is_left_out(
        self, small_model, tmp_path, monkeypatch, served_here
    ):
        def write(graph, folder, *_):
            (folder / "model.onnx").write_bytes(b"half")
            raise KeyError("no such operation")

        monkeypatch.setitem(catalog.WRITERS, "onnx", write)
        with pytest.warns(UserWarning, match="cannot be written: 'no such operation'"):
            export(small_model(), tmp_path / "x", formats=["tf_saved_model", "onnx"])
        assert not (tmp_path / "x" / "onnx").exists()
        assert served_here == ["tf_saved_model"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "")])
    def test_an_interrupted_format_leaves_what_was_there(
        self, small_model, tmp_path, monkeypatch, listing, error
    ):
        def fail(*_):
            raise error

        (tmp_path / "x" / "1").mkdir(parents=True)
        (tmp_path / "x" / "1" / "saved_model.pb").write_bytes(b"old")
        (tmp_path / "x" / "metadata.json").write_text("old")
        before = listing(tmp_path)
        monkeypatch.setitem(catalog.WRITERS, "onnx", fail)
        with pytest.raises(type(error)):
            export(
                small_model(),
                tmp_path / "x",
                overwrite=True,
                formats=["tf_saved_model", "onnx"],
            )
        assert listing(tmp_path) == before

    def test_a_saved_model_that_cannot_be_served_leaves_nothing(
        self, small_model, tmp_path, monkeypatch, listing
    ):
        def fail(*_):
            raise RuntimeError("exit status 1")

        monkeypatch.setattr(proof, "run_in_fresh_process", fail)
        with pytest.raises(
            RuntimeError, match="Received: a SavedModel that exit status"
        ):
            export(small_model(), tmp_path / "x", formats=["tf_saved_model"])
        assert listing(tmp_path) == []


@pytest.mark.slow
@pytest.mark.usefixtures("no_fresh_process")
def test_a_text_model_is_timed_by_tensorflow_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "RUNS", 5)
    words = keras.layers.TextVectorization(
        vocabulary=["good", "bad"], output_mode="multi_hot"
    )
    inputs = keras.Input((), dtype="string")
    model = keras.Model(inputs, keras.layers.Dense(2)(words(inputs)))
    data = tf.data.Dataset.from_tensor_slices((["good", "a bad one"], [0, 1])).batch(2)
    about = export(
        model,
        tmp_path / "x",
        task="classification",
        examples=data,
        formats=["tf_saved_model"],
    )
    figures = json.loads((tmp_path / "x" / "parity.json").read_text())["formats"]
    assert about["formats"] == {"accepted": {"tf_saved_model": "float32"}}
    assert figures["tf_saved_model"]["relative_difference"] < 1e-5
    assert figures["tf_saved_model"]["runtime"] == f"tensorflow {tf.__version__}"
    assert figures["tf_saved_model"]["latency_ms_p99"] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("no_fresh_process")
@pytest.mark.parametrize(
    "name, quantization",
    [
        ("litert", None),  # in float16 its difference lies about the bound
        ("onnx", None),
        ("onnx", "float16"),
        ("openvino", None),
        ("openvino", "float16"),
    ],
)
def test_each_format_is_served_by_its_own_runtime(
    small_model, tmp_path, labeled, monkeypatch, name, quantization
):
    for module in catalog.list_modules(name, quantization):
        if not importlib.util.find_spec(module):  # importorskip would import it
            pytest.skip(f"{module} is not installed")
    monkeypatch.setattr(proof, "RUNS", 5)
    export(
        small_model(),
        tmp_path / "x",
        formats=["tf_saved_model", name],
        quantization=quantization,
        examples=labeled,
    )
    figures = json.loads((tmp_path / "x" / "parity.json").read_text())["formats"][name]
    assert figures["accepted"]
    assert figures["precision"] == (quantization or "float32")
    assert figures["runtime"].split()[0] == run_alone.RUNTIMES[name][1]


@pytest.mark.usefixtures("forbidden", "onnx")
class TestRefusals:
    """All of them come before a graph is built or a process started."""

    def test_texts_have_no_other_format(self, tmp_path):
        words = keras.layers.TextVectorization(
            vocabulary=["good"], output_mode="multi_hot"
        )
        inputs = keras.Input((), dtype="string")
        model = keras.Model(inputs, keras.layers.Dense(2)(words(inputs)))
        with pytest.raises(
            ValueError, match="for a model of texts.*Received: formats="
        ):
            export(
                model,
                tmp_path / "x",
                task="classification",
                formats=["tf_saved_model", "onnx"],
            )

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "representative_data=None, quantization='int8'. Pass some"),
            ({"representative_data": []}, "Received: examples=None"),
            ({"quantization": None, "representative_data": []}, "=list.*Leave it out"),
        ],
    )
    def test_int8_needs_images_and_nothing_else_takes_them(
        self, small_model, tmp_path, options, words
    ):
        options = {
            "quantization": "int8",
            "formats": ["tf_saved_model", "onnx"],
        } | options
        with pytest.raises(ValueError, match=words):
            export(small_model(), tmp_path / "x", **options)

    def test_quantization_without_formats(self, small_model, tmp_path):
        with pytest.raises(ValueError, match="Received: quantization='float16'"):
            export(small_model(), tmp_path / "x", quantization="float16")
