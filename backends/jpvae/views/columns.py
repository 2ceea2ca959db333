"""One view's columns: those of the person's table, those of the model, and the way from each to the other.

    table column                              model columns
    a measurement, a count, a zero or one     itself
    a category out of K, as a code or a text  K columns, one of which is 1          back: the level of the largest, or its
                                                                                   levels' probabilities, "column=level"
    K columns that are one-hot already        themselves, side by side              back: probabilities

Model columns are ordered by family (categories by K too), so that each family computes all its columns at once. Texts are codes
0, 1, ... in their order of ``labels`` wherever this file meets them. All of it is plain JSON, for a checkpoint's header.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from ..errors import ViewError
from ..model.likelihoods import Spec
from .numerals import number

Label: TypeAlias = "str | int | float | bool"


@dataclass(frozen=True)
class Group:
    """Table columns of one family. levels: of coded categories, the values; size: of one-hot groups, columns per group."""

    likelihood: str
    columns: tuple[int, ...]
    levels: tuple[tuple[float, ...], ...] = ()
    size: int = 0

    @property
    def width(self) -> int:
        """How many model columns."""
        return sum(map(len, self.levels)) if self.levels else len(self.columns)

    @property
    def spec(self) -> tuple[str | int, ...]:
        """The group as a part of a mixed likelihood."""
        K = len(self.levels[0]) if self.levels else self.size
        return (self.likelihood, self.width, K) if K else (self.likelihood, self.width)


@dataclass(frozen=True)
class Columns:
    """p table columns and c model columns. names: of a DataFrame's columns; labels: table column -> the texts of its codes."""

    groups: tuple[Group, ...]
    names: tuple[str | int, ...] | None = None
    labels: tuple[tuple[int, tuple[Label, ...]], ...] = ()

    @classmethod
    def of_one_family(cls, likelihood: str, count: int, names: tuple[str | int, ...] | None = None) -> Columns:
        """A table whose columns are the model's."""
        return cls((Group(likelihood, tuple(range(count)), size=count if likelihood == "categorical" else 0),), names)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON (tuples become lists)."""
        return asdict(self)

    @cached_property
    def order(self) -> list[int]:
        """The table columns in the order in which the groups have them."""
        return [j for group in self.groups for j in group.columns]

    @property
    def count(self) -> int:
        """p."""
        return len(self.order)

    @property
    def width(self) -> int:
        """c."""
        return sum(group.width for group in self.groups)

    @cached_property
    def sources(self) -> list[int]:
        """The table column of each model column."""
        return [
            j
            for group in self.groups
            for j, K in zip(group.columns, map(len, group.levels) if group.levels else [1] * len(group.columns), strict=True)
            for _ in range(K)
        ]

    @property
    def spec(self) -> Spec:
        """The view's likelihood: a name, where one family has all columns (as one group, if categorical)."""
        alone = len(self.groups) == 1 and (not self.groups[0].levels) and self.groups[0].size in (0, self.width)
        return self.groups[0].likelihood if alone else tuple(group.spec for group in self.groups)

    def title(self, column: int) -> str | int:
        """What the person calls a table column."""
        return column if self.names is None else self.names[column]

    @cached_property
    def texts(self) -> dict[int, tuple[Label, ...]]:
        """``labels`` by table column."""
        return dict(self.labels)

    @cached_property
    def coded(self) -> dict[int, tuple[float, ...]]:
        """The levels of each table column that is a coded category."""
        return {j: levels for group in self.groups for j, levels in zip(group.columns, group.levels, strict=False)}

    @cached_property
    def categories(self) -> set[int]:
        """The table columns that are categories, coded or one-hot."""
        return {j for group in self.groups if group.likelihood == "categorical" for j in group.columns}

    @cached_property
    def measurements(self) -> list[int]:
        """The table columns that are numbers with a scale of their own."""
        return [j for group in self.groups if group.likelihood in ("gaussian", "student_t") for j in group.columns]

    @cached_property
    def _plain(self) -> bool:
        return not self.coded and self.order == list(range(self.count))

    def check(self, values: np.ndarray, observed: np.ndarray, view: str, rows: Sequence[Any]) -> None:
        """Raise ViewError for the first category of the rows (R, p), called ``rows``, that fit never saw."""
        for j, levels in self.coded.items():
            unknown = np.flatnonzero(~np.isin(values[:, j], levels) & ~np.isnan(values[:, j]) & observed)
            if unknown.size:
                raise unknown_category(view, rows[unknown[0]], self.title(j), _whole(float(values[unknown[0], j])), levels)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Table columns (R, p), NaN where nothing was observed -> model columns (R, c), NaN there too."""
        if self._plain:
            return values
        parts = []
        for group in self.groups:
            if not group.levels:
                parts.append(values[:, group.columns])
            for j, levels in zip(group.columns, group.levels, strict=False):
                one_hot = (values[:, j, None] == np.asarray(levels)).astype(values.dtype)
                parts.append(np.where(np.isnan(values[:, j, None]), np.nan, one_hot))
        return np.concatenate(parts, axis=1, dtype=values.dtype)

    def decode(self, values: np.ndarray) -> np.ndarray:
        """Model columns (..., c) in the data's units -> table columns (..., p): of a coded category the most probable level."""
        return self._to_table(values, lambda p, levels: np.asarray(levels)[np.argmax(p, axis=-1)])

    def decode_std(self, std: np.ndarray) -> np.ndarray:
        """Standard deviations (..., c) -> (..., p); NaN for a coded category, whose levels have probabilities instead."""
        return self._to_table(std, lambda _p, _levels: np.nan)

    @cached_property
    def level_titles(self) -> tuple[str, ...]:
        """ "column=level" of every level of every coded category, in the table's order: the columns of ``probabilities``."""
        shown = {j: self.texts.get(j, levels) for j, levels in self.coded.items()}
        return tuple(f"{self.title(j)}={as_text(level)}" for j in sorted(shown) for level in shown[j])

    def probabilities(self, mean: np.ndarray) -> np.ndarray:
        """Of model columns' means (..., c), the probability of each of ``level_titles``: (..., L)."""
        return mean[..., [k for _, k in sorted((j, k) for k, j in enumerate(self.sources) if j in self.coded)]]

    def _to_table(self, values: np.ndarray, category: Callable[[np.ndarray, tuple[float, ...]], Any]) -> np.ndarray:
        """(..., c) -> (..., p), of a coded category what ``category`` makes of its K model columns and levels."""
        if self._plain:
            return values
        result, start = np.empty((*values.shape[:-1], self.count), values.dtype), 0
        for group in self.groups:
            if not group.levels:
                result[..., group.columns] = values[..., start : start + group.width]
                start += group.width
            for j, levels in zip(group.columns, group.levels, strict=False):
                result[..., j] = category(values[..., start : start + len(levels)], levels)
                start += len(levels)
        return result


