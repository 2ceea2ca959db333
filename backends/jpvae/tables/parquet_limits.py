"""Whether a .parquet is small enough to be read: a text that it has once may be a million rows'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .text_files import check_packing

_ROWS = 2**16  # looked at together
_LONG_LEVEL = 2**15  # bytes: levels of categories are held once, until they are written or named; no level is so long


def check(path: Path) -> None:
    """Raise ValueError for a file that packs too much: cells, by what it states, and texts, by their lengths."""
    import pyarrow
    from pyarrow import parquet

    packed = path.stat().st_size
    with parquet.ParquetFile(path) as file:
        shape, fields = file.metadata, list(file.schema_arrow)
    check_packing(packed, 8 * shape.num_rows * shape.num_columns)
    kinds = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_binary, pyarrow.types.is_large_binary)
    coded = {field.name for field in fields if pyarrow.types.is_dictionary(field.type)}
    types = {field.name: field.type.value_type if field.name in coded else field.type for field in fields}
    texts = [name for name, kind in types.items() if any(is_kind(kind) for is_kind in kinds)]
    unpacked = 0
    if not texts:
        return
    with parquet.ParquetFile(path, read_dictionary=texts) as file:  # each text once, and which of them a row has
        for batch in file.iter_batches(_ROWS, columns=texts):
            columns = zip(batch.schema.names, batch.columns, strict=True)
            unpacked += sum(_bytes_of(column, _LONG_LEVEL if name in coded else 0) for name, column in columns)
            check_packing(packed, unpacked)


def _bytes_of(column: Any, least: int) -> int:
    """Of a column's texts that are so long, each as often as it is there."""
    from pyarrow import compute

    lengths = np.asarray(compute.binary_length(column.dictionary))
    lengths = np.where(lengths < least, 0, lengths)
    return int(lengths[np.asarray(column.indices.drop_null())].sum()) if len(lengths) else 0
