"""Transfer learning for Keras: adapt a pretrained network to your data and serve it.

Names are loaded when they are first used, so that `import tftransfer` takes
milliseconds and pulls in neither TensorFlow nor Keras.
"""

import importlib

from tftransfer._version import __version__

_HOMES = {  # public name -> module of the package that defines it
    "AdaptationResult": "adaptation.result",
    "AlignedModel": "alignment.aligned_model",
    "Alignment": "alignment.layer",
    "AutoTransfer": "automatic.result",
    "BSS": "regularization.bss",
    "Backbone": "backbones.catalog",
    "BackboneRanking": "ranking.result",
    "BatchPrediction": "scoring.batch_predict",
    "CDAN": "alignment.cdan",
    "CORAL": "alignment.coral",
    "Calibration": "calibration.calibrate",
    "CrossValidation": "selection.result",
    "DANN": "alignment.dann",
    "DELTA": "regularization.delta",
    "Diagnosis": "diagnosis.result",
    "DomainAdaptation": "adaptation.domain_result",
    "DomainShift": "calibration.domain_shift",
    "ELPV_LICENSE": "data.elpv",
    "Evaluation": "evaluation.result",
    "Explanation": "explanation.explain",
    "Features": "features.extract_features",
    "FreezeThreshold": "regularization.freeze_threshold",
    "HubLayer": "backbones.hub_layer",
    "HybridSharing": "branches.hybrid_sharing",
    "L2SP": "regularization.l2_sp",
    "LabelFreeScores": "validation.callback",
    "LayerwiseRates": "rates.layerwise_rates",
    "MCC": "alignment.mcc",
    "MMD": "alignment.mmd",
    "Mixout": "regularization.mixout",
    "ParameterDecay": "regularization.parameter_decay",
    "Question": "asking.asking",
    "RayCluster": "cluster.ray_cluster",
    "Regularization": "regularization.layer",
    "ResidualAdapter": "branches.residual_adapter",
    "Resume": "checkpoints.resume",
    "SWA": "regularization.swa",
    "Stage": "training.stages",
    "StochasticFreezing": "regularization.stochastic_freezing",
    "Strategy": "training.strategy",
    "StructuredPruning": "pruning.structured_pruning",
    "UnlabeledDomain": "data.unlabeled",
    "accelerate": "acceleration.accelerate",
    "adapt_batch_norm": "alignment.adabn",
    "adapt_domain": "adaptation.adapt_domain",
    "adapt_features": "adaptation.adapt_features",
    "add_lora": "lora.adapters",
    "add_residual_adapters": "branches.residual_adapter",
    "add_side_network": "branches.side_network",
    "auto_transfer": "automatic.auto_transfer",
    "average_models": "ensembles",
    "batch_by_length": "data.by_length",
    "batch_predict": "scoring.batch_predict",
    "build_resizing": "resizing",
    "build_transfer_model": "models",
    "calibrate": "calibration.calibrate",
    "check_export_path": "export.target_folder",
    "check_leakage": "data.leakage",
    "choose_examples": "report.examples",
    "combine_backbones": "backbones.combined",
    "compare_strategies": "selection.compare_strategies",
    "coral_loss": "alignment.coral",
    "cross_validate": "selection.cross_validate",
    "decode_image": "decoding",
    "describe_lora": "lora.description",
    "describe_strategy": "training.describing",
    "describe_trainable": "freezing.description",
    "diagnose": "diagnosis.diagnose",
    "draw_virtual_features": "training.virtual_features",
    "draw_weights_anew": "training.random_weights",
    "evaluate": "evaluation.evaluate",
    "evaluate_predictions": "evaluation.predictions",
    "explain": "explanation.explain",
    "export_model": "export.saved_model",
    "extract_features": "features.extract_features",
    "fine_tune": "training.fine_tune",
    "fit_domain_shift": "calibration.domain_shift",
    "interpolate_weights": "regularization.wise_ft",
    "join_domains": "data.labeled_domains",
    "list_backbones": "backbones.listing",
    "load_backbone": "backbones.catalog",
    "load_classifier": "backbones.packaged",
    "load_elpv": "data.elpv",
    "load_exported": "export.loading",
    "load_folder": "data.folders",
    "load_lora": "lora.checkpoint",
    "load_model": "models",
    "load_synthetic": "data.synthetic",
    "load_table": "data.tables",
    "load_tfds": "data.tfds",
    "lora_rates": "lora.rates",
    "mcc_loss": "alignment.mcc",
    "measure_channel_weights": "regularization.channel_weights",
    "measure_padding": "data.padding",
    "merge_lora": "lora.adapters",
    "mmd_loss": "alignment.mmd",
    "pair_domains": "data.domains",
    "pair_labeled_domains": "data.labeled_domains",
    "plot_confusion": "report.confusion",
    "plot_examples": "report.examples",
    "plot_heat_maps": "report.heat_maps",
    "plot_history": "report.history",
    "plot_ranking": "report.ranking",
    "plot_reliability": "report.reliability",
    "plot_strategies": "report.strategies",
    "predict": "evaluation.predict",
    "rank_backbones": "ranking.rank_backbones",
    "read_elpv": "data.elpv",
    "save_lora": "lora.checkpoint",
    "set_trainable_depth": "freezing.depth",
    "shrink_model": "pruning.shrinking",
    "split_elpv": "data.elpv",
    "write_model_card": "card.model_card",
}

_ROOMS = (
    "methods",
    "ranking",
    "validation",
    "weighting",
)  # reached whole: tftransfer.weighting.kmm

__all__ = ["__version__", *sorted((*_HOMES, *_ROOMS))]


def __getattr__(name):
    if name in _ROOMS:
        return importlib.import_module(f"tftransfer.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'tftransfer' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tftransfer.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
