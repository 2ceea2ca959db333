"""Results in the form of the table that came in: arrays as arrays; a DataFrame with its index, columns, dtypes and texts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any

import numpy as np

from .columns import Codes, Columns
from .dataframes import Table, texts_of

_FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}


def is_frame(columns: Columns, table: Table | None, index: Any) -> bool:
    """Whether ``give_back`` makes a DataFrame: of a DataFrame, and of an absent view of named columns beside one."""
    return index is not None and (columns.names is not None if table is None else table.frame is not None)


def give_back(values: np.ndarray, columns: Columns, table: Table | None, index: Any, *, kind: str) -> Any:
    """Results (N, p) in the form of the table that came in (None: of the others): array, or DataFrame with index and columns.

    kind: "filled" (a column in which nothing was missing comes back as it was, dtype and all), "decoded", or "numbers" (codes
    and deviations stay numbers). Codes become the texts that they stand for.
    """
    if not is_frame(columns, table, index):
        if kind == "numbers" or not columns.texts:
            return values
        result = values.astype(object)
        for j, texts in columns.texts.items():
            result[..., j] = np.asarray(texts, dtype=object)[values[..., j].astype(int)]
        return result
    import pandas as pd

    frame = None if table is None else table.frame
    names = table.names if table is not None and columns.names is None else columns.names
    kinds = {np.dtype(np.float64)} if frame is None else set(frame.dtypes)
    if len(kinds) == 1 and kinds <= _FLOATS and not columns.coded:  # the same as below for every column, at once
        whole_table = pd.DataFrame(values.astype(kinds.pop(), copy=False), index, list(names or ()))
        return whole_table if table is None else table.back(whole_table[list(table.came_as or names or ())])
    names = tuple(names or ())
    plain = {} if frame is None else _floats(frame, columns)  # wide tables have many: these go at once
    made = {}
    for j, name in enumerate(names):
        if j not in plain:
            made[name] = _column(values[:, j], j, columns, None if frame is None else frame.iloc[:, j], index, kind)
    result = pd.DataFrame(made, index=index)
    if plain:
        floats = pd.DataFrame(values[:, list(plain)], index, [names[j] for j in plain]).astype(
            {names[j]: dtype for j, dtype in plain.items() if dtype != np.float64}
        )
        result = pd.concat([floats, result], axis=1)[list(names)] if made else floats
    return result if table is None else table.back(result if table.came_as is None else result[list(table.came_as)])


def _column(values: np.ndarray, j: int, columns: Columns, given: Any, index: Any, kind: str) -> Any:
    """Column j of a DataFrame from its numbers (N,); given: the column that came in, or None."""
    import pandas as pd

    known = _known(given, columns, j) if kind == "filled" and given is not None else None
    if known is not None and np.array_equal(known, values):
        return given
    if kind != "numbers" and j in columns.texts:
        return _texts(values, columns.texts[j], given, known, index)
    if kind != "numbers" and given is not None and (places := _decimal_places(given)) is not None:
        return _decimals(given, known, values, places)
    small = given is not None and isinstance(given.dtype, np.dtype) and given.dtype.kind == "f"
    whole = kind != "numbers" and j in columns.coded and given is not None and getattr(given.dtype, "kind", "") in "iu"
    return pd.Series(values, index=index).astype(given.dtype if small or whole else np.float64)


def _texts(values: np.ndarray, texts: Sequence[Any], given: Any, known: np.ndarray | None, index: Any) -> Any:
    """The texts that codes stand for, in the column's own type where it can have them."""
    import pandas as pd

    written = [texts[int(code)] for code in values]
    if known is not None and given.map(lambda value: isinstance(value, str)).any():  # as they were written
        own = zip(written, given.tolist(), known == values, strict=True)
        written = [value if same else text for text, value, same in own]
    fits = given is not None and not (hasattr(given.dtype, "categories") and set(written) - set(given.dtype.categories))
    if fits and pd.api.types.is_numeric_dtype(given.dtype):  # a column without a text: all its cells are empty
        fits = not any(isinstance(text, str) for text in written)
    return pd.Series(written, index=index, dtype=given.dtype if fits else None)


def _floats(frame: Any, columns: Columns) -> dict[int, np.dtype[Any]]:
    """The types of the columns that are NumPy's floats and no categories, by place."""
    dtypes = enumerate(frame.dtypes)
    return {j: t for j, t in dtypes if isinstance(t, np.dtype) and t in _FLOATS and j not in columns.coded}


def _decimal_places(given: Any) -> int | None:
    """How many digits a column of Python's Decimals has after the point; None where it is no such column."""
    there = [value for value in given.tolist() if value is not None] if given.dtype == object else []
    if not there or not all(isinstance(value, Decimal) and value.is_finite() for value in there):
        return None
    return max(0, *(-int(value.as_tuple().exponent) for value in there))


def _decimals(given: Any, known: np.ndarray | None, values: np.ndarray, places: int) -> Any:
    """What was known to its last digit, the other values to so many places."""
    context, step = Context(prec=400), Decimal(1).scaleb(-places)
    same = np.zeros(len(values), dtype=bool) if known is None else known == values
    texts = zip(given.tolist(), same.tolist(), values.tolist(), strict=True)
    made = [own if keep else Decimal(value).quantize(step, context=context) for own, keep, value in texts]
    return given._constructor(made, index=given.index, dtype=object)


def named(values: np.ndarray, names: Sequence[str], index: Any) -> Any:
    """Numbers (N, L) as a DataFrame."""
    import pandas as pd

    return pd.DataFrame(values, index=index, columns=list(names))


def _known(given: Any, columns: Columns, j: int) -> np.ndarray:
    """A column's numbers, NaN where it has none."""
    if j in columns.texts:
        code = Codes(columns.texts[j])
        found = (None if gap else code(value) for value, gap in zip(*texts_of(given), strict=True))
        return np.asarray([np.nan if one is None else float(one) for one in found])
    return np.asarray(given.to_numpy(np.float64, na_value=np.nan))
