import keras
import numpy as np
import pytest
import tensorflow as tf

from tftransfer.explanation.explainer import build_explainer
from tftransfer.freezing.feature_cut import feature_cut


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cam", "grad_cam"])
def test_it_runs_in_a_graph(make_model, average, images, method):
    explainer = build_explainer(
        make_model(average), method=method, task="classification"
    )
    maps, classes = explainer(images)
    traced = tf.function(explainer, input_signature=[tf.TensorSpec([None, 12, 16, 3])])
    found = traced(images.astype("float32"))
    np.testing.assert_allclose(found[0], maps, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[1], classes)


def test_it_goes_on_from_a_feature_map_at_hand(make_model, flat, images):
    explainer = build_explainer(make_model(flat), task="classification")
    feature_map = explainer.cut.run_below(images, training=False)
    for found, expected in zip(
        explainer.explain_map(feature_map), explainer(images), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("method", ["cam", "grad_cam"])
def test_one_pass_gives_map_features_and_logits_in_a_saved_model(
    make_model, average, images, tmp_path, method
):
    model = make_model(average, nested=True)
    explainer = build_explainer(model, method=method, task="classification")
    features = feature_cut(model)

    def serve(images):
        feature_map = explainer.cut.run_below(images, training=False)
        vectors = features.run_from(explainer.cut, feature_map, training=False)
        maps, _ = explainer.explain_map(feature_map)
        logits = features.run_above(vectors, training=False)
        return {"maps": maps, "features": vectors, "logits": logits}

    holder = tf.Module()
    holder.model = model
    holder.serve = tf.function(serve, [tf.TensorSpec([None, 12, 16, 3])])
    tf.saved_model.save(holder, str(tmp_path / "saved"))
    pixels = images.astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    found = loaded.serve(pixels)
    np.testing.assert_allclose(
        found["logits"], model.predict(pixels, verbose=0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(found["maps"], explainer(images)[0], atol=1e-5)
    assert found["features"].shape == (3, 5)


def test_the_model_is_left_as_it_is(make_model, average, images):
    model = make_model(average)
    before = [len(layer._inbound_nodes) for layer in model.layers]
    weights = model.get_weights()
    build_explainer(model, method="grad_cam", task="classification")(images)
    assert [len(layer._inbound_nodes) for layer in model.layers] == before
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)


def test_cam_is_refused_where_it_does_not_apply(make_model, flat):
    with pytest.raises(ValueError, match="Received: above the feature map 'map' lie"):
        build_explainer(make_model(flat), method="cam")


def test_unknown_methods_are_refused(make_model, average):
    with pytest.raises(ValueError, match="Received: method='lime'"):
        build_explainer(make_model(average), method="lime")


def test_half_precision_is_explained_in_single(average, images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs = keras.Input((12, 16, 3))
        x = keras.layers.Conv2D(5, 3, name="map")(inputs)
        model = keras.Model(inputs, average(x, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    for method in ("cam", "grad_cam"):
        explainer = build_explainer(model, method=method, task="classification")
        maps, _ = explainer(images)
        assert maps.dtype == "float32"
        assert np.isfinite(maps).all()
