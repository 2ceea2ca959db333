"""Cells of a text file that were there are written as they stood: 007, 1.50, TRUE, 20 %, more digits than a float has.

What was filled in between is written as the first cell of that value, else as Python writes it, with the column's decimal sign.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .reading import Table


def as_written(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """A filled table, indexed by the ids, with the texts of ``table`` where its values are still there."""
    rows = frame.index.get_indexer(table.frame.index)
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
        cells = _written(after, known, table.dialect.signs(str(name))[0])
        same = before[there] == after[rows[there]]
        cells[rows[there][same]] = np.asarray(own, dtype=object)[same]
        made[name] = cells
    return pd.DataFrame(made, index=frame.index)


def _written(values: np.ndarray, known: dict[object, str | None], decimal: str) -> np.ndarray:
    """Texts, None for what is not there; those that are ``known`` of the values that have one."""
    texts = [None if gap else str(known.get(v, v)) for v, gap in zip(values.tolist(), pd.isna(values), strict=True)]
    if decimal != "." and values.dtype.kind == "f":
        numbers = zip(values.tolist(), texts, strict=True)
        texts = [text if text is None or v in known else text.replace(".", decimal) for v, text in numbers]
    return np.array(texts, dtype=object)
