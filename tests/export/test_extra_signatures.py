"""Features, heat maps and the score of strange rows, as an export answers them."""

import json
import types

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tftransfer.calibration.domain_shift import fit_domain_shift
from tftransfer.explanation.explain import explain
from tftransfer.export import parity
from tftransfer.export.extra_answers import check_has_extra
from tftransfer.export.extras import build_extras
from tftransfer.export.inputs import read_input
from tftransfer.export.loading import load_exported
from tftransfer.export.saved_model import export_model
from tftransfer.tasks import Task

ALL = ("features", "explain", "domain_shift")


@pytest.fixture(scope="module")
def images(photo):
    return [photo(40, 30, seed=seed) for seed in range(6)]


@pytest.fixture(scope="module")
def served(small_model, images, tmp_path_factory):
    """Model, score and loaded export of one that holds all three, really proven."""
    model = small_model()
    rows = np.stack(images)
    shift = fit_domain_shift(
        model, (rows, np.arange(6) % 3), inside=rows, outside=255 - rows
    )
    path = tmp_path_factory.mktemp("extras") / "x"
    export_model(
        model,
        path,
        class_names=["a", "b", "c"],
        verbose=False,
        examples=images,
        extra_signatures=["features", "explain", shift],
    )
    return model, shift, load_exported(path)


def build_extras_of(model, *asked):
    task, names = Task("classification", 3), ["a", "b", "c"]
    return build_extras(list(asked), model, read_input(model), task, names)


def live_features(model, rows):
    below = keras.Model(model.input, model.get_layer("features").output)
    return below(rows.astype("float32"), training=False).numpy()


class TestAnswersOfTheServedFile:
    def test_features_are_what_the_head_reads(self, served, images):
        model, _, exported = served
        expected = live_features(model, np.stack(images))
        found = exported.features(images)
        assert found.shape == (6, 8) and found.dtype == "float32"
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_score_is_that_of_the_live_model(self, served, images):
        _, shift, exported = served
        expected = shift.score(np.stack(images))
        found = exported.domain_shift(images)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        assert np.ptp(found) > 0.1

    def test_heat_maps_are_those_of_explain(self, served, images):
        model, _, exported = served
        expected = explain(model, np.stack(images))
        found = exported.explain(images)
        assert found.method == expected.method == "cam"
        assert found.classes.tolist() == expected.classes.tolist()
        np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.heat_maps, expected.heat_maps, atol=1e-3)
        assert found.heat_maps.shape == (6, 40, 30)

    def test_a_class_is_explained_on_request(self, served, images):
        model, _, exported = served
        asked = [2, 0, 1, 2, 0, 1]
        expected = explain(model, np.stack(images), asked)
        found = exported.explain(images, asked, batch_size=4)
        assert found.classes.tolist() == asked
        np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-3, atol=1e-4)
        one = exported.explain(images, 1)
        np.testing.assert_allclose(one.maps[2], expected.maps[2], rtol=1e-3, atol=1e-4)

    def test_files_and_images_of_many_sizes_are_taken(self, served, photo, tmp_path):
        _, _, exported = served
        shots = [photo(21, 50, seed=1), photo(64, 33, seed=2)]
        for number, pixels in enumerate(shots):
            PIL.Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        found = exported.explain(tmp_path)
        assert [each.shape for each in found.heat_maps] == [(21, 50), (64, 33)]
        np.testing.assert_array_equal(
            exported.features(tmp_path), exported.features(shots)
        )

    def test_signature_gives_label_and_heat_at_the_models_size(self, served, images):
        model, _, exported = served
        files = tf.stack([tf.io.encode_png(image) for image in images[:2]])
        answer = exported.signatures["explain"](
            image_bytes=files, class_id=tf.constant([-1, 1], tf.int64)
        )
        best = exported.predict(images[:1]).labels[0]
        assert [each.decode() for each in answer["label"].numpy()] == [best, "b"]
        assert answer["heat_maps"].shape == (2, 32, 24)
        assert float(tf.reduce_max(answer["heat_maps"])) == pytest.approx(1.0, abs=1e-5)

    def test_strangers_are_named_by_the_threshold(self, served, images):
        _, shift, exported = served
        shots = [*images, *(255 - image for image in images)]
        files = tf.stack([tf.io.encode_png(image) for image in shots])
        answer = exported.signatures["domain_shift"](image_bytes=files)
        expected = answer["score"].numpy() > shift.figures.threshold * (1 + 1e-4)
        told = answer["is_shifted"].numpy()
        assert told[6:].all() and expected[6:].all()
        assert not expected[:6].any() and told[:6].sum() <= 1  # one is the threshold

    @pytest.mark.parametrize("name", ALL)
    def test_no_rows_are_answered_by_none(self, served, name):
        _, _, exported = served
        more = {"class_id": tf.zeros([0], tf.int64)} if name == "explain" else {}
        answer = exported.signatures[name](image_bytes=tf.zeros([0], tf.string), **more)
        assert {value.shape[0] for value in answer.values()} == {0}

    def test_metadata_tell_what_they_are(self, served):
        _, shift, exported = served
        about = exported.metadata
        assert set(about["extra_signatures"]) == set(ALL)
        told = about["extra_signatures"]
        assert told["features"] == {"layer": "features", "width": 8}
        assert told["explain"]["method"] == "cam"
        assert told["domain_shift"]["threshold"] == shift.figures.threshold
        assert told["domain_shift"]["roc_auc"] == shift.figures.roc_auc
        assert set(about["parity"]["extra_signatures"]) == set(ALL)
        assert max(about["parity"]["extra_signatures"].values()) < 1e-5
        assert about["signatures"]["explain"]["inputs"]["class_id"]["dtype"] == "int64"
        inside = json.loads(exported.signatures["metadata"]()["json"].numpy())
        assert inside["extra_signatures"] == told


