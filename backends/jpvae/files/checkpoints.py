"""Checkpoints: one .safetensors file, its configuration in the header, written whole or not at all. No pickle anywhere.

Tensors: parameters by their layout names, `adam.*` (step and moments) where training may go on, `scaling.*`, `moments.*`.
Header metadata: format, version, one JSON object, and a checksum of this object and all tensors. Version 1 had no checksum.

The version rises when a release that reads the one before would misread a new file, or could not check it: not for a new option
or header entry whose absence has a meaning (``Options`` and ``Model`` have defaults for them). Every version that was ever
released is read; proofs_tests/files/test_older_files.py holds a file of each.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_atomically
from ..errors import CheckpointError

_KINDS = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
_FORMAT, _VERSION, _READ = "jpvae", "2", ("1", "2")


def checksum(tensors: Mapping[str, np.ndarray], header: str) -> str:
    """CRC-32 of the header and of every tensor's name, dtype, shape and bytes: it finds damage, not forgery."""
    total = zlib.crc32(header.encode())
    for name in sorted(tensors):
        x = tensors[name]
        total = zlib.crc32(np.ascontiguousarray(x).data, zlib.crc32(f"{name} {x.dtype.str} {x.shape}".encode(), total))
    return f"{total:08x}"


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    header: Mapping[str, Any],
    check: Callable[[Path], Any] | None = None,
) -> None:
    """Write a checkpoint. header: a JSON-able object. check: called with the finished file before it takes its place."""
    from safetensors.numpy import save as serialise

    text = json.dumps(header)
    arrays = {name: np.asarray(x, order="C") for name, x in tensors.items()}  # (ascontiguousarray would make () into (1,))
    metadata = {"format": _FORMAT, "version": _VERSION, "header": text, "checksum": checksum(arrays, text)}
    write_atomically(Path(path), serialise(arrays, metadata), check)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint: tensors and header. Raises CheckpointError for a foreign, damaged or newer file."""
    from safetensors import SafetensorError, safe_open

    if not isinstance(path, str | os.PathLike):
        raise CheckpointError(f"path is {path!r}; expected the name of a file")
    if not os.path.isfile(path):
        raise CheckpointError(f"path is {str(path)!r}: there is no such file")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            version = metadata.get("version")
            if metadata.get("format") != _FORMAT:
                raise CheckpointError(
                    f"{str(path)!r} is a .safetensors file from another program; expected one written by JPVAE.save"
                )
            if version not in _READ:
                raise CheckpointError(
                    f"{str(path)!r} has format version {version!r}; this release reads {' and '.join(_READ)}. Upgrade jpvae."
                )
            names = list(file.keys())  # (safe_open is no mapping)
            kinds = {name: file.get_slice(name).get_dtype() for name in names}
            for name, kind in kinds.items():
                if kind not in _KINDS:
                    raise CheckpointError(
                        f"{str(path)!r}: its array {name!r} is of {kind}, which NumPy lacks; the file is forged"
                    )
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise CheckpointError(f"{str(path)!r} is damaged or not a .safetensors file ({error})") from error
    text = metadata.get("header", "")
    if version != "1" and metadata.get("checksum") != checksum(tensors, text):
        raise CheckpointError(f"{str(path)!r} is damaged (its checksum does not match its content)")
    try:
        header = json.loads(text)
        json.dumps(header, ensure_ascii=False).encode()  # half a character of two could be neither printed nor written again
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{str(path)!r} has a damaged header ({error})") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{str(path)!r} has a damaged header (a JSON {type(header).__name__})")
    return tensors, header


def select(tensors: Mapping[str, np.ndarray], head: str) -> dict[str, np.ndarray]:
    """The tensors under ``head``, by the rest of their names."""
    return {name.removeprefix(head): x for name, x in tensors.items() if name.startswith(head)}
