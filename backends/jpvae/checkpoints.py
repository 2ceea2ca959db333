"""Checkpoints: one .safetensors file, its configuration in the header, written whole or not at all. No pickle anywhere.

Tensors: parameters by their layout names, `adam.*` (step and moments) where training may go on, `scaling.*`, `moments.*`.
Header metadata: format, version, one JSON object, and a checksum of this object and all tensors. Version 1 had no checksum.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckpointError

_FORMAT, _VERSION, _READ = "jpvae", "2", ("1", "2")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise CheckpointError where ``path`` cannot be written: better before a training than after it."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise CheckpointError(f"path is {str(path)!r}, whose folder does not exist; create it first")
    if Path(path).is_dir():
        raise CheckpointError(f"path is {str(path)!r}, a folder; expected the name of a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CheckpointError(f"path is {str(path)!r}, in whose folder you may not write; give another path")


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path``, sync it, rename it into place: a killed process leaves the old file or the new one.

    Raises CheckpointError, with the old file untouched, where that fails, because the disk is full for instance.
    """
    check_folder(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
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


def checksum(tensors: Mapping[str, np.ndarray], header: str) -> str:
    """CRC-32 of the header and of every tensor's name, dtype, shape and bytes: it finds damage, not forgery."""
    total = zlib.crc32(header.encode())
    for name in sorted(tensors):
        x = tensors[name]
        total = zlib.crc32(np.ascontiguousarray(x), zlib.crc32(f"{name} {x.dtype.str} {x.shape}".encode(), total))
    return f"{total:08x}"


def save(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    """Write a checkpoint. header: a JSON-able object."""
    from safetensors.numpy import save as serialise

    text = json.dumps(header)
    arrays = {name: np.asarray(x, order="C") for name, x in tensors.items()}  # (ascontiguousarray would make () into (1,))
    metadata = {"format": _FORMAT, "version": _VERSION, "header": text, "checksum": checksum(arrays, text)}
    write_atomically(Path(path), serialise(arrays, metadata))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint: tensors and header. Raises CheckpointError for a foreign, damaged or newer file."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise CheckpointError(f"path is {str(path)!r}: there is no such file")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            version = metadata.get("version")
            if metadata.get("format") != _FORMAT:
                raise CheckpointError(
                    f"{str(path)!r} is a .safetensors file of something else; expected one that JPVAE.save wrote"
                )
            if version not in _READ:
                raise CheckpointError(
                    f"{str(path)!r} has format version {version!r}; this release reads {' and '.join(_READ)}. Upgrade jpvae."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safe_open is no mapping)
    except SafetensorError as error:
        raise CheckpointError(f"{str(path)!r} is damaged or no .safetensors file ({error})") from error
    text = metadata.get("header", "")
    if version != "1" and metadata.get("checksum") != checksum(tensors, text):
        raise CheckpointError(f"{str(path)!r} is damaged (its checksum does not fit its content)")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{str(path)!r} has a damaged header ({error})") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{str(path)!r} has a damaged header (a JSON {type(header).__name__})")
    return tensors, header


def select(tensors: Mapping[str, np.ndarray], head: str) -> dict[str, np.ndarray]:
    """The tensors under ``head``, by the rest of their names."""
    return {name.removeprefix(head): x for name, x in tensors.items() if name.startswith(head)}
