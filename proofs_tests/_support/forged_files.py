"""Checkpoints changed by hand, with a checksum that is right."""

import json

from safetensors.numpy import load_file, save_file

from jpvae.files import checkpoints


def header_of(path):
    """The metadata of a safetensors file."""
    content = path.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]


def forged(path, tensors, **metadata):
    """A file of these tensors and the same header, but for ``metadata``, whose checksum is right."""
    metadata = header_of(path) | metadata
    save_file(tensors, path, metadata | {"checksum": checkpoints.checksum(tensors, metadata["header"])})


def rewritten(path, tensors=None, **metadata):
    """The same file with other tensors or header entries, and the checksum that it would have."""
    forged(path, load_file(path) | (tensors or {}), **metadata)
