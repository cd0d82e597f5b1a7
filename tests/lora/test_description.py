import pytest

import tftransfer as tft


def test_counts_are_those_of_a_hand(build_cnn):
    model = tft.add_lora(build_cnn(), 2, targets=["block2", "stem_conv"])
    told = tft.describe_lora(model)
    assert told.ranks == {"stem_conv": 2, "block2_conv": 2}
    assert told.whole == ("block2_dwconv",)
    # Factors 2 x (27 + 16) and 2 x (16 + 16), depthwise 9 x 16 + 16, head 16 x 3 + 3.
    assert told.num_trainable == 86 + 64 + 160 + 51
    # Kernels 27 x 16, 2 x (160 + 16 x 16 + 16), norms 3 x 32, head.
    assert told.num_full == 432 + 2 * 432 + 96 + 51
    assert told.trainable_share == told.num_trainable / told.num_full
    assert "layers with adapters: 2, whole: 1" in str(told)
    assert "361 of 1,443 in full fine-tuning (25.0%)" in str(told)


def test_full_fine_tuning_counts_the_same_before_and_after(build_cnn):
    model = build_cnn()
    full = sum(weight.value.numpy().size for weight in model.trainable_weights)
    assert tft.describe_lora(tft.add_lora(model, 2)).num_full == full


def test_depth_changes_what_learns_but_not_the_full_number(build_cnn):
    model = tft.add_lora(build_cnn(), 2)
    full = tft.describe_lora(model).num_full
    tft.set_trainable_depth(model, 0)
    told = tft.describe_lora(model)
    assert (told.num_trainable, told.num_full) == (51, full)


def test_a_model_without_adapters_is_refused(build_cnn):
    with pytest.raises(ValueError, match="`model` must have adapters. Received:"):
        tft.describe_lora(build_cnn())
