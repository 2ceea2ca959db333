"""Texts that "infer" would take for a category though something else is meant: numbers, dates, one level written twice.

    all but codes for missing are numbers    "3.0", "6.0", "?"             many different numbers    "61.5", "70", ...
    numbers with signs, units or marks       "35%", "$1,200.50", "5.1 H"   limits of detection       "<5", "> 60"
    dates and times                          "2021-03-04", "4 Mar 2021"    two numbers in a cell     "120/80", "1.5±0.2"
    levels that differ in case or blanks     "male", "Male "               nearly all are numbers    one "high" among twenty

A model of these would be wrong without a word. Each is an error, with the way out: the option that reads them, or to say
{column: "categorical"}. Codes such as "1", "2", "X", grades as "1A", bands such as "18-30" or "50+", "site 3" and genotypes are
categories, and so is any column of pandas' type for them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence

from .columns import alike
from .numerals import PLAIN, WORDS, signs

_MISSING = {
    *("", "?", "??", "???", ".", "..", "...", "-", "--", "---", "–", "—", "*", "#n/a", "n/a", "n.a.", "n.a", "na", "nan", "nd"),
    *("n.d.", "null", "none", "nil", "missing", "miss", "unknown", "unk", "not done", "not available", "not applicable"),
    *("not tested", "not measured", "not reported", "not known", "pending", "refused", "lod", "blq", "bdl", "bql", "#div/0!"),
    *("#value!", "#ref!", "#name?", "#num!", "#null!", "<lod", "<loq", "< lod", "< loq", "loq", "below lod"),
}
_KNOWN = {  # units that may follow a number at once, of one letter or two; others are longer, or stand after a blank
    *(
        "%",
        "‰",
        "g",
        "l",
        "L",
        "m",
        "s",
        "h",
        "d",
        "y",
        "V",
        "K",
        "J",
        "W",
        "mg",
        "kg",
        "µg",
        "μg",
        "ug",
        "ng",
        "pg",
        "ml",
        "dl",
    ),
    *("cm", "mm", "km", "nm", "ms", "hz", "iu", "°c", "°f", "nm", "lb", "lbs", "oz", "in", "ft", "yr", "yrs", "min", "u/l"),
}
_NUMBER = r"[-+\u2212]?(?:\d[\d.,'’ \u00a0\u2009\u202f]*\d|\d|\.\d+)(?:e[-+]?\d+)?"
_MARKED = re.compile(
    rf"(?P<limit>[<>≤≥~≈]=?)?\s*(?P<money>[$€£¥₹]|(?:usd|eur|gbp|chf)\s)?\s*(?P<number>{_NUMBER})(?P<blank>\s*)(?P<unit>[^\d\s].*)?",
    re.IGNORECASE,
)
_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec"
_MONTH = rf"(?:{_MONTH}|january|february|march|april|june|july|august|september|october|november|december)\.?"
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T]\d.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}([ T]\d.*)?|(19|20)\d\d[-/](0?[1-9]|1[0-2])"
    rf"|\d{{1,2}}[-/ .]*{_MONTH}[-/ ,]*\d{{2,4}}|{_MONTH}[-/ ]*(\d{{1,2}}[-/ ,]+)?\d{{2,4}}"
    rf"|\d{{1,2}}[-/ .]{_MONTH}|\d{{4}}-?W\d\d(-?\d)?",
    re.IGNORECASE,
)
_TIME = re.compile(r"\d{1,3}:\d\d(:\d\d(\.\d+)?)?( ?[ap]m)?", re.IGNORECASE)
_PAIR = re.compile(r"[-+]?\d+(\.\d+)?\s*([/±]|\+/-)\s*\d+(\.\d+)?")
_ALLELES = re.compile(r"[0-3][/|][0-3]")
_POWER = re.compile(r"[-+]?\d+(\.\d+)?\s*[x×*·]\s*10\s*[\^*]{0,2}\s*[-+\u2212]?\d+")
_ABOUT = re.compile(r"(?P<before>[^\d\w]*)(?P<number>\d+(\.\d+)?)(?P<after>[^\d]{0,3})")
_NEGATIVE = re.compile(r"\(\d[\d.,]*\)")
_MOST_CODES = 10  # different numbers, as texts, that may still be codes of a category
_STRAY = 0.2  # of a column's different texts: so few that are no numbers are taken for mistakes


def complaint(levels: Collection[object], place: str = "VIEW:COLUMN") -> str | None:
    """What a column's different values are taken for instead of a category, and what to do; None where they may be one."""
    texts = [level for level in levels if isinstance(level, str)]
    if (twin := _twin(texts)) is not None:
        return f"has the levels {twin[0]!r} and {twin[1]!r}, which differ in case or blanks alone: write them alike"
    there = [text for text in texts if text.strip().casefold() not in _MISSING]
    gaps, numbers = sorted(set(texts) - set(there)), len(levels) - len(texts)
    if len(there) > 2 and not numbers and (found := _other(there, place)):
        return found
    marked = [_marked(text) for text in there]
    if (there or numbers) and None not in marked and (written := [text for text in there if not PLAIN.fullmatch(text.strip())]):
        bare = not any(mark and (mark["limit"] or mark["unit"]) for mark in marked)
        if bare or (len(levels) > 2 and _are_measurements(there)):
            return (
                f"holds numbers that are written as texts ({_some(written)}): make them numbers, without signs, "
                f"commas or units{_option(there, [g for g in gaps if g not in WORDS], place)}"
            )
        return None
    wrong = [text for text in texts if not PLAIN.fullmatch(text.strip())]
    if gaps and len(wrong) == len(gaps) and (there or numbers):
        return (
            f"holds numbers but for {_some(gaps)}: if that is a code for missing, empty these cells, so that they are "
            f"numbers, or in a file: {_codes(gaps, place)}"
        )
    if 0 < len(wrong) <= _STRAY * len(levels):
        return (
            f"is not numeric ({_some(wrong)}), yet {len(levels) - len(wrong)} of its {len(levels)} values are numbers; "
            "expected numbers, or categories that do not look like numbers: correct or empty these cells. If it means that "
            f"nothing was observed: {_codes(wrong, place)}"
        )
    if not wrong and len(there) > _MOST_CODES:
        return f"holds {len(there)} different numbers as texts ({_some(there)}): make them numbers"
    return None


