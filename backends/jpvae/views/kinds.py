"""Which family a view's columns of numbers want, decided for the view as a whole, with margins.

    two values, 0 and 1                          bernoulli, unless the view shows that other values are to come (below)
    a table of counts, such as sequencing reads  negative_binomial for all its columns (below)
    any other numbers                            gaussian

A wrong guess costs unlike amounts. A column taken for zeros and ones refuses the first patient with a 2 or a -1; a table
taken for reads divides each row by its total, of age, children and all. Both are therefore guessed only where the table is
clearly one:

Zeros and ones stand for more than that where half of the view's columns are small whole numbers with negative ones among them
(copy numbers), or 0, 1, 2 (dosages of an allele), or where the view has at least three columns in which few rows, at most
5 %, are neither 0 nor 1, for twenty in which none is: there will be such rows in these too; or where no more than a tenth of at
least ten columns are zeros and ones, and all are whole numbers of at least 0, half of the columns with a 0. A column of one
value is a measurement, unless half of the view's columns are zeros and ones.

Counts are columns that reach from near 0 far beyond their mean (largest at least 5, variance at least 0.8 of the mean,
smallest at most a quarter of it), or are large and vary by more than chance (at least 100; variance at least ten means). A
table is one of counts if all columns are whole numbers of at least 0; at least ten are counts, and 80 % of those that are
not mostly 0 and below 5, which could be anything; a fifth of the columns have a zero; and no half of them has one and the
same largest value, as the items of a questionnaire do; and they lean to the right as counts do. Of Poisson counts the
skewness is the coefficient of variation c, of overdispersed ones more (up to 2 c, a gamma's; 3 c and more, a log-normal's),
of measurements on a scale of whole numbers, which are as often far below their mean as far above, about 0: over the columns
that are counts, the sum of skewness times c has to be at least half that of c^2. A column is not one of counts if most of
its values from 10 up are multiples of five (a fifth of any count's are): minutes, money and doses are rounded so. Ten or
more columns of numbers that are not rounded, costs to the unit for instance, look like a table of counts: below fifty
columns a warning names the guess, and they are to be called "gaussian"; fewer than ten columns of reads,
"negative_binomial".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .pieces import Gathered


class Column(NamedTuple):
    """What is looked at of a column's numbers."""

    whole: bool
    low: float
    high: float
    mean: float
    var: float
    zeros: float  # their share
    others: float  # the share of what is neither 0 nor 1
    rounded: bool = False  # whether most of the values from 10 up, of at least 8, are multiples of five
    skewness: float = 0.0  # of a constant 0

    @property
    def flag(self) -> bool:
        """Zeros and ones, and both of them."""
        return self.others == 0 and self.low < self.high

    @property
    def small(self) -> bool:
        """Whole numbers of a short scale."""
        return self.whole and self.high - self.low <= 20

    @property
    def is_count(self) -> bool:
        """From near 0 to far beyond the mean, or large and varied."""
        reaching = self.var >= 0.8 * self.mean and self.low <= 0.25 * self.mean
        return not self.rounded and self.high >= 5 and (reaching or (self.high >= 100 and self.var >= 10 * self.mean))

    @property
    def variation(self) -> float:
        """The coefficient of variation; the mean is positive."""
        return float(self.var**0.5 / self.mean)


