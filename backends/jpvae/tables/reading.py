"""One table from a file: its ids and its columns, read as its view's dialect and, once fitted, its columns have it.

A number comes back bit for bit, a text as it stands. Ids are compared as texts: 7 of a sheet is the 7 of a csv; 007 is not.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from ..errors import JPVAEWarning, MissingDependency, ViewError
from ..views.arrays import inexact_integers
from ..views.columns import Columns
from ..views.numerals import WORDS
from ..views.texts import way_out
from . import parquet_limits, text_files, xlsx
from .annotated import is_annotated
from .annotated import read as read_cells
from .cells import NotNumbers, TooLarge, column, without_codes
from .dialect import Dialect
from .ids import ids_of
from .sources import UNREADABLE, Source
from .text_files import ROW_NAMES

_NEEDS = {".parquet": "pyarrow", ".xlsx": "openpyxl"}


class NoId(ViewError):
    """A table lacks the id's column; names: those that it has."""

    def __init__(self, message: str, names: list[str]) -> None:
        super().__init__(message)
        self.names = names


@dataclass(frozen=True)
class Table:
    """A table with ids. frame (rows, c): all columns but the id's, in the file's order; indexed by id.

    dialect: as it was read, the columns that turned out empty among those that are dropped. texts: of columns of texts (all of
    a .csv and of a sheet) the cells as they stand, where a fitted model reads them.
    """

    source: Source
    frame: pd.DataFrame
    id_place: int  # which column of the file the id's was
    whole_ids: bool  # whether the file has them as integers
    dialect: Dialect
    annotated: Any = None  # the AnnData that it came from
    texts: Mapping[str, Sequence[str | None]] = field(default_factory=dict)


def check_format(source: Source) -> None:
    """Raise MissingDependency where the package that reads and writes this format is not installed."""
    package = _NEEDS.get(source.format)
    if package is not None and find_spec(package) is None:
        raise MissingDependency(f"{source} needs {package} for {source.format}: pip install {package}, or 'jpvae[tables]'")


def read(source: Source, dialect: Dialect, columns: Columns | None = None, *, numbers: bool = False) -> Table:
    """Read and check one table. columns: of the fit, whose reading of each cell is taken; without them it is decided.

    numbers: a part of a larger table, of which all columns are taken for numbers.

    Raises ViewError, naming view, file, column and row (by id), and what to do.
    """
    check_format(source)
    annotated = None
    try:
        if is_annotated(source):
            annotated, names, raw = _cells(source, dialect)
        else:
            names, raw = _raw(source, dialect)
    except ViewError:
        raise
    except UNREADABLE as error:
        raise ViewError(
            f"{source} cannot be read as {source.format} ({error}). Check that it is undamaged and in that format."
        ) from error
    if dialect.transpose:
        names, raw = _turned(names, raw, dialect.id)
    id_column = str(dialect.id)
    _check_names(source, names, id_column, dialect)
    if not raw or len(raw[0]) == 0:
        raise ViewError(f"{source} has no rows; expected one per subject")
    if columns is None and (unknown := sorted(dialect.columns.difference(names))):
        raise ViewError(f"{source} has no columns {unknown}, which options of reading name; its columns are {_some(names)}")
    kept = {name: cells for name, cells in zip(names, raw, strict=True) if name not in dialect.drop}
    place = list(kept).index(id_column)
    ids, whole_ids = ids_of(source, kept.pop(id_column), id_column)
    kinds = dict.fromkeys(kept, "number") if numbers else {} if columns is None else _kinds(columns)
    inexact = _inexact_integers(source, set(kept)) if source.format == ".parquet" else {}
    made: dict[str, Any] = {}
    for name, cells in kept.items():
        try:
            if name in inexact:
                raise TooLarge(f"the integer {inexact[name]}, beyond 2**53")
            if isinstance(cells, pd.Series):
                made[name] = without_codes(cells, dialect.of(dialect.missing, name))
            else:
                made[name] = column(cells, name, dialect, kinds.get(name))
        except NotNumbers as wrong:
            if numbers:
                raise ViewError(
                    f"{source}: column {name!r} is {wrong.text!r} at {id_column} {ids[wrong.row]!r}; a dataset of files is "
                    f"trained on numbers alone: {way_out(wrong.text, f'{source.view}:{name}')}, or --drop "
                    f"'{source.view}:{name}'"
                ) from wrong
            raise ViewError(
                f"{source}: column {name!r} was one of numbers in the fit, and is {wrong.text!r} at {id_column} "
                f"{ids[wrong.row]!r}; correct or empty the cell, or in a file: {way_out(wrong.text, f'{source.view}:{name}')}"
            ) from wrong
        except TooLarge as wrong:
            advice = f"expected values, not codes: --drop '{source.view}:{name}'"
            if name in kinds and not numbers:
                advice = "the model needs the column: correct these cells, or leave them empty"
            raise ViewError(f"{source}: column {name!r} has {wrong}; {advice}") from wrong
        if columns is None and not numbers and not isinstance(cells, pd.Series):
            _warn_of_leading_zeros(source, name, cells, made[name])
    frame = _frame(made, ids)
    if columns is None and not numbers:
        frame, dialect = _without_empty(source, frame, dialect)
        _warn(source, frame)
    texts = {name: cells for name, cells in kept.items() if columns is not None and not isinstance(cells, pd.Series)}
    return Table(source, frame, place, whole_ids, dialect, annotated, texts)


