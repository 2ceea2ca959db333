"""A table as a person hands it in (pandas, NumPy, torch, lists): its column names, its columns, and its numbers.

pandas is used only where a DataFrame came in. A missing text is None, NaN or pd.NA; all of them become NaN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import MissingDependency, ViewError
from .arrays import EXACT, as_array, inexact_integers, is_foreign, to_pandas
from .columns import Codes, Columns, Label, alike, unknown_category
from .names import unwritable


@dataclass(frozen=True)
class Table:
    """A view: values (N, p) as an array, of which ``frame`` is the DataFrame if there is one."""

    view: str
    values: np.ndarray | None  # None where the frame has more than numbers
    frame: Any = None
    came_as: tuple[str | int, ...] | None = None  # the frame's columns, where they came in another order than the fit's
    back: Callable[[Any], Any] = lambda frame: frame  # from a DataFrame to the type of table that came in
    counts: bool = False  # whether whole numbers in it are known to be counts

    def __len__(self) -> int:
        return len(self.frame if self.values is None else self.values)

    @property
    def count(self) -> int:
        """p."""
        return int((self.frame if self.values is None else self.values).shape[1])

    @cached_property
    def names(self) -> tuple[str | int, ...] | None:
        """The DataFrame's column names."""
        return None if self.frame is None else tuple(self.frame.columns.tolist())

    def first(self, rows: int) -> Table:
        """The table of its first so many rows."""
        values, frame = self.values, self.frame
        return replace(
            self,
            values=None if values is None else values[:rows],
            frame=None if frame is None else frame.iloc[:rows],
        )

    def column(self, j: int) -> Any:
        """Column j, of the frame if there is one: (N,)."""
        return self.frame.iloc[:, j] if self.values is None or self.frame is not None else self.values[:, j]

    def is_text(self, j: int) -> bool:
        """Whether the column holds anything but numbers: texts, or pandas categories."""
        column = self.column(j)
        if getattr(column.dtype, "kind", "O") in "biufMmc" and not hasattr(column.dtype, "categories"):
            return False
        values, missing = texts_of(column)
        return hasattr(column.dtype, "categories") or any(
            isinstance(v, str) for v, gap in zip(values, missing, strict=True) if not gap
        )

    def is_flag(self, j: int) -> bool:
        """Whether the column is one of booleans."""
        return bool((self._dtypes[j] if self.values is None else self.values.dtype).kind == "b")

    @cached_property
    def _dtypes(self) -> list[Any]:
        """Of the frame's columns: pandas collects all of them each time."""
        return list(self.frame.dtypes)

    def labels(self, j: int, rows: np.ndarray) -> tuple[Label, ...]:
        """The texts of a column in the rows (bool), in pandas' order of categories or sorted."""
        column = self.column(j)
        values, missing = texts_of(column)
        found = {v for v, gap, wanted in zip(values, missing, rows, strict=True) if wanted and not gap}
        if (text := unwritable(found)) is not None:
            raise ViewError(
                f"view {self.view!r}, column {self.title(j)!r} has the text {text!r}; expected texts that can be "
                "written as UTF-8"
            )
        odd = next((v for v in found if not isinstance(v, str | int | float | bool)), None)
        if odd is not None:
            raise ViewError(
                f"view {self.view!r}, column {self.title(j)!r} has the category {odd!r}, a {type(odd).__name__}; "
                "expected texts or numbers: make them texts, with .map(str, na_action='ignore')"
            )
        if hasattr(column.dtype, "categories"):
            return tuple(v for v in column.dtype.categories.tolist() if v in found)
        return tuple(sorted(found, key=lambda v: (isinstance(v, str), v)))

    def numbers(self, columns: Columns, observed: np.ndarray, unseen: float | None = None) -> np.ndarray:
        """(N, p): texts as codes, NaN where nothing was observed; ``unseen`` is the code of a text that fit never saw.

        Raises ViewError for such a text where it is None."""
        if self.values is not None and self.values.dtype.kind in "biuf" and not columns.texts:
            return self.values
        made, plain = np.empty((len(self), self.count)), [j for j in self.plain if j not in columns.texts]
        made[:, plain] = self.block(plain)
        for j in sorted(set(range(self.count)).difference(plain)):
            made[:, j] = self._codes(j, columns, observed, unseen) if j in columns.texts else self.number(j)
        return made

    @cached_property
    def plain(self) -> list[int]:
        """The columns of NumPy's numbers or booleans: ``block`` reads many of them at once."""
        if self.values is not None:
            return list(range(self.count)) if self.values.dtype.kind in "biuf" else []
        return [j for j, t in enumerate(self.frame.dtypes) if isinstance(t, np.dtype) and t.kind in "biuf"]

    def block(self, columns: Sequence[int], rows: slice = slice(None)) -> np.ndarray:
        """Rows of some of the ``plain`` columns as float64."""
        if self.values is not None:
            return np.asarray(self.values[rows][:, columns], np.float64)
        return np.asarray(self.frame.iloc[rows, list(columns)].to_numpy(np.float64))

    def number(self, j: int) -> np.ndarray:
        """Column j as float64 (N,), NaN where it has nothing. Raises ViewError where it is not numeric."""
        column = self.column(j)
        if (kind := getattr(column.dtype, "kind", "O")) in "Mmc":
            instead = "make its real and imaginary parts two columns" if kind == "c" else "make dates days since a day"
            raise ViewError(
                f"view {self.view!r}, column {self.title(j)!r} has dtype {column.dtype}; expected real numbers: {instead}, "
                f"or leave the column out: --drop {self.view}:{self.title(j)}"
            )
        try:
            made = np.asarray(column.to_numpy(np.float64, na_value=np.nan) if self.frame is not None else column, np.float64)
            if getattr(column.dtype, "kind", "O") in "iuO" and (np.abs(made) >= EXACT).any():
                there = [value for value in column.tolist() if isinstance(value, int)]
                check_exact(np.array(there, dtype=object)[:, None], self.view, [self.title(j)])
            return made
        except (TypeError, ValueError) as error:
            place = f"view {self.view!r} is not numeric ({error}, column {self.title(j)!r})"
            texts = any(isinstance(value, str) for value in column.tolist())
            advice = 'Texts need likelihood="infer", or {column: "categorical"}; a' if texts else "A"
            raise ViewError(
                f"{place}; expected an (N, c) table of numbers. {advice} column that is no measurement is left out of files "
                f"by --drop '{self.view}:{self.title(j)}'"
            ) from error

    def _codes(self, j: int, columns: Columns, observed: np.ndarray, unseen: float | None) -> np.ndarray:
        code = Codes(columns.texts[j])
        codes = np.full(len(self), np.nan)
        for row, (value, gap) in enumerate(zip(*texts_of(self.column(j)), strict=True)):
            found = None if gap else code(value)
            if found is not None:
                codes[row] = found
            elif not gap and observed[row] and unseen is not None:
                codes[row] = unseen
            elif not gap and observed[row]:
                called = row if self.frame is None else self.frame.index[row]
                raise unknown_category(self.view, called, columns.title(j), value, columns.texts[j])
        return codes

    def title(self, j: int) -> Any:
        """What the person calls column j."""
        return j if self.names is None else self.names[j]


