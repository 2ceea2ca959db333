"""What the cells of a column are: decided from all of them by the fit, and by the fit's columns for every later file.

A column of texts is one of numbers where all its cells are numbers, empty, or words for missing such as NA; of truth values,
where all are true or false; else the texts are answers, as they stand, words for missing among them too: those have to be named
by --na. The same texts mean the same in a .csv, a sheet and a .parquet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..views.arrays import EXACT
from ..views.numerals import PLAIN, WORDS
from ..views.numerals import number as number_in
from .dialect import Dialect

_FLAGS = {"true": True, "false": False}


class NotNumbers(ValueError):
    """A cell that is no number in a column of numbers: its row and its text."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(text)
        self.row, self.text = row, text


class TooLarge(ValueError):
    """An integer that a float64, which every column becomes once it has holes, cannot hold."""


def column(cells: Sequence[str | None], name: str, dialect: Dialect, kind: str | None = None) -> Any:
    """An array of numbers or truth values, or a list of texts and None. kind: "number" or "text", as the fit has it; None: to
    be decided. Raises NotNumbers where it is "number" and a cell is not one."""
    codes, units = dialect.of(dialect.missing, name), dialect.of(dialect.units, name)
    decimal, thousands = dialect.signs(name)
    plain = not (codes or units or thousands) and decimal == "."
    if kind != "text" and plain and (found := _all_numbers(cells)) is not None:
        return found
    codes_as_numbers = {float(code) for code in codes if PLAIN.fullmatch(code)}

    def number(text: str) -> float | None:
        return number_in(text, units, decimal, thousands)

    def empty(text: str | None) -> bool:
        if text is None or not text.strip() or text in codes:
            return True
        return bool(codes_as_numbers) and number(text) in codes_as_numbers

    there = [None if empty(text) else text for text in cells]
    if kind == "text":
        return there
    known = {text for text in there if text is not None} - WORDS
    values = {text: number(text) for text in known}
    if known and all(text.strip().casefold() in _FLAGS for text in known):
        values = {text: float(_FLAGS[text.strip().casefold()]) for text in known}
        made = np.array([np.nan if text is None else values[text] for text in there])
        return made.astype(bool) if not np.isnan(made).any() else made
    if all(value is not None for value in values.values()) and (known or kind == "number" or not any(there)):
        return np.array([np.nan if text is None else values.get(text, np.nan) for text in there], np.float64)
    if kind == "number":
        row = next(k for k, text in enumerate(there) if text in values and values[text] is None)
        raise NotNumbers(row, str(there[row]))
    return there


def without_codes(cells: pd.Series, codes: Sequence[str]) -> pd.Series:
    """A column of a type of its own, empty where it has one of the codes, be it as a text or as a number."""
    numbers, kind = [float(code) for code in codes if PLAIN.fullmatch(code)], getattr(cells.dtype, "kind", "O")
    if kind in "bmMc" or not codes:
        return cells
    if kind in "iuf":
        with np.errstate(over="ignore"):
            rounded = [float(np.dtype(f"f{cells.dtype.itemsize}").type(x)) for x in numbers] if kind == "f" else []
        found = np.isin(cells.to_numpy(np.float64, na_value=np.nan), [*numbers, *rounded])
    else:
        found = cells.isin([*codes, *numbers]).to_numpy()
    if kind in "iu" and found.any():
        check = cells[~found].dropna()
        if len(large := check[(check > EXACT) | (check < -EXACT)]):
            raise TooLarge(f"the integer {large.iloc[0]}, beyond 2**53")
    return cells.mask(found) if found.any() else cells


def _all_numbers(cells: Sequence[str | None]) -> np.ndarray | None:
    """The usual case, at once."""
    try:
        values = np.array([cell or "nan" for cell in cells], dtype=np.float64)
    except ValueError:
        return None
    text = "".join(cell for cell in cells if cell)
    if "_" in text or not text.isascii():  # Python's numbers may have them
        return None
    if not any(sign in text for sign in ".eEnN"):
        with np.errstate(invalid="ignore"):
            if (np.abs(values) >= EXACT).any():
                large = next((cell for cell in cells if cell and (len(cell) > 30 or abs(int(cell)) > EXACT)), None)
                if large is not None:
                    raise TooLarge(f"the integer {large[:25]}{'...' if len(large) > 25 else ''}, beyond 2**53")
        return values if np.isnan(values).any() else values.astype(np.int64)
    return values
