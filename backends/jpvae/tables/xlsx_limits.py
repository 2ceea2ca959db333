"""Whether an .xlsx is small enough to be read: found by one pass over its XML that keeps nothing, before openpyxl makes
objects of it.

Excel's own limits, and as many cells and elements as a file of its size can have whose cells differ: a cell that is repeated a
million times packs into a few bytes and unpacks into a hundred megabytes of objects.
"""

from __future__ import annotations

import zipfile
from typing import IO
from xml.parsers import expat

LINES = 1_048_576  # of a sheet
COLUMNS = 16_384
LONGEST = 32_767  # characters of a cell
_MOST = 50_000_000  # cells: openpyxl holds them as Python objects
_ANYWAY, _PER_BYTE = 1_000_000, 4  # cells that a file may have whatever its size, and for each byte of it
_ELEMENTS = 4  # about each cell, and beside all cells
_ALL_LINES = 8 * LINES  # of all sheets, empty ones among them
_BYTES = 12 * LONGEST  # of one text, as XML writes its signs
_PIECE = 2**16


def check(archive: zipfile.ZipFile, packed: int) -> None:
    """Raise ValueError for the first part that is too large, at the first element beyond."""
    limits = _Limits(packed)
    for part in archive.infolist():
        if part.filename.endswith((".xml", ".rels")):
            with archive.open(part) as file:
                limits.read(part.filename, file)


class _Limits:
    """Of all parts together: lines, cells and elements."""

    def __init__(self, packed: int) -> None:
        self.packed, self.most = packed, min(_MOST, max(_ANYWAY, _PER_BYTE * packed))
        self.lines = self.cells = self.elements = 0

    def read(self, name: str, file: IO[bytes]) -> None:
        """One part."""
        part = _Part(self, name)
        try:
            while piece := file.read(_PIECE):
                part.take(piece)
        except expat.ExpatError as error:
            raise ValueError(f"its {name} is no XML: {error}") from error
        self.lines += part.line


class _Part:
    def __init__(self, limits: _Limits, name: str) -> None:
        self.limits, self.name = limits, name
        self.line = self.column = self.last = 0
        self.root, self.taken = "", 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.started
        self.parser.StartDoctypeDeclHandler = self.declared

    def take(self, piece: bytes) -> None:
        self.parser.Parse(piece, False)
        self.taken += len(piece)
        self.check_length(self.taken - _PIECE)  # what stands there may be the beginning of the next element

    def started(self, name: str, attributes: dict[str, str]) -> None:
        limits, kind = self.limits, name.rpartition(":")[2]
        self.check_length(self.parser.CurrentByteIndex)
        self.last = self.parser.CurrentByteIndex
        limits.elements += 1
        self.root = self.root or kind
        if self.root != "worksheet":  # others have cells of another kind
            pass
        elif kind == "row":
            self.line, self.column = max(self.line + 1, _line(attributes.get("r"))), 0
            if self.line > LINES:
                raise ValueError(f"its {self.name} has a line beyond {LINES:,}, the last of a sheet")
            if limits.lines + self.line > _ALL_LINES:
                raise ValueError(f"its sheets have more than {_ALL_LINES:,} lines together; save the one you need as .csv")
        elif kind == "c":
            self.column += 1
            limits.cells += 1
            if self.column > COLUMNS:
                raise ValueError(f"line {self.line} of its {self.name} has more than the {COLUMNS:,} cells of a sheet's line")
        if limits.cells > _MOST:
            raise ValueError(f"it has more than {_MOST:,} cells; save it as .csv or .parquet")
        if limits.cells > limits.most or limits.elements > _ELEMENTS * (limits.most + limits.cells):
            found = f"{limits.cells:,} cells and {limits.elements:,} elements"
            raise ValueError(
                f"it has more than {found} in {limits.packed:,} bytes, more than data do; if it is sound, save it as .csv"
            )

    def declared(self, *_: object) -> None:
        raise ValueError(f"its {self.name} declares a document type, as no program does that writes sheets")

    def check_length(self, end: int) -> None:
        if end - self.last > _BYTES:
            raise ValueError(f"line {self.line} of its {self.name} has a text longer than the {LONGEST:,} characters of a cell")


def _line(text: str | None) -> int:
    """What a row calls its line; what is no number openpyxl refuses."""
    try:
        return int(min(float(text or 0), 2.0**53))
    except (ValueError, OverflowError):
        return 0
