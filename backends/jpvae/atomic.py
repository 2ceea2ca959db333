"""Files and folders that are whole or absent: written beside their place, synced, renamed."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import CheckpointError


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise CheckpointError where a file cannot be written to ``path``: better before a training than after it."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in str(path):
        raise CheckpointError(f"path is {path!r}; expected the name of a file")
    place = Path(os.path.realpath(path))
    try:
        if not place.parent.is_dir():
            raise CheckpointError(f"path is {str(path)!r}, in a folder that does not exist; create it first")
        if place.is_dir():
            raise CheckpointError(f"path is {str(path)!r}, a folder; expected the name of a file")
        if place.exists() and not place.is_file():
            raise CheckpointError(f"path is {str(path)!r}, which is not a regular file; choose another path")
        if not os.access(place.parent, os.W_OK | os.X_OK):
            raise CheckpointError(f"path is {str(path)!r}, in a folder that you may not write to; choose another path")
        temporary = beside(place)  # what else may be wrong (a name too long, a file system without room) shows by trying
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise CheckpointError(f"path is {str(path)!r}, where no file can be written ({error}); give another path") from error


def beside(path: Path) -> Path:
    """A new name next to ``path``, which ``clear`` knows again."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}")


def write_atomically(path: Path, content: bytes, check: Callable[[Path], Any] | None = None) -> None:
    """Write ``content`` beside ``path``, sync it, rename it into place: a killed process leaves the old file or the new one.

    Where ``path`` is a symbolic link, the file that it leads to is replaced. check: called with the finished file before it
    takes its place; what it raises goes through. Raises CheckpointError, with the old file untouched, where writing fails,
    because the disk is full for instance.
    """
    check_folder(path)
    path = Path(os.path.realpath(path))
    temporary = beside(path)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(
            f"path is {str(path)!r}, which could not be written ({error}); the previous file is untouched. Make room, or "
            "give another path."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def clear(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while they wrote ``path``, a file or a folder, have left beside it."""
    place = Path(os.path.realpath(path))
    name = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{32}}")
    for leftover in place.parent.iterdir():
        if name.fullmatch(leftover.name):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
