"""Weights that make source rows count as often as the target has their like."""

from tftransfer.weighting.boosting import Boosted, tradaboost
from tftransfer.weighting.effective_size import effective_sample_size
from tftransfer.weighting.kernel_mean_matching import kmm
from tftransfer.weighting.least_squares import ulsif
from tftransfer.weighting.likelihood import kliep
from tftransfer.weighting.logistic import logistic_ratio

__all__ = [
    "Boosted",
    "effective_sample_size",
    "kliep",
    "kmm",
    "logistic_ratio",
    "tradaboost",
    "ulsif",
]
