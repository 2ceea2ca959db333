"""Datasets of many files: a view is a folder or a pattern of files, and a partition is what has one name in all views.

Files of one name hold the same subjects: rna/part-07.parquet and protein/part-07.parquet are joined on the id, as two tables
are. Each partition is filled by itself, in any process, and written as OUT/<view>/<name>.<ending>; that it is done stands in
OUT/_done/<name>.json, written last. A run that is started again does what has no such mark. A row's filling depends on the
model and the row alone, so neither who fills a partition nor how often changes a bit.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..atomic import beside, write_atomically
from ..errors import ViewError
from . import results
from .dialect import dialects, stored
from .filler import loaded
from .joining import Joined, join
from .sources import Source, sources, split_word

DONE, RUN = "_done", "_run.json"


@dataclass(frozen=True)
class Partition:
    """The files of one name, by view. size: how many subjects they have, of ranges of larger files."""

    name: str
    sources: tuple[Source, ...]
    size: int | None = None

    @property
    def state(self) -> dict[str, list[int]]:
        """Size and time of each file: a partition whose files have changed is filled again."""
        found = {str(source.path): source.path.stat() for source in self.sources}
        return {path: [each.st_size, each.st_mtime_ns] for path, each in found.items()}

    def check(self, joined: Joined) -> None:
        """Raise ViewError where the views have different subjects in one range of larger files."""
        if self.size is not None and len(joined.observed) > self.size:
            files = ", ".join(str(source.path) for source in self.sources)
            raise ViewError(
                f"{files} are read {self.size} rows at a time, and those from {self.name} on have different subjects; expected "
                "the same ids in the same order, an empty row where a view is missing: sort the files by the id, or split them "
                "into files of the same name for the same subjects"
            )


@dataclass(frozen=True)
class Task:
    """What is done with every partition; plain data, which goes to any worker."""

    model: str
    out: str
    words: Mapping[str, Sequence[str]]
    wanted: results.Wanted
    impossible: str = "error"
    backend: str | None = None
    device: str | None = None
    threads: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two runs the same."""
        checksum = zlib.crc32(Path(self.model).read_bytes())
        found = {"model": checksum, "words": self.words, "impossible": self.impossible, "wanted": asdict(self.wanted)}
        plain: dict[str, Any] = json.loads(json.dumps(found))
        return plain


def is_dataset(words: Sequence[str]) -> bool:
    """Whether a word of ``--view`` names a folder or a pattern."""
    paths = [word.partition("=")[2] for word in words]
    return any(glob.has_magic(path) or os.path.isdir(path) for path in paths)


def partitions(words: Sequence[str]) -> list[Partition]:
    """In the order of their names; views that have one file each are one partition, whatever their names.

    Raises ConfigError, ViewError."""
    by_name: dict[str, list[str]] = {}
    alone = True
    for word in words:
        view, path = split_word(word)
        found = sorted(glob.glob(os.path.join(glob.escape(path), "*") if os.path.isdir(path) else path))
        files = [Path(each) for each in found if os.path.isfile(each) and os.path.basename(each)[0] not in "._"]
        if not files:
            raise ViewError(
                f"view {view!r}: {path!r} has no files; expected a folder of tables, or a pattern such as 'rna/*.csv'"
            )
        own = [file.name.removesuffix(Source(view, file).ending) for file in files]
        if len(set(own)) < len(own):
            twice = next(name for name in own if own.count(name) > 1)
            raise ViewError(f"view {view!r}: {path!r} has two files named {twice!r}; expected different names, one a partition")
        alone = alone and len(files) == 1
        for name, file in zip(own, files, strict=True):
            by_name.setdefault(name, []).append(f"{view}={file}")
    if alone:
        by_name = {next(iter(by_name)): [file for files in by_name.values() for file in files]}
    return [Partition(name, tuple(sources(files))) for name, files in sorted(by_name.items())]


def begin(task: Task) -> None:
    """Make the folder, or go on in one of the same run. Raises ViewError."""
    out, identity = Path(task.out), task.identity
    run = out / RUN
    if run.is_file():
        try:
            theirs = json.loads(run.read_text())
        except ValueError as error:
            raise ViewError(f"--out is {task.out!r}, whose {RUN} is damaged; delete the folder to start over") from error
        if theirs != identity:
            raise ViewError(f"--out is {task.out!r}, which another model or other options have filled; choose another folder")
    (out / DONE).mkdir(parents=True, exist_ok=True)
    tidy(task)
    write_atomically(run, json.dumps(identity).encode())


def tidy(task: Task) -> None:
    """Remove what killed processes have left. Before and after a run: a cluster may have two workers fill one partition, and
    none may remove what another is writing."""
    for leftover in (Path(task.out) / DONE).glob(".*"):
        shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def done(partition: Partition, task: Task) -> dict[str, Any] | None:
    """What was filled of it; None where that is still to do."""
    try:
        mark: dict[str, Any] = json.loads((Path(task.out) / DONE / f"{partition.name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return mark["rows"] if mark.get("of") == partition.state else None


def fill(partition: Partition, task: Task) -> dict[str, Any]:
    """Fill one, unless it is done: {"subjects": N, "imputed": {view: rows in which anything was}}.

    Raises as ``jpvae impute`` does.
    """
    if (known := done(partition, task)) is not None:
        return known
    state = partition.state
    out = Path(task.out)
    folder = beside(out / DONE / partition.name)
    folder.mkdir()
    try:
        rows = write(folder, partition, task)
        for file in sorted(folder.iterdir()):
            ending = Source("", file).ending
            stem = file.name.removesuffix(ending)
            (out / stem).mkdir(exist_ok=True)
            os.replace(file, out / stem / f"{partition.name}{ending}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    mark = json.dumps({"of": state, "rows": rows}).encode()
    write_atomically(out / DONE / f"{partition.name}.json", mark)
    return rows


def write(folder: Path, partition: Partition, task: Task) -> dict[str, Any]:
    """Its filled tables as files in the folder: what ``fill`` returns."""
    fitted = loaded(task.model, task.backend, task.device, task.threads)
    how = stored(fitted.metadata_, fitted.view_names_, task.model, fitted.index_name_)
    own: dict[str, Any] = {"names": fitted.view_names_, "columns": fitted.table_columns_, "part": partition.size is not None}
    joined = join(partition.sources, dialects(task.words, how), **own)
    partition.check(joined)
    results.check_names(fitted, draws=task.wanted.draws > 0)
    if task.impossible == "missing":
        fitted.impossible = task.impossible
        joined.whole[fitted.find_impossible(joined.views, joined.observed)] = False
    wanted = replace(task.wanted, uniform=True)
    imputed = results.write_tables(folder, fitted, joined, partition.sources[0].format, wanted)
    return {"subjects": len(joined.observed), "imputed": {name: int(each.sum()) for name, each in imputed.items()}}


def here(parts: Sequence[Partition], task: Task) -> Iterator[Partition]:
    """One after the other, in this process: each once it is done."""
    for partition in parts:
        fill(partition, task)
        yield partition
