"""What is learned of the views' values in the one pass that reads them (reading.py): whether each suits its likelihood, and for
a fit each column's ends, the location and scale of the model's columns (standardising.py), and a checksum of all values."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence

import numpy as np

from ..errors import JPVAEWarning, ViewError
from ..model.likelihoods import Likelihood, names_in
from ..model.likelihoods.registry import source_of
from .dataframes import row_titles
from .ends import Ends
from .inferring import INFER, columns_of
from .kinds import Kinds
from .opening import Opened
from .reading import known_rows
from .standardising import Standardiser
from .units import Units


class Survey:
    """A visit of every block of rows. Raises ViewError naming the first value that does not suit its likelihood.

    summing: whether ``fingerprint`` will be asked for.
    """

    def __init__(self, opened: Opened, likelihoods: Sequence[Likelihood], *, summing: bool = False) -> None:
        self.names, self.columns, self.likelihoods, self._index = opened.names, opened.columns, likelihoods, opened.index
        self._titles = [[columns.title(j) for j in columns.sources] for columns in self.columns]
        self._advice = "" if opened.fitting else ' To have such cells imputed: impossible="missing".'
        self.ends = [Ends.none(c.count) for c in self.columns]
        sizes = [(len(opened.observed), c.width) for c in self.columns] if opened.fitting else []
        self._scales = [Standardiser(family, *size) for family, size in zip(likelihoods, sizes, strict=False)]
        self._counts = [np.zeros(c.count, np.int64) for c in self.columns]
        self._sums = [0] * len(self.columns) if summing else []
        self._tables, self._given = opened.tables, opened.observed.copy() if any(opened.glanced) else opened.observed
        self._kinds = {i: Kinds(len(self._given), self.columns[i].count) for i in np.flatnonzero(opened.glanced).tolist()}

    def __call__(self, view: int, rows: slice, values: np.ndarray, observed: np.ndarray) -> None:
        """values (R, p), NaN only in cells that are left out; observed (R,)."""
        columns, called = self.columns[view], row_titles(self._index, rows, len(self._given))
        columns.check(values, observed, self.names[view], called)
        encoded = columns.encode(values)
        self.likelihoods[view].check(encoded, observed, self.names[view], called, self._titles[view], self._advice)
        if self._scales:
            self._scales[view].add(encoded, observed)
        if view in self._kinds:
            self._kinds[view].add(known_rows(values, observed, values.dtype, np.nan), self._given[rows, view])
        if self._sums:
            self._sums[view] = zlib.crc32(_canonical(values).data, self._sums[view])
        there = values[observed]
        if len(there):
            self.ends[view] = self.ends[view].and_of(Ends.of(there))
            self._counts[view] += (~np.isnan(there)).sum(axis=0)

    def scaling(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Location and scale (c_i,) of each view. Raises ViewError."""
        found = [each.scaling() for each in self._scales]
        for name, columns, ends, (location, scale) in zip(self.names, self.columns, self.ends, found, strict=True):
            for column in np.flatnonzero(~(np.isfinite(location) & np.isfinite(scale))):
                title = columns.title(j := columns.sources[column])
                end = float(max(ends.least[j], ends.most[j], key=abs))
                raise ViewError(
                    f"view {name!r}, column {title!r} has {end!r}, too large to have a variance; rescale the column, or where "
                    f"it means that nothing was observed, in a file: --sentinel '{name}:{title}={end!r}'"
                )
        return found

    def guessed_right(self) -> bool:
        """Whether the columns that were inferred from a glance are those of all rows. Warns as inferring them does."""
        right = True
        for i, kinds in self._kinds.items():
            table = self._tables[i]
            assert table is not None
            right = right and columns_of(INFER, table, self._given[:, i], kinds.found) == self.columns[i]
        return right

    def fingerprint(self, observed: np.ndarray, scaling: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
        """A checksum of the data: a checkpoint goes on with the rows that it was made from, in the same units.

        Of which rows have which views (N, M), of each view's values, and of its scaling: CRC-32 of the CRC-32 of each.
        """
        parts = [zlib.crc32(np.ascontiguousarray(observed).data), *self._sums]
        parts += [zlib.crc32(_canonical(np.stack(pair)).data) for pair in scaling]
        return f"values {zlib.crc32(np.array(parts, '<u4').tobytes()):08x}"

    def fits(self, units: Units, view: int, dtype: str) -> bool:
        """Whether every value that was visited surely has a finite number in ``dtype``, once scaled.

        It has where the least and the largest of each column have: the built-in likelihoods scale each column by a function
        that only rises. Of others nothing is sure.
        """
        ends = np.stack([self.ends[view].least, self.ends[view].most])
        if not np.isfinite(ends).all() or any(source_of(name) is not None for name in names_in(units.columns.spec)):
            return False
        try:
            units.prepare(ends, np.ones(len(ends), dtype=bool), dtype, ("least", "most"))
        except ViewError:
            return False
        return True

    def warn_of_constant_columns(self) -> None:
        """Warn of measured columns that never vary: there is nothing to learn, and their density rises without bound."""
        for i, columns in enumerate(self.columns):
            flat = (self._counts[i] > 1) & (self.ends[i].least == self.ends[i].most)
            constant = [columns.title(j) for j in columns.measurements if flat[j]]
            if constant:
                some = ", ".join(f"{title!r}" for title in constant[:5]) + (", ..." if len(constant) > 5 else "")
                warnings.warn(
                    f"view {self.names[i]!r} has {len(constant)} constant columns ({some}): they carry no information, "
                    "and they inflate score the longer training runs; leave them out",
                    JPVAEWarning,
                    stacklevel=3,
                )


def _canonical(values: np.ndarray) -> np.ndarray:
    """The same numbers as float64, of which each has one form: there are two zeros, and many ways to write NaN."""
    made = np.ascontiguousarray(np.add(values, 0.0, dtype=np.float64))
    gaps = np.isnan(made)
    if gaps.any():
        made[gaps] = np.nan
    return made
