"""A dataset of many or large files for training: its numbers in one memory-mapped file a view, made in one pass over the files.

The folder has <view>.rows, the rows of every partition one after the other as they stand in it, NaN where a subject lacks the
view; ``observed`` and ``whole``, a byte for each subject and view; ``ids``, a hash of each subject's id; and ``made.json``, how
much of it is complete. That is written last after each partition: a process that is killed goes on with the next one, and cuts
off what stands behind. Another dataset, or files that have changed since, start it over.

Training draws its rows in a new random order in each pass, so that the rows of the cache are not shuffled: the model is that of
the same tables in memory, bit for bit.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..atomic import write_atomically
from ..errors import JPVAEWarning, ViewError
from ..processes import launched
from ..views.dataframes import read_table
from ..views.pieces import pieces
from ..writers import only_writer
from .dialect import Dialect
from .joining import Joined, join
from .partitions import Partition
from .ranges import cut
from .reading import Table

MADE, FORMAT = "made.json", 1


@dataclass(frozen=True)
class _Head:
    """What the first part that has a view shows of it: how it is read, its columns and their type."""

    table: Table  # without rows
    columns: list[str]
    dtype: np.dtype[Any]


def cached(given: Sequence[Partition], how: Mapping[str, Dialect], folder: Path) -> Joined:
    """All partitions as one table a view, memory-mapped in ``folder``, which is made where it is not there yet.

    Of the processes that torchrun started the first one makes it. Raises ViewError, and CheckpointError where another process
    is making it.
    """
    arrays = [str(source.path) for part in given for source in part.sources if source.is_array]
    if arrays:
        raise ViewError(f"{arrays[0]} has no ids; expected tables in a dataset, or one .npy for each view, of any size")
    parts = [part for whole in given for part in cut(whole)]
    heads = _heads(parts, how)
    identity: dict[str, Any] = {
        "format": FORMAT,
        "parts": [[part.name, part.state, part.sources[0].rows] for part in parts],
        "views": {view: [head.columns, head.dtype.str, head.table.dialect.to_json()] for view, head in heads.items()},
    }
    identity = json.loads(json.dumps(identity))
    if launched():
        while (made := _made(folder, identity))["parts"] < len(parts):
            time.sleep(0.2)
    else:
        folder.mkdir(exist_ok=True)
        with only_writer(folder / MADE):
            made = _make(folder, parts, heads, identity)
    return _opened(folder, heads, made)


def remove(folder: Path) -> None:
    """Once the training is over, by the first process."""
    if not launched():
        shutil.rmtree(folder)


def _heads(parts: Sequence[Partition], how: Mapping[str, Dialect]) -> dict[str, _Head]:
    """Of the first part that has each view."""
    found: dict[str, _Head] = {}
    for part in parts:
        own = {source.view: how[source.view] for source in part.sources}
        if own.keys() <= found.keys():
            continue
        joined = join(part.sources, own, part=True)
        for view in own.keys() - found.keys():
            table, frame = joined.tables[view], joined.views[view]
            dtype = np.dtype(np.float32 if set(frame.dtypes) == {np.dtype(np.float32)} else np.float64)
            found[view] = _Head(replace(table, frame=table.frame.iloc[:0]), list(frame.columns), dtype)
        if len(found) == len(how):
            break
    return {view: found[view] for view in how}


def _made(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """How much is complete: {"parts", "rows", "counts": the views of cells that had whole numbers alone, None before any}."""
    try:
        found: dict[str, Any] = json.loads((folder / MADE).read_text())
    except (FileNotFoundError, ValueError):
        found = {}
    return found if found.get("of") == identity else {"of": identity, "parts": 0, "rows": 0, "counts": None}


def _make(folder: Path, parts: Sequence[Partition], heads: Mapping[str, _Head], identity: Mapping[str, Any]) -> dict[str, Any]:
    made, how = _made(folder, identity), {view: head.table.dialect for view, head in heads.items()}
    if made["rows"] == 0:
        (folder / MADE).unlink(missing_ok=True)
    for number, part in enumerate(parts[made["parts"] :], start=made["parts"] + 1):
        with warnings.catch_warnings():
            if number > 1:  # what the first part warns of is warned of once
                warnings.simplefilter("ignore", JPVAEWarning)
            joined = join(part.sources, how, names=tuple(heads), part=True)
        part.check(joined)
        N = len(joined.observed)
        written = {f"{view}.rows": _numbers(part, joined, view, head) for view, head in heads.items()}
        written |= {"observed": joined.observed, "whole": joined.whole}
        written["ids"] = pd.util.hash_array(np.asarray(joined.ids, dtype=object))
        for name, array in written.items():
            _append(folder / name, array, made["rows"])
        counts = {view for view in heads if view in joined.counts or view not in joined.views}
        made |= {"parts": number, "rows": made["rows"] + N}
        made["counts"] = sorted(counts if made["counts"] is None else counts & set(made["counts"]))
        write_atomically(folder / MADE, json.dumps(made).encode())
    _check_ids(folder / "ids", made["rows"])
    return made


def _numbers(part: Partition, joined: Joined, view: str, head: _Head) -> np.ndarray:
    """(N, p) in the type of the cache. Raises ViewError for other columns or another type than the first part's."""
    if view not in joined.views:
        return np.full((len(joined.observed), len(head.columns)), np.nan, head.dtype)
    frame, source = joined.views[view], next(source for source in part.sources if source.view == view)
    if sorted(frame.columns) != sorted(head.columns):
        raise ViewError(
            f"{source} has other columns than {head.table.source.path}: {sorted(set(frame.columns) ^ set(head.columns))} are "
            "in one of them alone; expected the same in all files of a view"
        )
    table = read_table(frame[head.columns], view)  # which checks that integers are not too large
    if table.plain != list(range(len(head.columns))):
        name = head.columns[next(j for j in range(len(head.columns)) if j not in table.plain)]
        raise ViewError(
            f"{source}: column {name!r} has the type {frame[name].dtype}; a dataset of files is trained on numbers alone: "
            f"--drop '{view}:{name}'"
        )
    if head.dtype == np.float32 and set(frame.dtypes) != {np.dtype(np.float32)}:
        raise ViewError(
            f"{source} has numbers of other types than {head.table.source.path}, which has float32; expected the same in all "
            "files"
        )
    return np.ascontiguousarray(frame[head.columns].to_numpy(head.dtype))


