"""The ids of a table's subjects, as texts: 7 of a sheet is the 7 of a csv; 007 is another, of which there is a warning."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..errors import JPVAEWarning, ViewError
from .sources import Source


def ids_of(source: Source, given: Any, name: str) -> tuple[pd.Index, bool]:
    """The column's ids as texts, and whether they are integers in the file. Raises ViewError."""
    column = pd.Series(given, dtype=None if isinstance(given, pd.Series) else object)
    blank = column.isna() | column.map(lambda value: isinstance(value, str) and not value.strip())
    if blank.any():
        raise ViewError(f"{source}: row {int(np.flatnonzero(blank)[0]) + 1} has no {name!r}; expected an id in each")
    whole = bool(pd.api.types.is_integer_dtype(column))
    values = [_plain(value) for value in column.tolist()]
    if not all(isinstance(value, str | int) for value in values):
        raise ViewError(f"{source}: the ids in {name!r} are {column.dtype}; expected integers or text")
    if values and all(isinstance(value, str) and re.fullmatch(r"-?\d+\.0", value) for value in values):
        values = [str(value).removesuffix(".0") for value in values]  # pandas wrote a column of floats
    texts = [str(value) for value in values]
    padded = [text for text in texts if text != text.strip()]
    if padded:
        raise ViewError(
            f"{source}: the id {padded[0]!r} in {name!r} begins or ends with white space ({len(padded)} such "
            "rows), so that it would not match the same id without; expected ids without: remove it in every table"
        )
    index = pd.Index(texts, dtype="str", name=name)
    twice = index[index.duplicated()]
    if len(twice):
        raise ViewError(
            f"{source}: {name!r} has {twice[0]!r} more than once ({len(twice)} such rows); expected one row per "
            "subject: keep one of each, or average them. Repeated measures: one view per visit, or ids such as P1-visit2"
        )
    return index, whole


def _plain(value: Any) -> Any:
    """Whole numbers as integers, whatever a typed file has them as; days as a csv has them."""
    if hasattr(value, "isoformat"):
        return value.isoformat().removesuffix("T00:00:00")
    number = not isinstance(value, str | int | bytes) and hasattr(value, "__int__") and np.ndim(value) == 0
    if number and np.isfinite(float(value)):
        return int(value) if int(value) == value else value
    return value


def warn_of_near_ids(ids: Mapping[str, pd.Index]) -> None:
    """Of subjects that one view calls nearly as another does: p7 and P7, 007 and 7. They would be two subjects each.

    ids: of each view.
    """
    seen: dict[str, tuple[str, str]] = {}
    near: list[str] = []
    everywhere = {view: set(own) for view, own in ids.items()}
    shared = set.intersection(*everywhere.values()) if everywhere else set()  # by all views: these mean whom they name
    for view, own in ids.items():
        for one in own[~own.isin(shared)]:
            other, where = seen.setdefault(_alike(one), (one, view))
            if other != one and where != view and one not in everywhere[where] and other not in everywhere[view]:
                near.append(f"{other!r} in {where!r} and {one!r} in {view!r}")
    if near:
        warnings.warn(
            f"{len(near)} ids of one view differ from those of another in case, blanks, leading zeros or the form of a letter "
            f"alone ({near[0]}): they are taken for different subjects; if they are not, write them alike in every table",
            JPVAEWarning,
            stacklevel=4,
        )


def _alike(text: str) -> str:
    plain = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)
