"""Ways to label a target from its features, one file each.

Functions of a `Problem` and its `Control` that return a `Candidate`; any of them goes
into `adapt_features(..., methods=[coral, tca])`.
"""

from tftransfer.methods.confusion import minimum_class_confusion
from tftransfer.methods.control import Control, fit_control
from tftransfer.methods.coral_map import coral
from tftransfer.methods.domain_standardization import adabn
from tftransfer.methods.importance import reweighted
from tftransfer.methods.information import information_maximization
from tftransfer.methods.prior_shift import prior_shift
from tftransfer.methods.problem import Candidate, Problem
from tftransfer.methods.propagation import label_propagation
from tftransfer.methods.self_training import self_training
from tftransfer.methods.subspace import subspace
from tftransfer.methods.tca import tca
from tftransfer.methods.transport import linear_transport

__all__ = [
    "Candidate",
    "Control",
    "Problem",
    "adabn",
    "coral",
    "fit_control",
    "information_maximization",
    "label_propagation",
    "linear_transport",
    "minimum_class_confusion",
    "prior_shift",
    "reweighted",
    "self_training",
    "subspace",
    "tca",
]