def _append(path: Path, array: np.ndarray, rows: int) -> None:
    """Behind so many rows; what stood there is cut off."""
    with path.open("r+b" if rows else "wb") as file:
        file.truncate(rows * array[:1].nbytes)
        file.seek(0, os.SEEK_END)
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        os.fsync(file.fileno())


def _check_ids(path: Path, rows: int) -> None:
    """Raise ViewError where two subjects of different parts have one id. Sorted in its file, for which no memory is taken; a
    false alarm has a chance of 4e-7 among 4 million subjects."""
    ids = np.memmap(path, np.uint64, "r+", shape=(rows,))
    ids.sort()
    for at in pieces(rows - 1, 1):
        if (ids[at.start : at.stop] == ids[at.start + 1 : at.stop + 1]).any():
            raise ViewError(
                "two parts of the dataset have the same id; expected each subject in one of them: files of the same name hold "
                "the same subjects, and no others do"
            )


def _opened(folder: Path, heads: Mapping[str, _Head], made: Mapping[str, Any]) -> Joined:
    N, M = made["rows"], len(heads)
    own = next(iter(heads.values())).table
    index = pd.RangeIndex(N, name=own.dialect.id)
    views = {}
    for view, head in heads.items():
        rows = np.memmap(folder / f"{view}.rows", head.dtype, "r", shape=(N, len(head.columns)))
        views[view] = pd.DataFrame(rows, index=index, columns=head.columns, copy=False)
    observed, whole = (np.memmap(folder / name, bool, "c", shape=(N, M)) for name in ("observed", "whole"))
    tables = {view: head.table for view, head in heads.items()}
    how = {view: head.table.dialect for view, head in heads.items()}
    counts = frozenset(view for view in made["counts"] if heads[view].table.annotated is not None)
    return Joined(views, observed, whole, tuple(heads), None, tables, how, counts)
