"""Texts that were there are written as they stood: 007, 1.50, TRUE, 20 %, more digits than a float has.

What was filled in between is written as the first cell of that value, else as Python writes it, with the column's decimal sign.
In a sheet numbers and truth values stay such.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .reading import Table
from .xlsx import TextCell


def as_written(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """A filled table, indexed by the ids, with the texts of ``table`` where its values are still there."""
    rows, sheet = frame.index.get_indexer(table.frame.index), table.source.format == ".xlsx"
    made = {}
    for name, values in frame.items():
        texts = table.texts.get(str(name))
        if texts is None:
            made[name] = values
            continue
        before, after = table.frame[name].to_numpy(), values.to_numpy()
        there = np.flatnonzero(~pd.isna(before))
        own = [texts[k] for k in there.tolist()]
        known = dict(zip(reversed(before[there].tolist()), reversed(own), strict=True))
        cells = after.astype(object) if sheet else _written(after, known, table.dialect.signs(str(name))[0])
        for row, text, old in zip(rows[there].tolist(), own, before[there].tolist(), strict=True):
            if after[row] == old:
                cells[row] = _cell(text, old) if sheet else text
        made[name] = cells
    if made and table.texts.keys() >= set(map(str, made)):  # of a wide table as one block, which is written faster
        return pd.DataFrame(np.stack(list(made.values()), axis=1), frame.index, list(made), dtype=object)
    return pd.DataFrame(made, index=frame.index)


def _written(values: np.ndarray, known: Mapping[object, str | None], decimal: str) -> np.ndarray:
    """Texts, None for what is not there; those that are ``known`` of the values that have one."""
    texts = [None if gap else str(known.get(v, v)) for v, gap in zip(values.tolist(), pd.isna(values), strict=True)]
    if decimal != "." and values.dtype.kind == "f":
        numbers = zip(values.tolist(), texts, strict=True)
        texts = [text if text is None or v in known else text.replace(".", decimal) for v, text in numbers]
    return np.array(texts, dtype=object)


def _cell(text: str | None, value: object) -> object:
    """What a cell of a sheet had, by the text that was made of it."""
    if isinstance(text, TextCell):
        return str(text)
    if text in ("TRUE", "FALSE"):
        return text == "TRUE"
    return float(value) if isinstance(value, str) else value  # a number among the texts of a category
