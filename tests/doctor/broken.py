"""Broken set-ups, each after a public issue."""

from tests.doctor import broken_data as data
from tests.doctor import broken_networks as networks

_GITHUB = "https://github.com/"
BROKEN = [  # what is found, the issue, and what makes the set-up
    ("pixel_scale", "keras-team/keras/issues/13293", networks.raw_pixels),
    (
        "pixel_scale",
        "ildoonet/tf-pose-estimation/issues/369",
        networks.raw_pixels_subclassed,
    ),
    ("pixel_scale", "keras-team/keras-io/issues/1549", networks.scaled_twice),
    ("pixel_scale", "tensorflow/tensorflow/issues/39925", networks.scaled_to_one),
    (
        "channel_order",
        "imatge-upc/detection-2016-nipsws/issues/11",
        networks.reversed_colors,
    ),
    (
        "channel_order",
        "udacity/sdc-issue-reports/issues/623",
        networks.reversed_colors_when_serving,
    ),
    (
        "frozen_statistics",
        "keras-team/keras/issues/20285",
        networks.overruled_inference,
    ),
    ("frozen_statistics", "keras-team/keras/issues/7085", networks.frozen_by_weights),
    ("moved_statistics", "keras-team/keras/issues/6570", networks.moved_statistics),
    ("tiny_batches", "apache/mxnet/issues/2308", networks.batches_of_two),
    ("head_rate", "Welthungerhilfe/cgm-ml/issues/326", networks.one_rate_for_all),
    ("erasing_rate", "keras-team/keras/issues/9940", networks.erasing_rate),
    ("stale_compile", "keras-team/keras/issues/13404", networks.opened_after_compile),
    ("stale_compile", "keras-team/keras/issues/6405", networks.optimizer_of_the_head),
    ("idle_pattern", "keras-team/keras/issues/11934", networks.rates_for_nothing),
    ("idle_pattern", "keras-team/keras/pull/16274", networks.exclusion_of_nothing),
    ("missing_adapters", "keras-team/keras-hub/issues/1821", networks.adapters_nowhere),
    (
        "still_adapters",
        "huggingface/transformers/issues/26098",
        networks.adapters_at_rest,
    ),
    ("logits_mismatch", "mmalekzadeh/dana/issues/1", data.softmax_twice),
    ("logits_mismatch", "tflearn/tflearn/pull/562", data.softmax_twice_subclassed),
    ("logits_mismatch", "xiph/LPCNet/issues/97", data.logits_as_probabilities),
    ("logits_mismatch", "keras-team/keras/issues/15715", data.sigmoid_twice),
    ("metric_threshold", "tensorflow/tensorflow/issues/41413", data.logits_cut_at_half),
    ("label_order", "NVIDIA/DIGITS/issues/289", data.names_in_another_order),
    ("permuted_labels", "keras-team/keras/issues/6075", data.labels_in_another_order),
    ("duplicates", "stefyste/RIAWELC/issues/2", data.test_within_training),
    ("class_imbalance", "keras-team/keras/issues/10292", data.nine_of_ten),
    ("random_validation", "keras-team/keras/issues/10458", data.augmented_validation),
    ("random_inference", "keras-team/autokeras/issues/1524", data.flips_in_inference),
    ("training_by_default", "keras-team/keras/issues/16189", data.training_by_default),
    ("random_export", "tensorflow/serving/issues/1266", data.exported_while_training),
    ("not_finite", "JihongJu/keras-fcn/issues/6", networks.broken_weights),
    ("dead_features", "keras-team/keras/issues/7057", data.dead_units),
    ("unbalanced_domains", "pumpikano/tf-dann/issues/1", data.few_target_rows),
    ("target_labels", "daoyuan98/MSDA/issues/1", data.target_labels_in_batches),
    ("target_labels", "Albert0147/BAIT_SFUDA/issues/2", data.labeled_target),
    (
        "target_labels",
        "agrija9/Deep-Unsupervised-Domain-Adaptation/issues/5",
        data.target_within_training,
    ),
    (
        "truncated_texts",
        "huggingface/sentence-transformers/issues/4060",
        data.texts_cut_short,
    ),
    ("truncated_texts", "keras-team/keras/issues/2261", data.ids_cut_short),
    ("export_difference", "keras-team/autokeras/issues/1512", data.stale_export),
]
BROKEN = [(name, _GITHUB + issue, make) for name, issue, make in BROKEN]
SLOW = {  # left to the slow run: a second of what another shows, or an export
    networks.raw_pixels_subclassed,
    networks.scaled_to_one,
    networks.frozen_by_weights,
    networks.optimizer_of_the_head,
    data.softmax_twice_subclassed,
    data.names_in_another_order,
    data.labeled_target,
    data.target_within_training,
    data.stale_export,
}