@pytest.mark.usefixtures("no_fresh_process")
class TestWithoutFreshProcess:
    def test_views_and_temperature_leave_them_alone(
        self, small_model, images, tmp_path
    ):
        model = small_model()
        about = export_model(
            model,
            tmp_path / "x",
            augment=2,
            temperature=2.0,
            extra_signatures=["features", "explain"],
            verbose=False,
        )
        exported = load_exported(tmp_path / "x")
        expected = live_features(model, np.stack(images))
        np.testing.assert_allclose(
            exported.features(images), expected, rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            exported.explain(images).maps,
            explain(model, np.stack(images)).maps,
            rtol=1e-3,
            atol=1e-4,
        )
        assert about["augment"] is not None

    def test_gradients_go_into_the_graph(self, small_model, images, tmp_path):
        hidden = keras.layers.Conv2D(6, 3, activation="tanh")
        model = small_model("binary", extra=[hidden])
        features = model.get_layer("features").output
        x = keras.layers.Dense(5, activation="tanh")(features)
        model = keras.Model(model.input, keras.layers.Dense(1)(x))
        export_model(
            model,
            tmp_path / "x",
            task="classification",
            extra_signatures=["explain"],
            verbose=False,
        )
        exported = load_exported(tmp_path / "x")
        for classes in (None, 0, 1):
            found = exported.explain(images, classes)
            live = explain(model, np.stack(images), classes, task="classification")
            assert found.method == "grad_cam"
            assert found.classes.tolist() == live.classes.tolist()
            scale = np.abs(live.maps).max()
            np.testing.assert_allclose(found.maps, live.maps, atol=1e-4 * scale)

    def test_numbers_have_features_and_a_score(self, tmp_path):
        inputs = keras.Input((4,))
        x = keras.layers.Dense(3, activation="tanh", name="features")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(2)(x))
        rows = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
        shift = fit_domain_shift(
            model, (rows, np.arange(20) % 2), task="classification"
        )
        export_model(
            model,
            tmp_path / "x",
            task="classification",
            extra_signatures=["features", shift],
            verbose=False,
        )
        exported = load_exported(tmp_path / "x")
        expected = model.get_layer("features")(rows)
        np.testing.assert_allclose(exported.features(rows), expected, atol=1e-6)
        np.testing.assert_allclose(
            exported.domain_shift(rows, batch_size=7), shift.score(rows), rtol=1e-3
        )
        assert "is_shifted" not in exported.signatures["domain_shift"](
            inputs=tf.constant(rows)
        )

    def test_a_difference_is_refused_by_name(self, small_model, tmp_path, monkeypatch):
        honest = parity.serve_in_fresh_process

        def serve(saved_model, calls):
            served = honest(saved_model, calls)
            for (name, _), outputs in zip(calls, served, strict=True):
                if name == "features":
                    outputs["features"] = outputs["features"] * 1.001
            return served

        monkeypatch.setattr(parity, "serve_in_fresh_process", serve)
        message = "must answer 'features' the same live and exported.*of 0.001 on"
        with pytest.raises(RuntimeError, match=message):
            export_model(small_model(), tmp_path / "x", extra_signatures=["features"])
        assert not (tmp_path / "x").exists()

    def test_texts_of_a_sequential_model_do_too(self, tmp_path):
        words = keras.layers.TextVectorization(
            vocabulary=["good", "bad", "film"], output_mode="multi_hot"
        )
        model = keras.Sequential(
            [keras.Input((), dtype="string"), words, keras.layers.Dense(2)]
        )
        texts = np.array(["good film", "bad", "good", "film bad film"], object)
        rows = texts, np.array([0, 1, 0, 1])
        shift = fit_domain_shift(model, rows, task="classification", inside=rows)
        export_model(
            model,
            tmp_path / "x",
            task="classification",
            extra_signatures=["features", shift],
            verbose=False,
        )
        exported = load_exported(tmp_path / "x")
        np.testing.assert_array_equal(exported.features(list(texts)), words(texts))
        np.testing.assert_allclose(
            exported.domain_shift(list(texts)), shift.score(texts), rtol=1e-3
        )


