"""Scores of a target without labels: told, not trusted to choose."""

from tftransfer.validation.domain_distances import a_distance, mmd
from tftransfer.validation.model_validators import (
    circular_validation,
    class_clusters,
    mixval,
)
from tftransfer.validation.validators import (
    agreement,
    average_thresholded_confidence,
    deep_embedded_validation,
    entropy,
    importance_weighted_validation,
    information_maximization,
    soft_neighborhood_density,
)

__all__ = [
    "a_distance",
    "agreement",
    "average_thresholded_confidence",
    "circular_validation",
    "class_clusters",
    "deep_embedded_validation",
    "entropy",
    "importance_weighted_validation",
    "information_maximization",
    "mixval",
    "mmd",
    "soft_neighborhood_density",
]
