"""What a conformance suite found: per thing compared, how often, and the error that came closest to its bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np


@dataclass
class Line:
    """One row of the table."""

    compared: int = 0
    error: float = 0.0
    bound: float = 0.0
    share: float = 0.0  # error / bound where that is largest


@dataclass
class Report:
    """Collects comparisons and raises AssertionError at the first that fails; ``print(report)`` is a table.

    Parameters
    ----------
    title : str
        What is checked.
    case : str
        Under which circumstances, for messages.
    lines : dict of Line
        The table, by what was compared.

    Examples
    --------
    >>> from jpvae.testing import Report
    >>> report = Report("arithmetic", "float64")
    >>> report.require("sum", 1 + 1 == 2, "is not 2")
    >>> report.compare("sum", 0.1 + 0.2, 0.3, 1e-15)
    >>> print(report)
    arithmetic: 1 comparison, all within their bounds
    compared   times    error    bound    share
    sum            1    6e-17    1e-15    0.056
    """

    title: str
    case: str = ""
    lines: dict[str, Line] = field(default_factory=dict)

    def compare(self, name: str, found: Any, expected: Any, bound: Any) -> None:
        """|found - expected| <= bound in every entry.

        Parameters
        ----------
        name : str
            What is compared.
        found, expected : arrays of one shape
        bound : array that broadcasts to it
            0 demands the same bits.

        Raises
        ------
        AssertionError
        """
        found, expected = np.asarray(found), np.asarray(expected)
        self.require(name, found.shape == expected.shape, f"has shape {found.shape}; expected {expected.shape}")
        line = self.lines.setdefault(name, Line())
        line.compared += 1
        if not found.size:
            return
        error = np.abs(found.astype(np.float64) - expected)
        bound = np.broadcast_to(np.asarray(bound, dtype=np.float64), error.shape)
        ratio = np.divide(error, bound, out=np.where(error == 0, 0.0, np.inf), where=bound > 0)  # an error of NaN is no pass
        at = np.unravel_index(np.argmax(np.where(np.isnan(ratio), np.inf, ratio)), ratio.shape)
        self.require(
            name,
            bool(ratio[at] <= 1),
            f"is {found[at]:.17g}; expected {expected[at]:.17g}: error {error[at]:.2g}, bound {bound[at]:.2g}",
        )
        if ratio[at] >= line.share:
            line.error, line.bound, line.share = float(error[at]), float(bound[at]), float(ratio[at])

    def require(self, name: str, truth: bool, message: str) -> None:
        """Raise AssertionError, naming what was compared and the case, unless ``truth``.

        Parameters
        ----------
        name : str
            What is compared.
        truth : bool
        message : str
            What follows the name.

        Raises
        ------
        AssertionError
        """
        if not truth:
            raise AssertionError(f"{self.title}: {name} {message} ({self.case})")

    def __enter__(self) -> Report:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Whatever the checked code raises by itself says in which case it did."""
        if error is not None and not isinstance(error, AssertionError):
            error.add_note(f"{self.title} ({self.case})")

    def __str__(self) -> str:
        count = sum(line.compared for line in self.lines.values())
        width = max(map(len, [*self.lines, "compared"]))
        table = [f"{'compared':<{width}}   times    error    bound    share"]
        for name, line in self.lines.items():
            table.append(f"{name:<{width}}  {line.compared:>6}  {line.error:>7.0e}  {line.bound:>7.0e}  {line.share:>7.2g}")
        return "\n".join([f"{self.title}: {count} comparison{'s' * (count != 1)}, all within their bounds", *table])