def read_table(table: Any, view: str) -> Table:
    """Look at what was handed in. Raises ViewError for what is no (N, c) table, or has two columns of one name."""
    if is_foreign(table) and (hasattr(table, "collect") or hasattr(table, "columns")):
        return _read_foreign(table, view)
    if hasattr(table, "iloc") and hasattr(table, "columns"):
        names = table.columns.tolist()
        twice = sorted(str(name) for name, times in Counter(names).items() if times > 1)
        if twice:
            raise ViewError(f"view {view!r} has the columns {twice} more than once; expected different names")
        if not all(isinstance(n, str | int) for n in names):
            raise ViewError(
                f"view {view!r} has columns named {names[:5]}; expected texts or integers: if they have several levels, join "
                "them, as in table.columns.map('_'.join)"
            )
        if (name := unwritable((*names, table.index.name))) is not None:
            raise ViewError(f"view {view!r} has the name {name!r}; expected names that can be written as UTF-8")
        if table.shape[1] == 0:
            raise ViewError(f"view {view!r} has shape {table.shape}; expected (N, c): one row per subject, at least one column")
        whole = [j for j, dtype in enumerate(table.dtypes) if dtype in (np.dtype(np.int64), np.dtype(np.uint64))]
        check_exact(table.iloc[:, whole].to_numpy(), view, [names[j] for j in whole])
        numeric = all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in table.dtypes)
        return Table(view, np.asarray(table) if numeric or set(table.dtypes) == {np.dtype(bool)} else None, table)
    a = as_array(table, f"view {view!r}", "an (N, c) table of numbers")
    if a.dtype.kind in "cMm":
        raise ViewError(f"view {view!r} has dtype {a.dtype}; expected real numbers")
    if a.ndim != 2 or a.shape[1] == 0:
        alone = "; if it is one column, pass it as x[:, None]" if a.ndim == 1 else ""
        raise ViewError(f"view {view!r} has shape {a.shape}; expected (N, c): one row per subject, at least one column{alone}")
    return Table(view, a if a.dtype.kind in "biuf" else a.astype(object))


