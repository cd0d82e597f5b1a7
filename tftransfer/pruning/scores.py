"""How far accuracy may fall, and whether it has."""

from tftransfer.checks import check_number, did_you_mean

_LOWER_IS_BETTER = ("loss", "error", "divergence")
_ROUNDING = 1e-9


class Bound:
    """The least score that is good enough.

    Args:
        monitor: Name of a metric, or `"auto"` for the accuracy on validation data.
        max_drop: Hundredths of the metric by which it may be worse; `None`: any.
        baseline: The score to compare with; `None` takes the first one read.

    Example:

    >>> from tftransfer.pruning.scores import Bound
    >>> bound = Bound("auto", 1.0, None)
    >>> [bound.holds(bound.read({"val_accuracy": x})) for x in (0.93, 0.92, 0.91)]
    [True, True, False]
    """

    def __init__(self, monitor, max_drop, baseline):
        if baseline is not None:
            check_number("baseline", baseline)
        if not isinstance(monitor, str):
            raise TypeError(
                '`monitor` must be the name of a metric or "auto". Received: '
                f"monitor={monitor!r} of type {type(monitor).__name__}. Pass for "
                'example "val_accuracy".'
            )
        self._given = (monitor, max_drop, baseline)
        self._monitor, self._max_drop, self._baseline = monitor, max_drop, baseline

    @property
    def is_set(self):
        """Whether there is a bound."""
        return self._max_drop is not None

    def anew(self):
        """Make the same bound, without what was read."""
        return Bound(*self._given)

    def read(self, logs):
        """Return the score in the logs of an epoch, `None` if there is no bound.

        Raises:
            ValueError: If it is not there.
        """
        logs = logs or {}
        name = self._find(logs) if self._monitor == "auto" else self._monitor
        if name in logs:
            self._monitor = name
            score = float(logs[name])
            self._baseline = score if self._baseline is None else self._baseline
            return score
        if not self.is_set:
            return None
        raise ValueError(
            "`monitor` must be a metric that `fit` shows, by which accuracy is kept. "
            f"Received: monitor={self._monitor!r}, and {sorted(logs)} in the logs. "
            f"{did_you_mean(self._monitor, logs)} Give `fit` validation data and "
            "`compile` the metric, or pass max_drop=None to prune whatever happens."
        )

    def holds(self, score):
        """Whether a score is good enough."""
        if not self.is_set:
            return True
        return (
            self._sign() * (self._baseline - score) <= self._max_drop / 100 + _ROUNDING
        )

    def is_better(self, score, other):
        """Whether a score is at least as good as another."""
        return self._sign() * (score - other) >= 0

    def describe(self):
        """Tell the least score that is good enough."""
        least = self._baseline - self._sign() * self._max_drop / 100
        side = "least" if self._sign() > 0 else "most"
        return f"{self._monitor} of at {side} {least:.4g}"

    def _sign(self):
        return -1 if any(word in self._monitor for word in _LOWER_IS_BETTER) else 1

    def _find(self, logs):
        names = [x for x in logs if x.startswith("val_") and x.endswith("accuracy")]
        return (*names, None)[0]
