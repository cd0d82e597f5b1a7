"""A learning rate under which what was pretrained is lost."""

import math

from tftransfer.diagnosis.finding import ERROR, WARNING, Finding
from tftransfer.diagnosis.multipliers import rate_multipliers
from tftransfer.diagnosis.step_sizes import measure_steps

LARGE_STEP = 0.005  # of a matrix' norm
ERASED = 0.5
_STEPS_UNKNOWN = 100


def find_large_steps(case):
    """Find a rate that moves pretrained weights too fast.

    Three steps are made with a copy of the optimizer and undone. A step that moves the
    matrices by more than half a hundredth of their norm is that of a new head. Over an
    epoch of n steps a weight moves by at least `sqrt(n)` steps, as in a random walk:
    where that exceeds half the norm of the matrices, little of pretraining is left.

    Measured with MobileNetV2's weights: Adam at a rate of 1e-3 makes steps of 0.7 % of
    the norm.
    """
    sizes = measure_steps(case)
    steps = case.rows.num_batches or _STEPS_UNKNOWN
    epoch = sizes.backbone * math.sqrt(steps)
    evidence = {
        "step over norm": sizes.backbone,
        "epoch over norm": epoch,
        "steps an epoch": steps,
        "matrices": sizes.num_weights,
    }
    if sizes.rate is not None:
        evidence["learning rate"] = sizes.rate
    if epoch > ERASED or not sizes.finite:
        return [_erasing_finding(evidence, sizes)]
    if sizes.backbone < LARGE_STEP or not _has_one_rate(case) or not sizes.is_head_new:
        return []
    return [
        Finding(
            "head_rate",
            WARNING,
            "The pretrained layers learn at the rate of the new head.",
            evidence,
            "While the head is random its gradients are, too: they move pretrained "
            "weights away from what makes them useful.",
            f"optimizer = tft.LayerwiseRates(keras.optimizers.Adam({_rate(sizes)}), "
            '{"head": 1.0}, layer_decay=0.5)  # then compile',
        )
    ]


def _erasing_finding(evidence, sizes):
    return Finding(
        "erasing_rate",
        ERROR,
        "The learning rate moves the pretrained weights by more than half their size "
        "in one epoch.",
        evidence,
        "Pretraining is erased: the network trains from scratch, on few data.",
        f"model.optimizer.learning_rate = {_smaller(sizes)}",
    )


def _smaller(sizes):
    if sizes.rate is None or not math.isfinite(sizes.backbone):
        return "1e-5"
    return f"{sizes.rate * LARGE_STEP / 10 / sizes.backbone:.0e}"


def _rate(sizes):
    return "1e-3" if sizes.rate is None else f"{sizes.rate:.0e}"


def _has_one_rate(case):
    return len(set(rate_multipliers(case.model).values())) == 1
