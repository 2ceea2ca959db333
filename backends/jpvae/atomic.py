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
    """Raise CheckpointError where ``path`` cannot be written: better before a training than after it."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise CheckpointError(f"path is {str(path)!r}, whose folder does not exist; create it first")
    if Path(path).is_dir():
        raise CheckpointError(f"path is {str(path)!r}, a folder; expected the name of a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CheckpointError(f"path is {str(path)!r}, in whose folder you may not write; give another path")


def write_atomically(path: Path, content: bytes, check: Callable[[Path], Any] | None = None) -> None:
    """Write ``content`` beside ``path``, sync it, rename it into place: a killed process leaves the old file or the new one.

    check: called with the finished file before it takes its place; what it raises goes through. Raises CheckpointError, with
    the old file untouched, where writing fails, because the disk is full for instance.
    """
    check_folder(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
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
            f"path is {str(path)!r}, which could not be written ({error}); what was there before is untouched. Make room, or "
            "give another path."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def clear(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while they wrote ``path``, a file or a folder, have left beside it."""
    name = re.compile(rf"\.{re.escape(Path(path).name)}\.[0-9a-f]{{32}}")
    for leftover in Path(path).parent.iterdir():
        if name.fullmatch(leftover.name):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
