"""One file a view, filled so many rows at a time and written behind one another: memory does not grow with the file.

A .parquet is read by ranges of rows, at the ends of its row groups where they fit. A text file is first cut into files of so
many rows, cell by cell as they stand. A row's filling does not depend on the rows beside it, so that each number is that of the
files read as a whole; all numbers are floats, and a table of draws has those of one range of rows together.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from ..errors import ConfigError, ViewError
from . import results, writing
from .dialect import Dialect, dialects, stored
from .filler import loaded
from .partitions import Partition, Task, write
from .ranges import cut
from .sources import TEXTS, UNREADABLE, Source
from .text_files import encoding_of, lines, opener, records


def fill(given: Sequence[Source], task: Task, rows: int) -> dict[str, Any]:
    """{"subjects": N, "imputed": {view: rows in which anything was}} of the new folder ``task.out``, which appears once all of
    it is there. Raises ViewError, ConfigError, and as ``jpvae impute`` does."""
    kinds = {source.format for source in given}
    if not (kinds <= set(TEXTS) or kinds == {".parquet"}):
        expected = "files that are all .parquet, or all .csv or .tsv (.npy files are filled block by block without it)"
        raise ConfigError(f"--rows is {rows} and the files are {sorted(kinds)}; expected {expected}")
    writing.check_new_folder(Path(task.out))
    total: dict[str, Any] = {}
    texts = kinds != {".parquet"}
    how = _how(given, task) if texts else {}
    turned = [view for view, dialect in how.items() if dialect.transpose]
    if turned:
        raise ConfigError(f"--rows reads so many rows at a time, and {turned} have features as rows; fill them without --rows")
    if texts:  # in between all are in UTF-8, of which one can stand behind another
        utf_8 = [*task.words.get("encoding", ()), *(f"{view}=utf-8" for view in how)]
        task = replace(task, words={**task.words, "encoding": utf_8})
    with writing.new_folder(Path(task.out)) as folder:
        work, last = folder / "_work", Partition("", tuple(given))
        with ExitStack() as stack:
            files: dict[str, Any] = {}
            for part in _texts(given, how, rows, work) if texts else cut(last, rows):
                (work / "filled").mkdir(parents=True)
                found = write(work / "filled", part, task)
                for file in sorted((work / "filled").iterdir()):
                    if file.name not in files:
                        files[file.name] = _Text(folder) if texts else _Parquet(folder, stack, given)
                    files[file.name].append(file)
                shutil.rmtree(work)
                total = (
                    found
                    if not total
                    else {
                        "subjects": total["subjects"] + found["subjects"],
                        "imputed": {view: k + found["imputed"][view] for view, k in total["imputed"].items()},
                    }
                )
        endings = {source.ending for source in given}
        encodings = {f"{view}{part}{end}": how[view].encoding for view in how for part in results.PARTS for end in endings}
        for name in files:
            if encoding := encodings.get(name):
                _encode(folder / name, encoding)
    return total


def _how(given: Sequence[Source], task: Task) -> Mapping[str, Dialect]:
    """How each view's file is read, by the fit and the options. Raises ViewError."""
    fitted = loaded(task.model, task.backend, task.device, task.threads)
    how = dialects(task.words, stored(fitted.metadata_, fitted.view_names_, task.model, fitted.index_name_))
    unknown = [source.view for source in given if source.view not in how]
    if unknown:
        raise ViewError(f"--view names {unknown}, which the model does not have; expected names among {list(how)}")
    return how


def _texts(given: Sequence[Source], how: Mapping[str, Dialect], rows: int, folder: Path) -> Iterator[Partition]:
    """The files cut at the same rows into files in the folder, each part once it is asked for."""
    first = 0
    for parts in zip_longest(*(_parts(source, how[source.view], rows) for source in given)):
        sizes = {str(source.path): 0 if part is None else len(part) - 1 for source, part in zip(given, parts, strict=True)}
        if len(set(sizes.values())) > 1:
            raise ViewError(
                f"the files have different numbers of rows, from row {first} on {sizes}; expected the same subjects"
            )
        sources = []
        for source, part in zip(given, parts, strict=True):
            (folder / source.view).mkdir(parents=True, exist_ok=True)
            path = folder / source.view / f"{first}-{source.path.name}"
            _write(path, part, source, how[source.view])
            sources.append(Source(source.view, path))
        size = next(iter(sizes.values()))
        yield Partition(f"row {first}", tuple(sources), size)
        first += size


