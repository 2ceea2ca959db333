"""What a text looks like, apart from what is meant by it: the forms in which people write numbers, dates and times.

    plain        "12", "-3.5", "1e3"           marked    a number with a limit, currency, unit or sign: "<5", "$3", "5.1 H"
    date, time   "4 Mar 2021", "10:30"         parts     "12w3d", "5'10\"", "1h30", "48°51'N", "P1DT2H"
    pair         "120/80", "38+4", "1:160"     power, Fortran    "1.2x10^3", "5D+02"
    negative, based, fraction                "(5.2)", "12-", "0x1F", "½"

Bands ("18-30", "50+", "<18"), codes with letters of no unit ("1a", "T2", "A-1") and genotypes ("0/1") have none of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from .numerals import PLAIN, is_part_of_a_number

MISSING = {
    *("", "?", "??", "???", ".", "..", "...", "-", "--", "---", "–", "—", "*", "#n/a", "n/a", "n.a.", "n.a", "na", "nan", "nd"),
    *("n.d.", "null", "none", "nil", "missing", "miss", "unknown", "unk", "not done", "not available", "not applicable"),
    *("not tested", "not measured", "not reported", "not known", "pending", "refused", "lod", "blq", "bdl", "bql", "#div/0!"),
    *("#value!", "#ref!", "#name?", "#num!", "#null!", "<lod", "<loq", "< lod", "< loq", "loq", "below lod"),
}
"""Words that often mean that nothing was observed."""
_UNITS = {  # that may follow a number at once, of one letter or two; others are longer, or stand after a blank
    *("%", "‰", "g", "l", "L", "m", "s", "h", "d", "w", "y", "V", "K", "J", "W", "mg", "kg", "µg", "μg", "ug", "ng", "pg"),
    *("ml", "dl", "cm", "mm", "km", "nm", "ms", "hz", "iu", "°c", "°f", "lb", "lbs", "oz", "in", "ft", "yr", "yrs", "mo"),
    *("min", "hr", "wk", "u/l", "year", "years", "month", "months", "week", "weeks", "day", "days", "hour", "hours", "minutes"),
    *("seconds", "mio", "million", "usd", "eur", "gbp", "chf", "pct", "percent", "bpm", "mmhg"),
}
_NUMBER = r"[-+\u2212]?(?:\d[\d.,_'’ \u00a0\u2009\u202f]*\d|\d|\.\d+)(?:e[-+]?\d+)?"
_MARKED = re.compile(
    rf"(?P<limit>[<>≤≥~≈]=?)?\s*(?P<money>[$€£¥₹]|(?:usd|eur|gbp|chf)\s)?\s*(?P<number>{_NUMBER})(?P<blank>\s*)(?P<unit>[^\d\s].*)?",
    re.IGNORECASE,
)
_WORD, _DECIMAL = r"[^\W\d_]{3,12}", r"\d+(?:[.,]\d+)?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]{0,6}\.?"
_DATE = re.compile(
    rf"(?:{_WORD},?\s+)?(?:"
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ T]\d.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(?:[ T]\d.*)?"
    r"|(?:19|20)\d\d[-/](?:0?[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])[-/.](?:19|20)\d\d|\d{2,4}\s?[年년]\s?\d{1,2}\s?[月월].*"
    rf"|\d{{1,2}}[-/ .]*{_MONTH}[-/ ,]*\d{{2,4}}|{_MONTH}[-/ ]*(?:\d{{1,2}}[-/ ,]+)?\d{{2,4}}|\d{{1,2}}[-/ .]{_MONTH}"
    rf"|\d{{1,2}}\.?\s+{_WORD}\.?,?\s+(?:19|20)\d\d|\d{{4}}-?W\d\d(?:-?\d)?"
    r"|(?:19|20)\d\d[- ]?Q[1-4]|Q[1-4][- /']?(?:19|20)?\d\d)",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?:\d+ days?,? )?\d{1,3}:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?(?: ?[ap]\.?m\.?)?|\d{1,2} ?[ap]\.?m\.?", re.IGNORECASE
)
_PART = (
    r"(?:years?|yrs?|months?|mos?|weeks?|wks?|days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|feet|foot|ft|inch(?:es)?|in"
    r"|stone|st|pounds?|lbs?|ounces?|oz|kg|g|cm|m|[ymwdhs]|['’](?!\d{3})|[°'\"’′″]{1,2}(?!\d{3}))"
)
_PARTS = re.compile(
    rf"(?:{_DECIMAL}\s*{_PART}[\s,]*(?:and\s+)?)+{_DECIMAL}(?:\s*{_PART})?\s*[nsew]?|p(?=.*\d)(?:\d+[ymwd])*(?:t(?:{_DECIMAL}[hms])+)?",
    re.IGNORECASE,
)
_PAIR = re.compile(rf"[-+]?{_DECIMAL}\s*(?:(?:[/±:;|+⁄~x×*→\t]|\+/-|(?:out )?of )\s*{_DECIMAL}|[(\[]\s*[-+]?\d[^()\[\]]*[)\]])")
_ALLELES = re.compile(r"[0-3][/|][0-3]")
_POWER = re.compile(rf"(?:[-+]?{_DECIMAL}\s*[x×*·]\s*10\s*[\^*]{{0,2}}|[-+]?10\s*[\^*]{{1,2}})\s*[-+\u2212]?\d+", re.IGNORECASE)
_FORTRAN = re.compile(  # a sign or a point in it: "1D2" is a code
    r"[-+\u2212]?(?:(?:\d+[.,]?\d*|[.,]\d+)\s?[dq]\s?[-+\u2212]|(?:\d+[.,]\d*|[.,]\d+)[dq])\d+", re.IGNORECASE
)
_NEGATIVE = re.compile(r"\(\s*\d[\d.,]*\s*\)|\d[\d.,]*\s*[-\u2212]")
_BASED = re.compile(r"[-+]?0(?:x[\da-f_.]+(?:p[-+]?\d+)?|b[01_]+|o[0-7_]+)", re.IGNORECASE)
_FRACTION = re.compile(r"[-+]?(?:\d+\s*)?[¼½¾⅐-⅞]|[-+]?\d+\s+\d+\s*[/⁄]\s*\d+")
_SIGNS = re.compile(  # about a number; letters only behind a fraction or in a rate; numbers in brackets
    rf"[^\w<>≤≥]*(?:{_DECIMAL}|{_NUMBER})[^\w]{{0,3}}|[^\w<>≤≥]*\d*[.,]\d+\s?[^\W\d]{{1,2}}|{_DECIMAL}\s*/\s*{_PART}|[\[{{].*\d.*[\]}}]",
    re.IGNORECASE,
)
_BAND = re.compile(rf"{_DECIMAL}\s*(?:[-–+]|to)\s*(?:{_DECIMAL})?", re.IGNORECASE)


class Form(NamedTuple):
    """Of numbers: what they are called, how to write them instead, and the texts that have it."""

    called: str
    instead: str
    pattern: re.Pattern[str]

    def has(self, text: str) -> bool:
        """Whether a text has it; superscripts and wide letters are as good as others."""
        written = (text,) if text.isascii() else (text, unicodedata.normalize("NFKC", text))
        return any(self.pattern.fullmatch(one.strip()) for one in written)


PAIR = Form("several numbers in each cell", "make them columns of their own, or one number", _PAIR)
FORMS = (
    Form("dates", "make them days since a day", _DATE),
    Form("times", "make them hours or minutes", _TIME),
    Form("fractions", "make them decimal numbers: 0.5", _FRACTION),
    Form("powers of ten", "write them as 1.2e3", _POWER),
    Form("numbers with Fortran's exponents", "write them with E: 5E+02", _FORTRAN),
    Form("numbers with brackets or a minus behind", "write them as -5.2 where they are negative", _NEGATIVE),
    Form("numbers to base 16, 8 or 2", "write them to base 10", _BASED),
    Form("numbers in parts of several units", "make them numbers of one unit", _PARTS),
    PAIR,
)
"""The one that most of a column's texts have is meant, the first of those that as many have."""


