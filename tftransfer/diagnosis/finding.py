"""One mistake that was found, and what says that a check could not be made."""

import dataclasses
import math

ERROR, WARNING = "error", "warning"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A silent mistake in a set-up.

    Attributes:
        name: Which mistake, such as `"pixel_scale"`.
        severity: `"error"` where results are wrong, `"warning"` where they are likely
            worse than they could be.
        message: What is wrong, a sentence.
        evidence: Dict from what was measured to a number, or a list or text.
        consequence: What it does to training or to predictions, a sentence.
        repair: The line of code that repairs it.
    """

    name: str
    severity: str
    message: str
    evidence: dict
    consequence: str
    repair: str

    def to_dict(self):
        """Return everything as plain values; numbers that are not finite as text."""
        evidence = {name: _plain(value) for name, value in self.evidence.items()}
        return {**dataclasses.asdict(self), "evidence": evidence}

    def __str__(self):
        measured = ", ".join(
            f"{name} {_show(value)}" for name, value in self.evidence.items()
        )
        return (
            f"{self.severity}: {self.message} [{self.name}]\n"
            f"  evidence:    {measured}\n"
            f"  consequence: {self.consequence}\n"
            f"  repair:      {self.repair}"
        )


class NotChecked(Exception):
    """Raised by a check that lacks what it needs; the message says what."""


def _plain(value):
    is_broken = isinstance(value, float) and not math.isfinite(value)
    return str(value) if is_broken else value


def _show(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
