"""Excel's .xlsx, one sheet per file, numbers to the last bit both ways: openpyxl itself writes 16 digits, a double needs 17."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

ROWS = 1_048_575  # of a sheet, beside the header
_EMPTY = (None, "", "NA", "N/A", "NaN", "nan", "NULL", "#N/A")


def read(path: Path) -> tuple[list[str], pd.DataFrame]:
    """The names in the first row, and the table below them. Raises ValueError where there is more than one sheet."""
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        if len(book.worksheets) != 1:
            raise ValueError(f"it has the sheets {book.sheetnames}; expected one: save the sheet you want in its own file")
        rows = [tuple(None if v in _EMPTY else v for v in row) for row in book.worksheets[0].iter_rows(values_only=True)]
    finally:
        book.close()
    rows = [row for row in rows if any(v is not None for v in row)]
    if not rows:
        raise ValueError("its sheet is empty")
    width = max(
        k for row in rows for k, v in enumerate(row, start=1) if v is not None
    )  # Excel keeps empty columns that were touched
    names = ["" if v is None else str(v) for v in rows[0][:width]]
    return names, pd.DataFrame([row[:width] for row in rows[1:]], columns=names)


def write(frame: pd.DataFrame, file: BinaryIO) -> None:
    """Write a table of numbers, booleans and text; NaN is an empty cell."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(list(frame.columns))
    for row in frame.itertuples(index=False, name=None):
        sheet.append([_cell(sheet, value) for value in row])
    book.save(file)


def _cell(sheet: Any, value: Any) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if pd.isna(value) or isinstance(value, bool):
        return None if pd.isna(value) else value
    cell = WriteOnlyCell(sheet, str(value))  # the shortest digits that mean the number
    cell.data_type = "s" if isinstance(value, str) else "n"  # text is text: "=1+1" is no formula
    return cell
