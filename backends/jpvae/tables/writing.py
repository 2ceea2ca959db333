"""A new folder of results: it has its name once everything in it is written and synced, and is not there before."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from ..atomic import beside, clear
from ..errors import JPVAEWarning, ViewError, unwritten
from ..writers import only_writer
from . import xlsx
from .dialect import Dialect


def check_new_folder(path: Path) -> None:
    """Raise ViewError where ``new_folder(path)`` could not succeed: better before the work than after it."""
    place = Path(os.path.realpath(path))
    parent = place.parent
    if path.is_dir():
        if any(path.iterdir()):
            raise ViewError(
                f"--out is {str(path)!r}, a folder that contains files; expected a new or empty folder. Choose "
                "another folder, or delete the files first."
            )
    elif path.exists():
        raise ViewError(f"--out is {str(path)!r}, a file; expected the name of a new folder")
    elif not parent.is_dir():
        raise ViewError(f"--out is {str(path)!r}, in a folder that does not exist; create {str(parent)!r} first")
    if not all(os.access(folder, os.W_OK | os.X_OK) for folder in (parent, path) if folder.is_dir()):
        raise ViewError(f"--out is {str(path)!r}, where you may not write; choose another folder")
    try:
        temporary = beside(place)  # what else may be wrong, a name too long for instance, shows by trying
        temporary.mkdir()
        temporary.rmdir()
    except OSError as error:
        raise ViewError(f"--out is {str(path)!r}, where no folder can be created ({error}); give another one") from error


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path``, renamed to it at the end; removed, and ``path`` as it was, where anything fails.

    Where the process is killed, the next one removes it. Raises CheckpointError where another process writes to ``path``,
    OSError naming ``path`` where writing failed (a full disk, say).
    """
    path = Path(os.path.realpath(path))  # a link to an empty folder stays one
    with only_writer(path):
        clear(path)
        temporary = beside(path)
        try:
            temporary.mkdir()
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        except OSError as error:
            raise unwritten(error, path, "nothing was written") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_frame(path: Path, frame: pd.DataFrame, dialect: Dialect = Dialect()) -> None:  # noqa: B008  (it is frozen)
    """Write a table in the format of its ending, without pandas' index; a text file with the dialect's signs and encoding, or
    in UTF-8 where that encoding lacks a letter."""
    ending = "".join(path.suffixes[-1 - (path.suffix == ".gz") :])
    if ending == ".parquet":
        _write(path, lambda file: frame.to_parquet(file, index=False, engine="pyarrow"))
    elif ending == ".xlsx":
        _write(path, lambda file: xlsx.write(frame, file))
    else:
        _write(path, lambda file: _write_text(frame, file, ending, dialect))


def _write_text(frame: pd.DataFrame, file: BinaryIO, ending: str, dialect: Dialect) -> None:
    options: dict[str, Any] = {"index": False, "sep": dialect.sep or ("," if ending.startswith(".csv") else "\t")}
    options |= {"decimal": dialect.signs(None)[0], "compression": "gzip" if ending.endswith(".gz") else None}
    try:
        frame.to_csv(file, encoding=dialect.encoding or "utf-8", **options)
    except UnicodeEncodeError as error:
        warn_of_letter(error)
        file.seek(0)
        file.truncate()
        frame.to_csv(file, encoding="utf-8", **options)


def warn_of_letter(error: UnicodeEncodeError) -> None:
    """That a file is in UTF-8, for its encoding lacks a letter."""
    letter = error.object[error.start]
    message = f"{error.encoding} has no {letter!r}: a file is in UTF-8 therefore; for reading it: --encoding utf-8"
    warnings.warn(message, JPVAEWarning, stacklevel=6)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a .npz."""
    _write(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy."""
    _write(path, lambda file: np.save(file, array))


def _write(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    with path.open("xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # Windows has no way to sync a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
