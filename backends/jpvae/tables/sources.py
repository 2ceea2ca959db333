"""What ``--view name=path`` names: a view, its file and the file's format, checked before anything is read."""

from __future__ import annotations

import csv
import re
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, ViewError

# What csv, zipfile, openpyxl, pyarrow, pandas and NumPy raise on a damaged file. (Broken XML is a SyntaxError, a zip with a
# password a RuntimeError, a broken header of a .npy a TokenError.)
UNREADABLE = (
    ValueError,
    LookupError,
    EOFError,
    OSError,
    SyntaxError,
    RuntimeError,
    csv.Error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
TEXTS = (".csv", ".tsv")
PACKED = (".csv.gz", ".tsv.gz")
ANNOTATED = (".h5ad", ".h5mu")
TABLES, ARRAYS = (".csv", ".tsv", ".parquet", ".xlsx", *ANNOTATED), (".npy", ".npz")


@dataclass(frozen=True)
class Source:
    """One view's file. rows: of a .parquet or .h5ad, those from the first number on and before the second alone."""

    view: str
    path: Path
    rows: tuple[int, int] | None = None

    @property
    def format(self) -> str:
        """One of TABLES or ARRAYS, however it is packed."""
        return _ending(self.path).removesuffix(".gz")

    @property
    def ending(self) -> str:
        """The format, with .gz where it is packed."""
        return _ending(self.path)

    @property
    def is_array(self) -> bool:
        """Whether the file is an array without ids and column names, whose rows are matched by position."""
        return self.format in ARRAYS

    def __str__(self) -> str:
        return f"view {self.view!r} ({self.path})"


def _ending(path: Path) -> str:
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last == ".gz" else last


def split_word(word: str) -> tuple[str, str]:
    """The view and the path of a word of ``--view``. Raises ConfigError."""
    view, equals, path = word.partition("=")
    if not equals or not path or not re.fullmatch(r"[\w-]+", view):  # the name becomes that of a file
        raise ConfigError(
            f"--view is {word!r}; expected NAME=PATH, such as rna=rna.csv, where NAME has letters, digits, _ and - only"
        )
    return view, path


def sources(given: Sequence[str]) -> list[Source]:
    """From the words of ``--view``. Raises ConfigError for a malformed one, ViewError for a file that cannot be meant."""
    found: list[Source] = []
    for word in given:
        view, path = split_word(word)
        source = Source(view, Path(path))
        if view in [other.view for other in found]:
            raise ConfigError(f"--view names {view!r} twice; expected one file per view")
        if source.ending not in TABLES + ARRAYS + PACKED:
            expected = ", ".join(TABLES + ARRAYS + PACKED)
            raise ViewError(f"{source} has the ending {source.ending!r}; expected one of {expected}")
        if not source.path.is_file():
            raise ViewError(f"{source}: there is no such file")
        found.append(source)
    if not found:
        raise ConfigError("--view is missing; expected at least one NAME=PATH, such as --view rna=rna.csv")
    if len({source.is_array for source in found}) > 1:
        arrays = [str(source.path) for source in found if source.is_array]
        raise ViewError(
            f"{', '.join(arrays)} without ids beside tables with ids: their rows cannot be matched; expected "
            f"every view as a table ({', '.join(TABLES)}) or every view as an array ({', '.join(ARRAYS)})"
        )
    return found