def _read_foreign(table: Any, view: str) -> Table:
    """A polars DataFrame or an Arrow Table, by way of pandas; results come back in its type."""
    try:
        frame, inexact = to_pandas(table), inexact_integers(table)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"view {view!r} is a {type(table).__name__}, which needs pandas and pyarrow: {error}"
        ) from error
    for name, value in inexact.items():
        raise ViewError(_inexact(view, name, value))
    if type(table).__module__.startswith("polars"):
        return replace(read_table(frame, view), back=_to_polars)
    return replace(read_table(frame, view), back=_to_arrow)


def _to_polars(frame: Any) -> Any:
    import polars

    return polars.from_pandas(frame)


def _to_arrow(frame: Any) -> Any:
    import pyarrow

    return pyarrow.Table.from_pandas(frame, preserve_index=type(frame.index).__name__ != "RangeIndex")


def check_exact(values: np.ndarray, view: str, titles: Sequence[Any]) -> None:
    """Raise ViewError where integers (N, c), of columns that are called so, are not the same as float64."""
    if values.size and values.dtype.kind in "iuO" and ((values > EXACT) | (values < -EXACT)).any():
        row, j = (int(k) for k in np.argwhere((values > EXACT) | (values < -EXACT))[0])
        raise ViewError(_inexact(view, titles[j], values[row, j]))


def _inexact(view: str, title: Any, value: Any) -> str:
    return (
        f"view {view!r}, column {title!r} has the integer {value}, beyond 2**53; expected values, not codes: correct the cell, "
        f"or leave it empty; a column of codes is left out of the fit, in a file: jpvae fit --drop '{view}:{title}'"
    )


def in_order(table: Table, columns: Columns) -> Table:
    """A table with the columns of the fit, in their order (a DataFrame's go by name). Raises ViewError for others."""
    if table.names is not None and columns.names is not None and table.names != columns.names:
        ours, theirs = set(columns.names), set(table.names)
        unknown, absent = [n for n in table.names if n not in ours], [n for n in columns.names if n not in theirs]
        if unknown or absent:
            found = f"unknown columns {unknown}" if unknown else f"no columns {absent}"
            also = f", and no columns {absent}" if unknown and absent else ""
            twins = [f"{b!r} for {a!r}" for a in unknown for b in absent if alike(str(a)) == alike(str(b))]
            drop = " ".join(f"--drop '{table.view}:{name}'" for name in unknown[:5])
            advice = f". What the fit did not have is left out, in a file by {drop}" if unknown and not absent else ""
            advice = f". Write {', '.join(twins[:5])}" if twins else advice
            raise ViewError(f"view {table.view!r} has {found}{also}; expected those of the fit: {_some(columns.names)}{advice}")
        return replace(read_table(table.frame[list(columns.names)], table.view), came_as=table.names, back=table.back)
    if table.count != columns.count:
        raise ViewError(f"view {table.view!r} has {table.count} columns; expected {columns.count}, as in fit")
    return table


def _some(names: Sequence[str | int]) -> str:
    """The first of them, in the order of the fit."""
    return f"[{', '.join(map(repr, names[:10]))}{f', ... ({len(names)} in all)' if len(names) > 10 else ''}], in any order"


def shared_index(tables: Sequence[Table | None]) -> Any:
    """The index of the DataFrames among the tables, None where there is none. Raises ViewError where two differ."""
    frames = [(t.view, t.frame.index) for t in tables if t is not None and t.frame is not None]
    for view, index in frames[1:]:
        if not index.equals(frames[0][1]):
            raise ViewError(
                f"views {frames[0][0]!r} and {view!r} have different indexes; expected the same subjects in the same order. "
                "Join the tables on their index (pandas.concat(tables, axis=1)) and mark missing rows with NaN or mask."
            )
    return frames[0][1] if frames else None


def row_titles(index: Any, rows: slice | np.ndarray, count: int) -> Sequence[Any]:
    """What the person calls these of so many rows: by their DataFrames' index, else their positions."""
    places: Any = range(count)[rows] if isinstance(rows, slice) else rows
    called: Sequence[Any] = places if index is None else index[rows]
    return called


def identities(index: Any) -> Any:
    """The index where it names the rows; None where there is none, or where it counts them: whole numbers without a name, which
    rows have that pandas counted, also where they were chosen, mixed or sorted since.
    """
    counts = index is not None and index.name is None and getattr(index, "inferred_type", None) == "integer"
    return None if counts else index


def texts_of(column: Any) -> tuple[list[Any], list[bool]]:
    """The values of a column, and which of them are missing."""
    values = column.tolist()
    if hasattr(column, "isna"):
        return values, column.isna().tolist()
    return values, [v is None or v != v for v in values]
