"""Excel's .xlsx, one sheet per file, numbers to the last bit both ways: openpyxl itself writes 16 digits, a double needs 17."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from ..errors import JPVAEWarning
from .dialect import Dialect
from .text_files import check_packing
from .xlsx_limits import COLUMNS as COLUMNS
from .xlsx_limits import LINES, LONGEST, check

ROWS = LINES - 1  # of a sheet, beside the header
_UNCOMPUTED = re.compile(rb"<c\b([^>]*)>\s*<f\b[^>]*?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>")


def read(path: Path, dialect: Dialect) -> tuple[list[str], list[list[str | None]]]:
    """The names, and the rows below them as texts. Raises ValueError where more than one sheet has cells and none is chosen."""
    with zipfile.ZipFile(path) as archive:
        check_packing(path.stat().st_size, sum(part.file_size for part in archive.infolist()))
        check(archive, path.stat().st_size)
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        if dialect.sheet is not None and dialect.sheet not in book.sheetnames:
            raise ValueError(f"it has the sheets {book.sheetnames}; expected one named {dialect.sheet!r}, as --sheet has it")
        chosen = [sheet for sheet in book.worksheets if dialect.sheet in (None, sheet.title)]
        full = [(sheet, found) for sheet in chosen if (found := _rows(sheet))]
        if len(full) > 1:
            raise ValueError(f"it has the sheets {book.sheetnames}; expected one: name it with --sheet")
    finally:
        book.close()
    rows = [row for line, row in full[0][1] if line >= dialect.header] if full else []
    if not rows:
        raise ValueError("its sheet is empty")
    _check_markup(path, full[0][0]._worksheet_path)  # openpyxl has no public name for it
    width = max(map(len, rows))  # Excel keeps empty columns that were touched
    names, *rows = ([*row, *[None] * (width - len(row))] for row in rows)
    return ["" if name is None else name.strip() for name in names], rows


def _check_markup(path: Path, sheet: str) -> None:
    """Of what reads as an empty cell but is not: formulas without a value (ValueError), merged cells (a warning)."""
    with zipfile.ZipFile(path) as archive:
        markup = archive.read(sheet.removeprefix("/"))
    for found in _UNCOMPUTED.finditer(markup) if b"<f" in markup else ():
        if b't="str"' not in found[1]:  # (these are empty texts)
            cell = re.search(rb'r="([A-Z]+\d+)"', found[1])
            raise ValueError(
                f"its cell {cell[1].decode() if cell else ''} has a formula without its value, as programs write it that do "
                "not compute: open the file in a spreadsheet and save it"
            )
    if b"<mergeCell " in markup:
        message = f"{path}: of merged cells the first alone has a value, the others are read as empty: unmerge and fill them"
        warnings.warn(message, JPVAEWarning, stacklevel=5)


def _rows(sheet: Any) -> list[tuple[int, list[str | None]]]:
    """The lines that are not empty, each up to its last cell that is not."""
    sheet.reset_dimensions()  # a sheet may claim any size
    rows = []
    for line, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        texts = [_text(value) for value in row]
        while texts and texts[-1] is None:
            texts.pop()
        if texts:
            rows.append((line, texts))
    return rows


class TextCell(str):
    """The text of a cell that has a text, not a number or a truth value."""


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return TextCell(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if hasattr(value, "isoformat"):
        return TextCell(str(value.isoformat()).removesuffix("T00:00:00"))
    return str(value).upper() if isinstance(value, bool) else str(value)  # of a float the shortest digits that mean it


def unfit(text: str) -> str | None:
    """Why no cell can hold a text, None where one can."""
    if len(text) > LONGEST:
        return f"is longer than the {LONGEST:,} characters of a cell"
    control = any(ord(sign) < 32 and sign not in "\t\n\r" for sign in text)
    return "has a control character, which no cell can hold" if control else None


def write(frame: pd.DataFrame, file: BinaryIO) -> None:
    """Write a table of numbers, booleans and text; NaN is an empty cell."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append([_cell(sheet, str(name)) for name in frame.columns])
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
