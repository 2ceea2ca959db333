"""The rows of a .csv or .tsv, packed by gzip or not, as texts; every row has as many cells as there are names."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from .dialect import Dialect

ROW_NAMES = "row_names"  # what a first column without a name is called
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
MOST, RATIO = 2**28, 200  # bytes that a file may unpack to whatever its size, and beyond that how many times its size
_PART, _LONGEST_LINE = 2**19, 2**24  # bytes: a part without a separator is within one cell


def check_packing(packed: int, unpacked: int) -> None:
    """Raise ValueError for a small file that would take gigabytes."""
    if unpacked > MOST and unpacked > RATIO * packed:
        raise ValueError(
            f"it unpacks from {packed:,} to {unpacked:,} bytes, more than data do; unpack it yourself if it is sound"
        )


def read(path: Path, separator: str, dialect: Dialect) -> tuple[list[str], list[list[str | None]]]:
    """Names and rows. Raises ValueError for a file that is not so."""
    separator, content = dialect.sep or separator, _content(path, dialect)
    if content.startswith(b"PK\x03\x04"):
        raise ValueError("it is a zip file, as an .xlsx is: give it the ending that it should have")
    encoding = encoding_of(content, dialect)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{error}; name its encoding, such as --encoding cp1252 or latin-1") from error
    if "\0" in text:
        raise ValueError(
            "it has NUL characters, as UTF-16 does in another encoding; name its encoding, such as --encoding utf-16-le"
        )
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, row in records(io.StringIO(text, newline=""), separator):
        rows.append(row)
        lines.append(line)
    first = sum(line < dialect.header for line in lines)
    if first >= len(rows):
        raise ValueError(f"it has no line {dialect.header} with names")
    names, rows, lines = rows[first], rows[first + 1 :], lines[first + 1 :]
    names = [name.strip() for name in names]
    if len(names) == 1 and not any(sign in names[0] for sign in ";\t|"):  # else it is of another separator
        widest = max(map(len, rows), default=1)
        if widest > 1:
            line = next(line for row, line in zip(rows, lines, strict=True) if len(row) == widest)
            raise ValueError(
                f"its line with the names has one cell, {names[0]!r}, and line {line} has {widest}; if the names are there: "
                f"--header VIEW={line}"
            )
    apart = len(names) > 1 or not any(sign in names[0] for sign in ";\t|,#")  # else another separator, and decimal commas
    if rows and apart and all(len(row) == len(names) + 1 for row in rows):  # R's write.table
        names = [ROW_NAMES, *names]
    if names and not names[0]:
        names[0] = ROW_NAMES
    while len(names) > 1 and not names[-1] and all(len(row) < len(names) or not row[-1].strip() for row in rows):
        rows = [row[: len(names) - 1] for row in rows]  # separators at the ends of the lines
        names = names[:-1]
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names) and len(names) > 1:  # (a single name is of another separator, which names complain about)
            raise ValueError(f"line {line} has {len(row)} cells; expected {len(names)}, as there are names")
    return names, [list(row if len(names) > 1 else row[:1]) for row in rows]


def encoding_of(beginning: bytes, dialect: Dialect) -> str:
    """The dialect's, or what the first bytes of a file indicate."""
    return dialect.encoding or next((name for mark, name in _MARKS.items() if beginning.startswith(mark)), "utf-8")


def records(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not empty, and the line where it ends. Raises ValueError at a quotation mark that does not close."""
    reader, last = csv.reader(lines, delimiter=separator), 0
    for row in reader:
        if reader.line_num > last + 1 and any("\n" in cell and separator in cell for cell in row):
            raise ValueError(
                f"a quotation mark in line {last + 1} takes everything up to line {reader.line_num} into one cell; "
                "double it or remove it"
            )
        last = reader.line_num
        if row:  # an empty line is no row
            yield last, row


def lines(file: TextIO, packed: int) -> Iterator[str]:
    """The lines of an open file of so many bytes. Raises ValueError at one that is longer than any of a table."""
    most = 4 * _LONGEST_LINE
    while line := file.readline(most):
        if len(line) == most:
            raise ValueError(f"it unpacks from {packed:,} bytes to a line of more than {most:,}, more than data do")
        yield line


def opener(path: Path) -> Any:
    """What opens the file: ``gzip.open`` for a packed one, else ``open``."""
    return gzip.open if path.suffix.lower() == ".gz" else open


def _content(path: Path, dialect: Dialect) -> bytes:
    """All bytes, unpacked. Raises ValueError at the first that no table has: before they are decoded, and held three times."""
    packed, content, line = path.stat().st_size, bytearray(), 0
    ends, between = _bytes_of("\n\r", dialect), _bytes_of(f",\t;| {dialect.sep or ''}", dialect)
    with opener(path)(path, "rb") as file:
        while part := file.read(_PART):
            content += part
            check_packing(packed, len(content))
            line = 0 if any(sign in part for sign in ends) else line + len(part)
            if line > _LONGEST_LINE and line > RATIO * packed:
                raise ValueError(f"it unpacks from {packed:,} bytes to a line of more than {line:,}, more than data do")
            if line and len(part) == _PART and not any(sign in part for sign in between):
                most = f"{csv.field_size_limit():,} characters"
                raise ValueError(f"it has a cell of more than {_PART:,} bytes; expected at most {most}")
    return bytes(content)


def _bytes_of(signs: str, dialect: Dialect) -> set[bytes]:
    """As ASCII has them, which most encodings share, and as the dialect's encoding has them."""
    encodings = ("ascii", dialect.encoding or "ascii")
    return {sign.encode(encoding, "ignore") for encoding in encodings for sign in signs} - {b""}
