"""Large files cut into ranges of rows, each of which is then read and joined by itself.

The views' files have the same subjects in the same order: a range of one view is joined on the id with the same range of the
others, and one that has other subjects there is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import ViewError
from .partitions import Partition
from .reading import check_format
from .sources import UNREADABLE, Source

CELLS = 2**22  # of all views together, in one range


def cut(partition: Partition, most: int | None = None) -> list[Partition]:
    """The partition's ranges of at most so many rows, at the ends of row groups where there are some; itself where it is small,
    or where its files are of other kinds or have different numbers of rows: then all of it is joined in memory.

    Raises ViewError, MissingDependency."""
    shapes = [_shape(source) for source in partition.sources]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes) or len({rows for rows, _ in known}) > 1:
        return [partition]
    rows = known[0][0]
    most = most or max(1, CELLS // sum(columns for _, columns in known))
    if rows <= most:
        return [partition]
    ends = _ends(partition.sources[0], rows, most)
    return [
        Partition(
            f"{partition.name}.{first}", tuple(replace(each, rows=(first, end)) for each in partition.sources), end - first
        )
        for first, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def _shape(source: Source) -> tuple[int, int] | None:
    """Rows and columns, without reading them; None of a file that is read as a whole."""
    check_format(source)
    try:
        if source.format == ".parquet":
            import pyarrow.parquet

            found = pyarrow.parquet.read_metadata(source.path)
            return found.num_rows, found.num_columns
        if source.format == ".h5ad":
            import h5py

            with h5py.File(source.path, "r") as file:
                X = file["X"]
                rows, columns = X.attrs["shape"] if isinstance(X, h5py.Group) else X.shape
                return int(rows), int(columns)
    except UNREADABLE as error:
        raise ViewError(f"{source} cannot be read as {source.format} ({error}). Check that it is undamaged.") from error
    return None


def _ends(source: Source, rows: int, most: int) -> Sequence[int]:
    """Where the ranges end: each as many of its row groups as fit, a row group that does not fit cut up."""
    if source.format != ".parquet":
        return [*range(most, rows, most), rows]
    import pyarrow.parquet

    found = pyarrow.parquet.read_metadata(source.path)
    groups = np.cumsum([found.row_group(k).num_rows for k in range(found.num_row_groups)]).tolist()
    ends: list[int] = []
    last = before = 0
    for end in groups:
        if end - last > most and before > last:
            ends.append(before)
            last = before
        while end - last > most:
            last += most
            ends.append(last)
        before = end
    return ends if ends and ends[-1] == rows else [*ends, rows]