def as_text(level: Label) -> str:
    """A category's level as people write it: 2, not 2.0."""
    return str(int(level)) if isinstance(level, float) and level.is_integer() and abs(level) < 1e16 else str(level)


class Codes:
    """The code of each label, however a file writes it: 3 where the fit had "3" or "03", True where it had "TRUE"."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._exact = {label: k for k, label in enumerate(labels) if not isinstance(label, bool)}
        self._texts = {as_text(label): k for k, label in enumerate(labels)}
        meant = [_meant(label) for label in labels]
        self._meant = {found: k for k, found in enumerate(meant) if found is not None and meant.count(found) == 1}

    def __call__(self, value: Any) -> int | None:
        """None where the fit had no such label."""
        text = as_text(value)
        found = self._texts.get(text) if isinstance(value, bool) else self._exact.get(value, self._texts.get(text))
        meaning = _meant(value)
        return self._meant.get(meaning) if found is None and meaning is not None else found


def _meant(label: Any) -> tuple[str, float] | None:
    """What numbers and truth values have in common, however they are written; None of other texts."""
    text = str(label).strip().casefold()
    if text in ("true", "false"):
        return "flag", float(text == "true")
    value = None if isinstance(label, bool) else number(text)
    return None if value is None else ("number", value)


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def unknown_category(view: str, row: Any, column: str | int, value: Any, known: Any) -> ViewError:
    """The complaint about a category that fit never saw."""
    place = f"view {view!r}, row {row}, column {column!r} is {value!r}, a category that was absent from training"
    if not isinstance(value, str | Real):
        return ViewError(f"{place}; expected one of {list(known)}, as texts or numbers")
    twin = next((level for level in known if alike(str(level)) == alike(str(value))), None)
    if twin is not None:
        return ViewError(f"{place}, but {twin!r} was not: {differing(str(value), str(twin))}: write them alike")
    return ViewError(
        f"{place}; expected one of {list(known)}. Leave the cell or the row out, fit with data that have it, or have it "
        f"imputed (impossible=\"missing\"). If it means that nothing was observed, in a file: --na '{view}:{column}={value}'"
    )


def alike(text: str) -> str:
    """What texts have in common that differ in case, blanks or the form of a letter alone."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def differing(a: str, b: str) -> str:
    """Two texts that are ``alike``, and what they differ in: where it is the form of a letter, by their characters' numbers,
    for such letters may look the same."""
    if " ".join(a.split()).casefold() == " ".join(b.split()).casefold():
        return f"{a!r} and {b!r}, which differ in case or blanks alone"
    form = "Unicode's composed and decomposed forms" if _composed(a) == _composed(b) else "Unicode's compatible forms"
    return f"{a!a} and {b!a}, which differ in the form of a letter ({form})"


def _composed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


def tuples(value: Any) -> Any:
    """Lists as tuples, at every depth; the values of a dict too."""
    if isinstance(value, dict):
        return {key: tuples(part) for key, part in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value