def _raw(source: Source, dialect: Dialect) -> tuple[list[str], list[Any]]:
    """Names and columns: texts and None, or a Series that has a type of its own."""
    if source.format == ".parquet":
        return _parquet(source)
    if source.format == ".xlsx":
        names, rows = xlsx.read(source.path, dialect)
    else:
        names, rows = text_files.read(source.path, "," if source.format == ".csv" else "\t", dialect)
    return names, list(zip(*rows, strict=True)) if rows else [() for _ in names]


def _cells(source: Source, dialect: Dialect) -> tuple[Any, list[str], list[Any]]:
    """Of a file of cells: itself, and its names and columns, the cells' names first."""
    annotated, numbers = read_cells(source, dialect.layer)
    names = [str(dialect.id), *map(str, numbers.columns)]
    return annotated, names, [numbers.index.astype(str).tolist(), *(numbers.iloc[:, j] for j in range(numbers.shape[1]))]


def _parquet(source: Source) -> tuple[list[str], list[Any]]:
    if source.rows is None:  # else it is read in parts, and each is small
        parquet_limits.check(source.path)
    frame = pd.read_parquet(source.path, engine="pyarrow") if source.rows is None else _rows(source).to_pandas()
    if any(name is not None for name in frame.index.names):  # pandas wrote its index as columns
        frame = frame.reset_index()
    elif type(frame.index).__name__ != "RangeIndex":
        frame = frame.rename_axis(ROW_NAMES).reset_index()
    return [str(name) for name in frame.columns], [_texts(one) for _, one in frame.items()]


def _inexact_integers(source: Source, names: set[str]) -> dict[str, int]:
    """Of the columns of integers, before pandas makes floats of those that have holes."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(source.path) as file:
        whole = [field.name for field in file.schema_arrow if field.name in names and str(field.type) in ("int64", "uint64")]
    return inexact_integers(_rows(source, whole)) if whole else {}


def _rows(source: Source, columns: list[str] | None = None) -> Any:
    """An Arrow table of a .parquet's rows that the source names, by the row groups that have them, or of all."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(source.path) as file:
        if source.rows is None:
            return file.read(columns=columns)
        first, end = source.rows
        ends = np.cumsum([file.metadata.row_group(k).num_rows for k in range(file.metadata.num_row_groups)])
        groups = range(int(np.searchsorted(ends, first, side="right")), int(np.searchsorted(ends, end - 1, side="right")) + 1)
        before = int(ends[groups[0] - 1]) if groups[0] else 0
        return file.read_row_groups(list(groups), columns=columns).slice(first - before, end - first)


def _texts(one: pd.Series) -> Any:
    """A column of texts as such, any other as it is."""
    if getattr(one.dtype, "kind", "O") in "biufcMm" or hasattr(one.dtype, "categories"):
        return one
    values = [None if gap else value for value, gap in zip(one.tolist(), one.isna().tolist(), strict=True)]
    return values if all(value is None or isinstance(value, str) for value in values) else one


def _turned(names: list[str], raw: list[Any], id_column: str | None) -> tuple[list[str], list[Any]]:
    """Features as rows -> as columns: the first column has their names, the header the ids."""
    features = [str(value) for value in raw[0]]
    rows = zip(*(list(cells) for cells in raw[1:]), strict=True)
    return [str(id_column), *features], [names[1:], *([None if v is None else str(v) for v in row] for row in rows)]


def _kinds(columns: Columns) -> dict[str, str]:
    return {str(columns.title(j)): "text" if j in columns.texts else "number" for j in range(columns.count)}


def _frame(made: dict[str, Any], ids: pd.Index) -> pd.DataFrame:
    return pd.DataFrame({name: _cells_of(values, ids) for name, values in made.items()}, index=ids)