class Summary(NamedTuple):
    """Of k columns of numbers, what is added up piece by piece of their rows; (k,) each."""

    n: np.ndarray
    mean: np.ndarray
    squares: np.ndarray  # of the deviations from the mean
    cubes: np.ndarray  # of these too
    whole: np.ndarray
    low: np.ndarray
    high: np.ndarray
    zeros: np.ndarray  # how many
    others: np.ndarray  # how many are neither 0 nor 1
    large: np.ndarray  # how many are at least 10
    fives: np.ndarray  # and multiples of 5

    @classmethod
    def of(cls, values: np.ndarray) -> Summary:
        """Of values (R, k), NaN where there are none."""
        there = ~np.isnan(values)
        n = there.sum(axis=0)
        zero = np.where(there, values, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = zero.sum(axis=0) / np.maximum(n, 1)
            deviations = np.where(there, values - mean, 0.0)
            squares, cubes = (deviations**2).sum(axis=0), (deviations**3).sum(axis=0)
        whole = (zero == np.floor(zero)).all(axis=0)
        low = np.where(there, values, np.inf).min(axis=0, initial=np.inf)
        high = np.where(there, values, -np.inf).max(axis=0, initial=-np.inf)
        zeros, others = ((there & found).sum(axis=0) for found in (values == 0, (values != 0) & (values != 1)))
        large = there & (values >= 10)
        with np.errstate(invalid="ignore"):  # of infinity
            fives = (large & (np.mod(zero, 5) == 0)).sum(axis=0)
        return cls(n, mean, squares, cubes, whole, low, high, zeros, others, large.sum(axis=0), fives)

    def and_of(self, more: Summary) -> Summary:
        """Of the rows of both."""
        n = self.n + more.n
        with np.errstate(over="ignore", invalid="ignore"):
            share, apart = more.n / np.maximum(n, 1), more.mean - self.mean
            mean = self.mean + share * apart
            squares = self.squares + more.squares + share * self.n * apart**2
            tilt = 3 * apart * (more.squares * self.n - self.squares * more.n) / np.maximum(n, 1)
            cubes = self.cubes + more.cubes + tilt + share * self.n * apart**3 * (self.n - more.n) / np.maximum(n, 1)
        ends = np.minimum(self.low, more.low), np.maximum(self.high, more.high)
        counts = (a + b for a, b in zip(self[7:], more[7:], strict=True))
        return Summary(n, mean, squares, cubes, self.whole & more.whole, *ends, *counts)

    def columns(self) -> list[Column]:
        """One by one."""
        empty, n = Column(False, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0), np.maximum(self.n, 1)
        rounded = (self.large >= 8) & (self.fives > 0.5 * self.large)
        var = self.squares / n
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            skewness = np.where(var > 0, self.cubes / n / var**1.5, 0.0)
        parts = (self.whole, self.low, self.high, self.mean, var, self.zeros / n, self.others / n, rounded, skewness)
        found = (Column(*row) for row in zip(*(part.tolist() for part in parts), strict=True))
        return [column if some else empty for column, some in zip(found, self.n.tolist(), strict=True)]


class Kinds:
    """The summary of a table of so many rows, whose blocks are visited: by the pieces that ``inferring`` reads it in."""

    def __init__(self, rows: int, columns: int) -> None:
        self.found: Summary | None = None
        self.add = Gathered(rows, columns, self._take).add  # of values (R, p), NaN where there are none; observed (R,)

    def _take(self, values: np.ndarray, observed: np.ndarray) -> None:
        part = Summary.of(values[observed].astype(np.float64))
        self.found = part if self.found is None else self.found.and_of(part)


def summaries(values: np.ndarray) -> list[Column]:
    """Of the columns of numbers (n, k), NaN where they have none."""
    return Summary.of(values).columns()


def are_counts(columns: Sequence[Column], *, known: bool = False) -> bool:
    """Whether these are all the columns of a table of counts; known: whole numbers are counts there."""
    if len(columns) < (2 if known else 10) or not all(c.whole and c.low >= 0 for c in columns):
        return False
    if known:
        return any(c.high > 1 for c in columns)
    counts = [c for c in columns if c.is_count]
    telling = [c for c in columns if c.high >= 5 or c.zeros < 0.5]
    (_, alike), *_ = Counter(c.high for c in telling).most_common(1) or [(0.0, 0)]
    zeros = sum(c.low == 0 for c in columns)
    varied = len(counts) >= max(10, 0.8 * len(telling)) and alike < max(2, 0.5 * len(telling))
    return varied and zeros >= 0.2 * len(columns) and _lean_to_the_right(counts)


def _lean_to_the_right(counts: Sequence[Column]) -> bool:
    """Whether the skewness is at least half of a Poisson's over the columns."""
    return sum(c.skewness * c.variation for c in counts) >= 0.5 * sum(c.variation**2 for c in counts)


def flags(columns: Mapping[int, Column]) -> set[int]:
    """Which columns of a view are zeros and ones, of which nothing else is to come."""
    found = {j for j, c in columns.items() if c.flag}
    half = 0.5 * len(columns)
    if 2 * len(found) >= len(columns):
        found |= {j for j, c in columns.items() if c.others == 0}
    scales = [c for c in columns.values() if c.small and c.others > 0]
    signed, doses = sum(c.low < 0 for c in scales), sum(c.low >= 0 and c.high == 2 for c in scales)
    rare = sum(c.others <= 0.05 for c in scales)
    among_counts = len(columns) >= 10 and 10 * len(found) <= len(columns) and _from_zero(columns)
    return set() if max(signed, doses) >= half or rare >= max(3, 0.05 * len(found)) or among_counts else found


def _from_zero(columns: Mapping[int, Column]) -> bool:
    """Whether all are whole numbers of at least 0, and half of them have a 0."""
    return all(c.whole and c.low >= 0 for c in columns.values()) and 2 * sum(c.low == 0 for c in columns.values()) >= len(
        columns
    )