def _other(there: Sequence[str], place: str) -> str | None:
    """Of columns that are neither categories nor a number in each cell."""

    def all_are(pattern: re.Pattern[str]) -> bool:
        return all(pattern.fullmatch(text.strip()) for text in there)

    if all_are(_DATE):
        return f"holds dates ({_some(there)}): make them days since a day, or leave the column out: --drop {place}"
    if all_are(_TIME):
        return f"holds times ({_some(there)}): make them hours or minutes, or leave the column out: --drop {place}"
    if all_are(_PAIR) and not all_are(_ALLELES):
        return f"holds two numbers in each cell ({_some(there)}): make them two columns, or leave it out: --drop {place}"
    for pattern, what in ((_POWER, "powers of ten: 1.2e3"), (_NEGATIVE, "numbers in brackets: -5.2")):
        found = [text for text in there if pattern.fullmatch(text.strip())]
        if found and all(text in found or PLAIN.fullmatch(text.strip()) for text in there):
            return f"holds numbers that are written as texts ({_some(found)}): expected of {what}"
    if _are_numbers(there) and not _measured(there):
        return f"holds {len(there)} different numbers with signs about them ({_some(there)}): make them plain numbers"
    return None


def _are_numbers(there: Sequence[str]) -> bool:
    """Whether many different texts are numbers with the same signs about all of them, or decimals with some."""
    found = [_ABOUT.fullmatch(unicodedata.normalize("NFKC", text).strip()) for text in there]
    if len(there) <= _MOST_CODES or None in found or all(PLAIN.fullmatch(text.strip()) for text in there):
        return False
    parts = [mark for mark in found if mark]
    return len({(mark["before"], mark["after"]) for mark in parts}) == 1 or 2 * sum("." in m["number"] for m in parts) > len(
        parts
    )


def _measured(there: Sequence[str]) -> bool:
    """Whether the options for units read them: a better answer."""
    return all(map(_marked, there)) and _are_measurements(there)


def _marked(text: str) -> re.Match[str] | None:
    """The parts of a number with what stands about it; None where the text is something else."""
    found = _MARKED.fullmatch(text.strip())
    unit = (found["unit"] or "").strip() if found else ""
    band = unit[:1] in "-–+:/" and unit != ""
    short = unit.isalpha() and len(unit) < 3 and not found["blank"] and not _is_known(unit) if found else False
    return None if band or short or len(unit) > 20 else found


def _are_measurements(there: Sequence[str]) -> bool:
    """Whether numbers with marks are meant as numbers, where the marks are no known units: one for all, or decimals."""
    found = [mark for text in there if (mark := _marked(text))]
    units = {(mark["unit"] or "").strip() for mark in found} - {""}
    return all(map(_is_known, units)) or len(units) == 1 or sum("." in mark["number"] for mark in found) > len(found) / 2


def way_out(text: str, place: str) -> str:
    """The options by which a column of numbers may have a cell with this text."""
    mark = _marked(text)
    if mark is None or mark["limit"]:
        return f"{_codes([text], place)} where it means that nothing was observed"
    return _option([text], [], place).removeprefix(", or in a file: ").removeprefix(", ")


def _is_known(unit: str) -> bool:
    first = unit.split("/")[0]
    return unit in _KNOWN or first in _KNOWN or (len(first) > 1 and bool({unit.casefold(), first.casefold()} & _KNOWN))


def _option(there: Sequence[str], gaps: Sequence[str], place: str) -> str:
    """The options that read them, or how else they should be written."""
    found = [mark for text in there if (mark := _marked(text))]
    if any(mark["limit"] for mark in found):
        return "; limits of detection by half the limit, for instance, or as empty cells"
    units = sorted({part.strip() for mark in found for part in (mark["money"], mark["unit"]) if part})
    if sum(map(_is_known, units)) > 1:
        return f", and in one unit instead of {_some(units)}"
    options = [f"--unit '{place}={unit}'" for unit in units]
    known = signs(there, units)
    if not known:
        return ", all in one way"
    ways = [" ".join(_sign(place, *way)) for way in known]
    either = " or ".join(way for way in ways if way) if "" not in ways else ""
    return ", or in a file: " + " ".join([*options, *([either] if either else []), *([_codes(gaps, place)] if gaps else [])])


def _sign(place: str, decimal: str, thousands: str) -> list[str]:
    return [
        *([f"--decimal '{place}={decimal}'"] if decimal != "." else []),
        *([f'--thousands "{place}={thousands}"'] if thousands == "'" else []),
        *([f"--thousands '{place}={thousands}'"] if thousands not in ("", "'") else []),
    ]


def _codes(texts: Sequence[str], place: str) -> str:
    return " ".join(f"--na '{place}={text}'" for text in texts[:3])


def _twin(texts: Sequence[str]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for text in texts:
        plain = alike(text)
        if plain in seen:
            return seen[plain], text
        seen[plain] = text
    return None


def _some(texts: Sequence[str]) -> str:
    return ", ".join(map(repr, texts[:3])) + (", ..." if len(texts) > 3 else "")