def _cells_of(values: Any, ids: pd.Index) -> Any:
    if isinstance(values, pd.Series):
        return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.set_axis(ids)
    return pd.Series(values, index=ids, dtype="str") if isinstance(values, list) else values


def _without_empty(source: Source, frame: pd.DataFrame, dialect: Dialect) -> tuple[pd.DataFrame, Dialect]:
    """Columns in which nothing was observed are left out, unless that is all of them."""
    empty = [str(name) for name, gaps in frame.isna().all().items() if gaps]
    if not empty or len(empty) == frame.shape[1]:
        return frame, dialect
    warnings.warn(f"{source}: the columns {empty} have no value in any row and are left out", JPVAEWarning, stacklevel=4)
    return frame.drop(columns=empty), replace(dialect, drop=(*dialect.drop, *empty))


def _warn(source: Source, frame: pd.DataFrame) -> None:
    """Of row numbers among the columns, and of words for missing among answers."""
    for name, cells in frame.items():
        kind = getattr(cells.dtype, "kind", "O")
        if kind in "if" and len(cells) > 4 and _counts_rows(str(name), cells.to_numpy(np.float64, na_value=np.nan)):
            message = f"{source}: column {name!r} counts the rows; it is no measurement: --drop '{source.view}:{name}'"
            warnings.warn(message, JPVAEWarning, stacklevel=4)
        if kind == "O" and (words := sorted(WORDS.intersection(v for v in cells.tolist() if isinstance(v, str)))):
            options = " ".join(f"--na '{source.view}:{name}={word}'" for word in words)
            message = f"{source}: column {name!r} has the texts {words}; if they mark missing values: {options}"
            warnings.warn(message, JPVAEWarning, stacklevel=4)


def _warn_of_leading_zeros(source: Source, name: str, cells: Sequence[str | None], made: Any) -> None:
    if not isinstance(made, list) and (code := next((c for c in cells if c and re.fullmatch(r"0\d+", c.strip())), None)):
        place = f"{source.view}:{name}"
        message = (
            f"{source}: column {name!r} is taken for numbers and has {code!r}, as codes have. If they are codes: --likelihood "
            f"'{place}=categorical', or --drop '{place}'"
        )
        warnings.warn(message, JPVAEWarning, stacklevel=4)


def _counts_rows(name: str, values: np.ndarray) -> bool:
    if not np.isfinite(values).all():
        return False
    steps = np.diff(values)
    if steps[0] in (1, -1) and (steps == steps[0]).all():
        return bool(min(values[0], values[-1]) in (0, 1))
    named = re.fullmatch(r"Unnamed: \d+|index|level_0|X|\.\.\.1|row[_ .]?(names?|num(ber)?|id)?", name, re.IGNORECASE)
    return named is not None and bool((values % 1 == 0).all() and ((steps > 0).all() or (steps < 0).all()))


def _check_names(source: Source, names: list[str], id_column: str, dialect: Dialect) -> None:
    if not names:
        raise ViewError(f"{source} has no columns")
    if ROW_NAMES in names[:1] and ROW_NAMES not in (id_column, *dialect.drop):
        raise ViewError(
            f"{source}: column 1 of {len(names)} has no name; expected a name for each. R's write.table and pandas' to_csv "
            f"leave row names so. If they are the ids: --id {source.view}={ROW_NAMES}; if row numbers: "
            f"--drop {source.view}:{ROW_NAMES}"
        )
    if "" in names:
        raise ViewError(
            f"{source}: column {names.index('') + 1} of {len(names)} has no name; expected a name for each. If the names are "
            f"in a later line, after a title or merged cells: --header {source.view}=2"
        )
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ViewError(f"{source} has more than one column named {twice}; expected different names")
    if id_column not in names:
        advice = f"Give --id {source.view}=COLUMN, or rename it. If features are its rows: --transpose {source.view}"
        if names[0].startswith("#"):
            advice = f"If the names are in a later line: --header {source.view}=2"
        elif len(names) == 1 and (found := re.search(r"[;\t,|]|\b \b", names[0])):
            sep, comma = {"\t": "tab", " ": "space"}.get(found.group(), found.group()), found.group() == ";"
            options = f"--sep '{sep}'" + (" --decimal ," if comma else "")
            advice = f"A .csv has commas between its columns and decimal points; else: {options}"
        raise NoId(f"{source} has no column {id_column!r} (the id); its columns are {_some(names)}. {advice}", names)
    if len(set(names).difference(dialect.drop)) == 1:
        raise ViewError(f"{source} has no column beside the id {id_column!r}; expected at least one")


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown}, ... ({len(names)} in all)"