def is_plain(text: str) -> bool:
    """Whether it is a number as programs write them."""
    return PLAIN.fullmatch(text.strip()) is not None


def are_alleles(texts: Iterable[str]) -> bool:
    """Whether all of them are genotypes, which look like pairs."""
    return all(_ALLELES.fullmatch(text.strip()) for text in texts)


def looks_like_a_number(text: str) -> bool:
    """Whether it has one of the forms, or has a number and no letters but a unit's; bands do not, nor do limits alone."""
    mark = marked(text)
    if mark and not mark["limit"] and is_known((mark["unit"] or "%").strip()):
        return True
    if _BAND.fullmatch(text.strip()) and not PAIR.has(text):
        return "." in text  # of fractions
    return _SIGNS.fullmatch(text.strip()) is not None or any(form.has(text) for form in FORMS)


def marked(text: str) -> re.Match[str] | None:
    """The parts of a number with what stands about it; None where the text is something else."""
    found = _MARKED.fullmatch(text.strip())
    unit = (found["unit"] or "").strip() if found else ""
    band = unit[:1] in "-–+:/" and unit != ""
    short = unit.isalpha() and len(unit) < 3 and not found["blank"] and not is_known(unit) if found else False
    return None if band or short or len(unit) > 20 or is_part_of_a_number(unit or "%") else found


def is_known(unit: str) -> bool:
    """Whether it is a unit that is known, alone or over another."""
    first = unit.split("/")[0]
    return unit in _UNITS or first in _UNITS or (len(first) > 1 and bool({unit.casefold(), first.casefold()} & _UNITS))
