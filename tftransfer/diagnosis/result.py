"""What a diagnosis found, as text and as plain values."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; true where something is wrong.

    Attributes:
        findings: Tuple of `Finding`, errors first.
        checked: Tuple of the names of the checks that were made.
        skipped: Dict from the name of a check to why it was not made.
    """

    findings: tuple
    checked: tuple
    skipped: dict

    def __bool__(self):
        return bool(self.findings)

    @property
    def names(self):
        """Names of the findings, errors first."""
        return [finding.name for finding in self.findings]

    def to_dict(self):
        """Return everything as plain dicts, lists, numbers and texts."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "checked": list(self.checked),
            "skipped": dict(self.skipped),
        }

    def __str__(self):
        count = len(self.findings)
        found = f"{count} finding{'s' * (count != 1)}" if count else "Nothing found"
        lines = [str(finding) for finding in self.findings]
        lines.append(f"{found} in {len(self.checked)} checks.")
        if self.skipped:
            lines.append("Not checked:")
            lines += [f"  {name}: {why}" for name, why in self.skipped.items()]
        return "\n".join(lines)

    __repr__ = __str__
