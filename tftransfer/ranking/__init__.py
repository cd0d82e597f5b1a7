"""Scores of how well a backbone's features suit a task, before anything is trained."""

from tftransfer.ranking.h_score import h_score
from tftransfer.ranking.knn import knn
from tftransfer.ranking.leep import leep
from tftransfer.ranking.linear_probe import linear_probe
from tftransfer.ranking.logme import logme
from tftransfer.ranking.nce import nce
from tftransfer.ranking.weighted_kendall import weighted_kendall

__all__ = [
    "h_score",
    "knn",
    "leep",
    "linear_probe",
    "logme",
    "nce",
    "weighted_kendall",
]
