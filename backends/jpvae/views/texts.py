"""Texts that "infer" would take for a category though something else is meant: numbers, dates, one level written twice.

    all but codes for missing are numbers    "3.0", "6.0", "?"             many different numbers    "61.5", "70", ...
    numbers with signs, units or marks       "35%", "$1,200.50", "5.1 H"   limits of detection       "<5", "> 60"
    any of the forms in forms.py             "2021-03-04", "12w3d", "½"    nearly all are numbers    one "high" among twenty
    levels that differ in case or blanks     "male", "Male "               half, with fractions      "trace", "1.2", "3.4"

A model of these would be wrong without a word. Each is an error (``complaint``), with the way out: the option that reads them,
or to say {column: "categorical"}. Codes such as "1", "2", "X", grades as "1A", bands such as "18-30" or "50+", "site 3" and
genotypes are categories, and so is any column of pandas' type for them.

The rule for what is left: where at least half of a column's levels look like numbers (forms.looks_like_a_number), or all are a
number after the same word, with a fraction or more than ten of them, it is a category with a warning (``doubt``).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Sequence

from .columns import alike, differing
from .forms import FORMS, MISSING, PAIR, are_alleles, is_known, is_plain, looks_like_a_number, marked
from .numerals import WORDS, signs

_ABOUT = re.compile(r"(?P<before>[^\d\w]*)(?P<number>\d+(\.\d+)?)(?P<after>[^\d]{0,3})")
_NAMED = re.compile(r"(?P<before>\D*[^\W\d_]\D*)\d+(?:[.,]\d+)?\s*")
_MOST_CODES = 10  # different numbers, as texts, that may still be codes of a category
_STRAY = 0.2  # of a column's different texts: so few that are no numbers are taken for mistakes


def complaint(levels: Collection[object], place: str = "VIEW:COLUMN") -> str | None:
    """What a column's different values are taken for instead of a category, and what to do; None where they may be one."""
    texts = [level for level in levels if isinstance(level, str)]
    if (twin := _twin(texts)) is not None:
        return f"has the levels {differing(*twin)}: write them alike"
    there = [text for text in texts if text.strip().casefold() not in MISSING]
    gaps, numbers = sorted(set(texts) - set(there)), len(levels) - len(texts)
    if len(levels) - len(gaps) > 2 and (found := _other(there, place)):
        return found
    marks, wrong = [marked(text) for text in there], [text for text in texts if not is_plain(text)]
    if (there or numbers) and None not in marks and (written := [text for text in there if not is_plain(text)]):
        bare = not any(mark and (mark["limit"] or mark["unit"]) for mark in marks)
        if bare or (len(levels) > 2 and _are_measurements(there)):
            return (
                f"holds numbers that are written as texts ({_some(written)}): make them numbers, without signs, "
                f"commas or units{_option(there, [g for g in gaps if g not in WORDS], place)}"
            )
        return None
    if gaps and len(wrong) == len(gaps) and (there or numbers):
        return (
            f"holds numbers but for {_some(gaps)}: if that is a code for missing, empty these cells, so that they are "
            f"numbers, or in a file: {_codes(gaps, place)}"
        )
    if 0 < len(wrong) <= (0.5 if _has_fractions(levels) else _STRAY) * len(levels):
        return (
            f"is not numeric ({_some(wrong)}), yet {len(levels) - len(wrong)} of its {len(levels)} values are numbers; "
            "expected numbers, or categories that do not look like numbers: correct or empty these cells. If it means that "
            f"nothing was observed: {_codes(wrong, place)}"
        )
    if not wrong and len(there) > _MOST_CODES:
        return f"holds {len(there)} different numbers as texts ({_some(there)}): make them numbers"
    return None


def doubt(levels: Collection[object]) -> str | None:
    """Why a column that gives no cause for complaint may be one of numbers all the same; None where it need not be."""
    texts = [level for level in levels if isinstance(level, str) and level.strip().casefold() not in MISSING]
    alike = [text for text in texts if looks_like_a_number(text)]
    if not alike and (len(texts) > _MOST_CODES or any("." in text for text in texts)):
        named = [_NAMED.fullmatch(text.strip()) for text in texts]
        alike = texts if len({mark and mark["before"] for mark in named}) == 1 and all(named) else []
    if not alike or 2 * len(alike) < len(levels) or are_alleles(texts):
        return None
    return f"{len(alike)} of its {len(levels)} levels look like numbers ({_some(alike)})"


def _has_fractions(levels: Collection[object]) -> bool:
    values = [float(level) for level in levels if isinstance(level, float) or (isinstance(level, str) and is_plain(level))]
    return any(math.isfinite(value) and not value.is_integer() for value in values)


def _other(there: Sequence[str], place: str) -> str | None:
    """Of columns that are neither categories nor a number in each cell."""
    found = {form: [text for text in there if form.has(text)] for form in FORMS}
    form = max(FORMS, key=lambda form: len(found[form]))
    others = set(there).difference(found[form])
    if found[form] and all(map(looks_like_a_number, others)) and not (form is PAIR and are_alleles(there)):
        return f"holds {form.called} ({_some(found[form])}): {form.instead}, or leave the column out: --drop {place}"
    if _are_numbers(there) and not _measured(there):
        return f"holds {len(there)} different numbers with signs about them ({_some(there)}): make them plain numbers"
    return None


def _are_numbers(there: Sequence[str]) -> bool:
    """Whether many different texts are numbers with the same signs about all of them, or decimals with some."""
    found = [_ABOUT.fullmatch(unicodedata.normalize("NFKC", text).strip()) for text in there]
    if len(there) <= _MOST_CODES or None in found or all(map(is_plain, there)):
        return False
    parts = [mark for mark in found if mark]
    return len({(mark["before"], mark["after"]) for mark in parts}) == 1 or 2 * sum("." in m["number"] for m in parts) > len(
        parts
    )


def _measured(there: Sequence[str]) -> bool:
    """Whether the options for units read them: a better answer."""
    return all(map(marked, there)) and _are_measurements(there)


def _are_measurements(there: Sequence[str]) -> bool:
    """Whether numbers with marks are meant as numbers, where the marks are no known units: one for all, or decimals."""
    found = [mark for text in there if (mark := marked(text))]
    units = {(mark["unit"] or "").strip() for mark in found} - {""}
    return all(map(is_known, units)) or len(units) == 1 or sum("." in mark["number"] for mark in found) > len(found) / 2


def way_out(text: str, place: str) -> str:
    """The options by which a column of numbers may have a cell with this text."""
    mark = marked(text)
    if mark is None or mark["limit"]:
        return f"{_codes([text], place)} where it means that nothing was observed"
    return _option([text], [], place).removeprefix(", or in a file: ").removeprefix(", ")


def _option(there: Sequence[str], gaps: Sequence[str], place: str) -> str:
    """The options that read them, or how else they should be written."""
    found = [mark for text in there if (mark := marked(text))]
    if any(mark["limit"] for mark in found):
        return "; limits of detection by half the limit, for instance, or as empty cells"
    units = sorted({part.strip() for mark in found for part in (mark["money"], mark["unit"]) if part})
    if sum(map(is_known, units)) > 1:
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
