"""Checkpoints: one .safetensors file, its configuration in the header, written whole or not at all. No pickle anywhere.

Tensors: parameters by their layout names, `adam.*` (step and moments) where training may go on, `scaling.*`, `moments.*`.
Header metadata: format, version, and one JSON object.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckpointError, unwritten

_FORMAT, _VERSION = "jpvae", 1


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
    """Write ``content`` beside ``path``, sync it, rename it into place: a killed process leaves the old file or the new one."""
    check_folder(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise unwritten(error, path, "the file is as it was") from error
    finally:
        temporary.unlink(missing_ok=True)


def save(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    """Write a checkpoint. header: a JSON-able object."""
    from safetensors.numpy import save as serialise

    metadata = {"format": _FORMAT, "version": str(_VERSION), "header": json.dumps(header)}
    arrays = {name: np.asarray(x, order="C") for name, x in tensors.items()}  # (ascontiguousarray would make () into (1,))
    write_atomically(Path(path), serialise(arrays, metadata))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint: tensors and header. Raises CheckpointError for a foreign, damaged or newer file."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise CheckpointError(f"path is {str(path)!r}: there is no such file")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise CheckpointError(
                    f"{str(path)!r} is a .safetensors file of something else; expected one that JPVAE.save wrote"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safe_open is no mapping)
    except SafetensorError as error:
        raise CheckpointError(f"{str(path)!r} is damaged or no .safetensors file ({error})") from error
    if metadata.get("version") != str(_VERSION):
        raise CheckpointError(
            f"{str(path)!r} has format version {metadata.get('version')!r}; this release reads {_VERSION}. Upgrade jpvae."
        )
    try:
        header = json.loads(metadata["header"])
    except (KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{str(path)!r} has a damaged header ({error})") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{str(path)!r} has a damaged header (a JSON {type(header).__name__})")
    return tensors, header


def select(tensors: Mapping[str, np.ndarray], head: str) -> dict[str, np.ndarray]:
    """The tensors under ``head``, by the rest of their names."""
    return {name.removeprefix(head): x for name, x in tensors.items() if name.startswith(head)}
