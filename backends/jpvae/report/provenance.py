"""What a report was made of: the command, the files with their checksums, the versions of everything that computed."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..source import source_commit

PACKAGES = ("jpvae", "numpy", "scipy", "scikit-learn", "pandas", "torch", "jax", "vl-convert-python")


@dataclass(frozen=True)
class File:
    """A file as it was read."""

    role: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """commands: as they were typed; made: the time in UTC."""

    commands: tuple[str, ...]
    files: tuple[File, ...]
    versions: tuple[tuple[str, str], ...]
    made: str


def provenance(commands: Sequence[str], files: Sequence[tuple[str, Path]]) -> Provenance:
    """files: (what it is, where it is)."""
    commit = [("commit", found)] if (found := source_commit()) else []
    return Provenance(
        tuple(commands),
        tuple(_file(role, path) for role, path in files),
        (("Python", platform.python_version()), *_versions(), *commit, ("system", platform.platform())),
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _file(role: str, path: Path) -> File:
    with path.open("rb") as file:
        return File(role, str(path), path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