class TestRefusals:
    @pytest.mark.parametrize("wrong", ["features", 3, {"features": 1}])
    def test_no_list(self, small_model, tmp_path, wrong):
        with pytest.raises(TypeError, match="must be a list of .*Pass a list"):
            export_model(small_model(), tmp_path / "x", extra_signatures=wrong)

    def test_unknown_names(self, small_model, tmp_path):
        with pytest.raises(
            ValueError, match="(?s)extra_signatures.*'heat'.*fit_domain"
        ):
            export_model(small_model(), tmp_path / "x", extra_signatures=["heat"])

    def test_one_named_twice(self, small_model, tmp_path):
        twice = ["features", "features"]
        with pytest.raises(ValueError, match="must name each once"):
            export_model(small_model(), tmp_path / "x", extra_signatures=twice)

    def test_a_score_of_another_model(self, small_model, images, tmp_path):
        rows = np.stack(images), np.arange(6) % 3
        shift = fit_domain_shift(small_model(), rows)
        with pytest.raises(ValueError, match="fitted on the model that is exported"):
            export_model(small_model(), tmp_path / "x", extra_signatures=[shift])

    def test_a_score_of_weights_that_have_moved_since(
        self, small_model, images, tmp_path
    ):
        model = small_model()
        shift = fit_domain_shift(model, (np.stack(images), np.arange(6) % 3))
        model.layers[-1].bias.assign([1.0, 2.0, 3.0])  # of the head: no feature moves
        build_extras_of(model, shift)
        kernel = next(x for x in model.weights if x.name == "kernel")
        kernel.assign(kernel * 1.01)
        with pytest.raises(ValueError, match="fit_domain_shift again after training"):
            export_model(model, tmp_path / "x", extra_signatures=[shift])

    def test_another_engine(self, served, images):
        other = types.SimpleNamespace(
            signatures={}, metadata=served[2].metadata, engine="onnx"
        )
        with pytest.raises(ValueError, match='Load it with engine="tensorflow"'):
            check_has_extra(other, "features")

    def test_a_missing_file_without_the_signature(self, exports):
        exported = load_exported(exports["classes"].path)
        with pytest.raises(ValueError, match="Export with extra_signatures"):
            exported.explain(["nowhere.png"])

    def test_a_batch_of_nothing(self, served, images):
        for name in ALL:
            with pytest.raises(ValueError, match="`batch_size`"):
                getattr(served[2], name)(images, batch_size=0)

    def test_heat_maps_of_numbers(self, tmp_path):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        with pytest.raises(ValueError, match="no places to point at"):
            export_model(
                model,
                tmp_path / "x",
                task="classification",
                extra_signatures=["explain"],
            )

    @pytest.mark.parametrize("name", ALL)
    def test_an_export_without_them(self, exports, images, name):
        exported = load_exported(exports["classes"].path)
        with pytest.raises(ValueError, match=f"`{name}` must be asked of an export th"):
            getattr(exported, name)(images)

    @pytest.mark.parametrize("wrong", [3, -1, [0, 1], 0.5, "a"])
    def test_classes_that_are_none(self, served, images, wrong):
        with pytest.raises(ValueError, match="must be whole numbers in 0..2"):
            served[2].explain(images, wrong)

    def test_no_rows(self, served):
        with pytest.raises(ValueError, match="at least one row"):
            served[2].features([])

    def test_a_damaged_file(self, served, tmp_path):
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
        with pytest.raises(ValueError, match=r"a\.png.*cannot be decoded"):
            served[2].features(tmp_path)

    def test_strange_rows_without_known_ones(self, small_model, images):
        rows = np.stack(images)
        with pytest.raises(ValueError, match="`inside` must be given with `outside`"):
            fit_domain_shift(small_model(), (rows, np.arange(6) % 3), outside=rows)
