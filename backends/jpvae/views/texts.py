"""Texts that "infer" would take for a category though something else is meant: numbers, dates, one level written twice.

    all but codes for missing are numbers    "3.0", "6.0", "?"             many different numbers    "61.5", "70", ...
    numbers with signs, commas or units      "35%", "1,200.50", "<5"       dates                     "2021-03-04"
    levels that differ in case or blanks     "male", "Male "

A model of these would be wrong without a word. Each is an error, with the way out: change the cells, or say
{column: "categorical"}. Codes such as "1", "2", "X" and bands such as "18-30" or "50+" are categories, and so is any column of
pandas' type for them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_MISSING = {
    "",
    "?",
    "??",
    ".",
    "-",
    "--",
    "*",
    "#n/a",
    "n/a",
    "n.a.",
    "na",
    "nan",
    "nd",
    "n.d.",
    "null",
    "none",
    "missing",
    "unknown",
}
_UNITS = (
    "%|‰|mg|g|kg|µg|ug|ng|ml|l|dl|mmol|mol|cm|mm|km|bpm|mmhg|iu|°c|mg/dl|g/dl|g/l|mg/l|mmol/l|kg/m2|years|yrs|days|hours|min"
)
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_WRITTEN = re.compile(rf"[<>≤≥~]?\s*[-+]?\d[\d.,' \u00a0]*(e[-+]?\d+)?\s*({_UNITS})?", re.IGNORECASE)
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T]\d.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")
_MOST_CODES = 10  # different numbers, as texts, that may still be codes of a category


def complaint(levels: Collection[object], place: str = "VIEW:COLUMN") -> str | None:
    """What a column's different values are taken for instead of a category, and what to do; None where they may be one."""
    texts = [level for level in levels if isinstance(level, str)]
    numbers = len(levels) - len(texts)
    twin = _twin(texts)
    if twin is not None:
        return f"has the levels {twin[0]!r} and {twin[1]!r}, which differ in case or blanks alone: write them alike"
    there = [text for text in texts if text.strip().casefold() not in _MISSING]
    gaps = sorted(set(texts) - set(there))
    if len(there) > 2 and not numbers and all(_DATE.fullmatch(text.strip()) for text in there):
        return f"holds dates ({_some(there)}): make them days since a day, or leave the column out: --drop {place}"
    if (not there and not numbers) or not all(_WRITTEN.fullmatch(text.strip()) for text in there):
        return None
    written = [text for text in there if not _PLAIN.fullmatch(text.strip())]
    if gaps:
        return (
            f"holds numbers but for {_some(gaps)}: if that is a code for missing, empty these cells, so that they are "
            f"numbers, or in a file: --na '{place}={gaps[0]}'"
        )
    if written and len(levels) > 2:
        return (
            f"holds numbers that are written as texts ({_some(written)}): make them numbers, without signs, "
            f"commas or units, or in a file: {_option(written, place)}"
        )
    if len(there) > _MOST_CODES:
        return f"holds {len(there)} different numbers as texts ({_some(there)}): make them numbers"
    return None


def _twin(texts: Sequence[str]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for text in texts:
        alike = " ".join(text.split()).casefold()
        if alike in seen:
            return seen[alike], text
        seen[alike] = text
    return None


def _option(written: Sequence[str], place: str) -> str:
    """The option that reads them."""
    text, view = written[0].strip(), place.partition(":")[0]
    if text[0] in "<>≤≥~":
        return "none reads limits of detection: replace them, by half the limit for instance, or empty these cells"
    unit = re.sub(r"^[-+]?[\d.,' \u00a0]*\d\s*", "", text)
    if unit:
        return f"--unit '{place}={unit}'"
    if any(re.search(r"\d[ \u00a0]\d", one) for one in written):
        return f"--thousands '{view}= '"
    if any(one.count(",") > 1 or re.search(r",\d{3}(\.|$)", one) for one in written):
        return f"--thousands '{view}=,'"
    return f"--decimal '{view}=,'"


def _some(texts: Sequence[str]) -> str:
    return ", ".join(map(repr, texts[:3])) + (", ..." if len(texts) > 3 else "")
