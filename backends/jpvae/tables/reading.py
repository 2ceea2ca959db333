"""One table from a file: its ids and its columns, as they are in it, and every complaint about their names.

A number written with all its digits comes back bit for bit. An id of a csv is text unless
every id is an integer without leading zeros: 007 stays 007.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import MissingDependency, ViewError
from . import xlsx
from .sources import UNREADABLE, Source

_NEEDS = {".parquet": "pyarrow", ".xlsx": "openpyxl"}
_STRAY = 0.2  # of a column's different texts: so few that are no numbers are taken for mistakes
_LARGEST = 2**53  # integers up to here are exact as float64, which a column becomes once it has holes


@dataclass(frozen=True)
class Table:
    """A table with ids. frame (rows, c): all columns but the id's, in the file's order; indexed by id."""

    source: Source
    frame: pd.DataFrame
    id_place: int  # which column of the file the id's was


def check_format(source: Source) -> None:
    """Raise MissingDependency where the package that reads and writes this format is not installed."""
    package = _NEEDS.get(source.format)
    if package is not None and find_spec(package) is None:
        raise MissingDependency(f"{source} needs {package} for {source.format}: pip install {package}, or 'jpvae[tables]'")


def read(source: Source, id_column: str) -> Table:
    """Read and check one table. Raises ViewError, naming view, file, column and row (by id), and what to do."""
    check_format(source)
    try:
        names, whole = _READERS[source.format](source.path, id_column)
    except (*UNREADABLE, pd.errors.ParserWarning) as error:
        raise ViewError(
            f"{source} cannot be read as {source.format} ({error}). Check that it is undamaged and in that format."
        ) from error
    _check_names(source, names, id_column)
    if len(whole) == 0:
        raise ViewError(f"{source} has no rows; expected one per subject")
    ids = _ids(source, whole[id_column])
    frame = whole.drop(columns=id_column).set_index(ids)
    for name in frame:
        _check_column(source, frame[name])
    return Table(source, frame, names.index(id_column))


# From 3.1 on, pandas reads every double of a csv exactly and deprecates the option; before, it could be off by the last bit.
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
EXACT_FLOATS: dict[str, Any] = {} if _PANDAS >= (3, 1) else {"float_precision": "round_trip"}


def _separated(separator: str) -> Callable[[Path, str], tuple[list[str], pd.DataFrame]]:
    def read_text(path: Path, id_column: str) -> tuple[list[str], pd.DataFrame]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = next(filter(None, csv.reader(file, delimiter=separator)), [])  # as pandas, which passes over empty lines
        if names and id_column not in names:
            return names, pd.DataFrame()  # of another separator, say: a complaint about the names says more than pandas'
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            frame = pd.read_csv(
                path,
                sep=separator,
                encoding="utf-8-sig",
                index_col=False,
                dtype={id_column: str},
                low_memory=False,
                **EXACT_FLOATS,
            )
        return names, frame

    return read_text


def _parquet(path: Path, _: str) -> tuple[list[str], pd.DataFrame]:
    frame = pd.read_parquet(path, engine="pyarrow")
    if frame.index.name is not None:  # pandas wrote its index as a column
        frame = frame.reset_index()
    frame.columns = [str(name) for name in frame.columns]
    return list(frame.columns), frame


_READERS = {".csv": _separated(","), ".tsv": _separated("\t"), ".parquet": _parquet, ".xlsx": lambda path, _: xlsx.read(path)}


def _check_names(source: Source, names: list[str], id_column: str) -> None:
    if "" in names:
        raise ViewError(
            f"{source}: column {names.index('') + 1} of {len(names)} has no name; expected a name for each. (Are these row "
            "numbers? pandas omits them with to_csv(index=False), R with row.names = FALSE.)"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ViewError(f"{source} has more than one column named {twice}; expected different names")
    if id_column not in names:
        advice = "Give --id, or rename it"
        if len(names) == 1 and re.search(r"[;\t,]", names[0]):
            advice = "A .csv has commas between its columns, a .tsv has tabs, and both have decimal points; save the file again"
        raise ViewError(f"{source} has no column {id_column!r} (the id); its columns are {_some(names)}. {advice}")
    if len(names) == 1:
        raise ViewError(f"{source} has no column beside the id {id_column!r}; expected at least one")


def _ids(source: Source, column: pd.Series) -> pd.Index:
    if column.isna().any():
        raise ViewError(
            f"{source}: row {int(np.flatnonzero(column.isna())[0]) + 1} has no {column.name!r}; expected an id in each"
        )
    values = column
    if pd.api.types.is_string_dtype(column):
        if column.str.fullmatch(r"0|-?[1-9]\d{0,17}").all() and source.format in (".csv", ".tsv"):
            values = column.astype("int64")
        padded = column[column.str.fullmatch(r"\s.*|.*\s")]
        if len(padded):
            raise ViewError(
                f"{source}: the id {padded.iloc[0]!r} in {column.name!r} begins or ends with white space ({len(padded)} such "
                "rows), so that it would not match the same id without; expected ids without: remove it in every table"
            )
    elif not pd.api.types.is_integer_dtype(column):
        raise ViewError(f"{source}: the ids in {column.name!r} are {column.dtype}; expected integers or text")
    twice = values[values.duplicated()]
    if len(twice):
        raise ViewError(
            f"{source}: {column.name!r} has {twice.iloc[0]!r} more than once ({len(twice)} such rows); expected one row per "
            "subject: keep one of each, or average them"
        )
    return pd.Index(values, dtype="int64" if pd.api.types.is_integer_dtype(values) else "str", name=column.name)


def _check_column(source: Source, column: pd.Series) -> None:
    """Raise ViewError for what can hardly be meant: text where nearly all are numbers, integers that a float64 cannot hold."""
    if pd.api.types.is_integer_dtype(column) and ((column > _LARGEST) | (column < -_LARGEST)).any():
        raise ViewError(
            f"{source}: column {column.name!r} has integers beyond 2**53; expected values, not codes: drop the column"
        )
    if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
        found = column.dropna().drop_duplicates()
        wrong = found[pd.to_numeric(found, errors="coerce").isna()]
        if 0 < len(wrong) <= _STRAY * len(found):
            raise ViewError(
                f"{source}: column {column.name!r} is not numeric ({wrong.iloc[0]!r} at {column.index.name} "
                f"{wrong.index[0]!r}), yet {len(found) - len(wrong)} of its {len(found)} values are numbers; expected numbers, "
                "or categories that do not look like numbers: correct or empty these cells, or rename the categories"
            )
        texts = [value for value in found if isinstance(value, str)]
        commas = found[[isinstance(value, str) and "," in value for value in found]]
        if len(commas) and all(re.fullmatch(r"-?\d*(,\d+)*", text) for text in texts):
            raise ViewError(
                f"{source}: column {column.name!r} has numbers that are written with commas ({commas.iloc[0]!r} at "
                f"{column.index.name} {commas.index[0]!r}); expected decimal points, and nothing between thousands"
            )


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown}, ... ({len(names)} in all)"
