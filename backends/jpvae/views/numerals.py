"""Numbers as people write them: with a unit, signs between thousands, a decimal comma, the minus sign of typesetters."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

PLAIN = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?|[-+]?inf(inity)?", re.IGNORECASE | re.ASCII)
WORDS = {"NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "None"}
"""Cells of a column of numbers that are as good as empty."""
_EXPONENT = re.compile(r"[deq]\s*[-+\u2212]?\s*\d", re.IGNORECASE)
_BLANKS = " \u00a0\u2009\u202f"
_SIGNS = {".", ",", "'", " "}


def number(text: str, units: Sequence[str] = (), decimal: str = ".", thousands: str = "") -> float | None:
    """What a text means, None where it is no number: a unit at either end is cut off, and signs between groups of digits."""
    text = text.strip().replace("\u2212", "-")
    for unit in sorted(units, key=len, reverse=True):
        if unit and (text.endswith(unit) or text.startswith(unit)):
            text = text.removesuffix(unit).rstrip() if text.endswith(unit) else text.removeprefix(unit).lstrip()
            break
    if thousands:
        sign = f"[{_BLANKS}]" if thousands == " " else "['\u2019]" if thousands == "'" else re.escape(thousands)
        if re.fullmatch(rf"[-+]?[1-9]\d{{0,2}}({sign}\d{{2,3}})*{sign}\d{{3}}({re.escape(decimal)}\d*)?", text):
            text = re.sub(sign, "", text)
    if decimal != ".":
        text = "." if "." in text else text.replace(decimal, ".")
    return float(text) if PLAIN.fullmatch(text) else None


def is_part_of_a_number(unit: str) -> bool:
    """Whether what stands at a number belongs to it: digits, signs and exponents, Fortran's D and Q among them. As a unit it
    would be cut off: 5D+02 would be 5."""
    unit = unit.strip().replace(",", ".").replace("\u2212", "-")
    return bool(_EXPONENT.match(unit) or PLAIN.fullmatch(f"1{unit}") or PLAIN.fullmatch(f"{unit}1"))


def signs(texts: Collection[str], units: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Which (decimal sign, sign between thousands) read all of the texts; of those that read them alike the plainest."""
    found: dict[tuple[float, ...], tuple[str, str]] = {}
    for decimal in (".", ","):
        for thousands in ("", *sorted(_SIGNS - {decimal})):
            values = [number(text, units, decimal, thousands) for text in texts]
            if None not in values:
                found.setdefault(tuple(v for v in values if v is not None), (decimal, thousands))
    return list(found.values())