def _parts(source: Source, dialect: Dialect, rows: int) -> Iterator[list[list[str]]]:
    """The names and so many rows, again and again. Raises ViewError."""
    opened = opener(source.path)
    size = source.path.stat().st_size
    try:
        with opened(source.path, "rb") as file:
            encoding = encoding_of(file.read(4), dialect)
        with opened(source.path, "rt", encoding=encoding, newline="") as file:
            found = (row for line, row in records(lines(file, size), _separator(source, dialect)) if line >= dialect.header)
            names = next(found, None)
            if names is None:
                raise ValueError(f"it has no line {dialect.header} with names")
            some = True
            for part in iter(lambda: list(islice(found, rows)), []):
                yield [names, *part]
                some = False
            if some:
                yield [names]
    except ViewError:
        raise
    except UNREADABLE as error:
        raise ViewError(f"{source} cannot be read as {source.format} ({error}); see --encoding and --sep") from error


def _write(path: Path, part: Sequence[Sequence[str]], source: Source, dialect: Dialect) -> None:
    """A file in UTF-8 that is read by the same dialect: what stood before its names is empty lines."""
    with opener(path)(path, "wt", encoding="utf-8", newline="") as file:
        file.write("\n" * (dialect.header - 1))
        csv.writer(file, delimiter=_separator(source, dialect), lineterminator="\n").writerows(part)


def _separator(source: Source, dialect: Dialect) -> str:
    return dialect.sep or ("," if source.format == ".csv" else "\t")


def _encode(path: Path, encoding: str) -> None:
    """A file of UTF-8 in the encoding; as it is, with a warning, where that lacks a letter."""
    opened = opener(path)
    made = path.with_name(f"{path.name}.encoded")
    with opened(path, "rt", encoding="utf-8", newline="") as source, opened(made, "wt", encoding=encoding, newline="") as into:
        try:
            shutil.copyfileobj(source, into)
        except UnicodeEncodeError as error:
            writing.warn_of_letter(error)
            made.unlink()
            return
    os.replace(made, path)


class _Parquet:
    """One file of many, a row group of each."""

    def __init__(self, folder: Path, stack: ExitStack, given: Sequence[Source]) -> None:
        self._folder, self._stack, self._given, self._writer = folder, stack, given, None

    def append(self, file: Path) -> None:
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(file).replace_schema_metadata(None)  # which has the number of rows of this one
        table = table.cast(self._schema(file.name, table.schema))
        if self._writer is None:
            self._writer = self._stack.enter_context(pyarrow.parquet.ParquetWriter(self._folder / file.name, table.schema))
        assert self._writer is not None
        self._writer.write_table(table)

    def _schema(self, name: str, found: Any) -> Any:
        """The types of a part, with room for more digits of decimals than this part has."""
        import pyarrow.parquet

        for source in self._given:
            if name in (f"{source.view}{part}.parquet" for part in ("", ".draws")):
                for field in pyarrow.parquet.read_schema(source.path):
                    at = found.get_field_index(field.name)
                    if at >= 0 and pyarrow.types.is_decimal(field.type):
                        wide = pyarrow.decimal128(38, field.type.scale)
                        found = found.set(at, pyarrow.field(field.name, wide if field.type.precision <= 38 else field.type))
        return found


class _Text:
    """One file of many with the header of the first; a packed one is a packed file behind another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, file: Path) -> None:
        target = self._folder / file.name
        opened = opener(file)
        with opened(file, "rb") as source, opened(target, "ab") as into:
            if target.stat().st_size:
                lines = (line.decode("latin-1") for line in iter(source.readline, b""))  # of which the line ends are looked for
                next(csv.reader(lines))
            shutil.copyfileobj(source, into)
