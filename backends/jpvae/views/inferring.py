"""From a view's given likelihood and its table to its Columns. "infer" looks at each column:

    texts, pandas categories     categorical
    bool                         bernoulli
    numbers                      bernoulli, negative_binomial or gaussian, decided for the view as a whole (kinds.py)

Whole numbers beside other columns (age, a score, a dose) are measurements. Single counts (visits, lesions) look no different:
give them {"visits": "negative_binomial_unscaled"}, without size factors, which a single column can't have.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, JPVAEWarning, ViewError
from ..model.likelihoods import Likelihood, UnknownLikelihood
from ..model.likelihoods.registry import name_of, names, title
from .columns import Columns, Group, as_text
from .dataframes import Table
from .kinds import Column, Summary, are_counts, flags, summaries
from .memory_map import is_mapped, let_go
from .pieces import pieces
from .texts import complaint, doubt

INFER = "infer"
GLANCE = 2048  # rows
_COUNTS = ("poisson", "negative_binomial")
_MOST_LEVELS = 100
_SURELY_READS = 50  # columns: clinical counts, of which a table has fewer, look no different
_DAYS = (19000101, 21001231)


def per_view(likelihood: Any, views: Sequence[str]) -> list[Any]:
    """What ``likelihood`` is for each view: a name or object for all, one per view, or a dict by view. Raises ConfigError."""
    if isinstance(likelihood, str | Likelihood):
        return [likelihood] * len(views)
    if isinstance(likelihood, Mapping):
        unknown, absent = sorted(set(likelihood) - set(views), key=str), [v for v in views if v not in likelihood]
        if unknown or absent:
            raise ConfigError(
                f"likelihood names the views {list(likelihood)}; expected one entry for each of {list(views)} "
                f'("{INFER}" leaves a view to us)'
            )
        return [likelihood[view] for view in views]
    if len(likelihood) != len(views):
        raise ConfigError(f"likelihood names {len(likelihood)} views; expected one name, or one per view ({len(views)} views)")
    return list(likelihood)


def leaves_to_us(said: Any) -> bool:
    """Whether anything is to be inferred: a view by name, or the columns that a dict may leave out."""
    if isinstance(said, str | Likelihood):
        return said == INFER
    parts = list(said.values()) if isinstance(said, Mapping) else list(said)
    return any(isinstance(part, Mapping) or leaves_to_us(part) for part in parts)


def columns_of(said: Any, table: Table, observed: np.ndarray, summary: Summary | None = None) -> Columns:
    """The columns of a view whose likelihood was given as ``said`` (a name, object or dict by column). observed: (N,) bool.
    summary: of a table of numbers whose columns are all to be inferred, where it is known; else the table is read.

    A key of the dict may be a tuple of columns that are one-hot together. Columns left out are inferred. Raises ConfigError for
    an unknown name or column, ViewError for a table that cannot have these likelihoods.
    """
    chosen: dict[tuple[int, ...], str] = {}
    said = said if isinstance(said, Mapping) else _checked(said)
    if isinstance(said, Mapping):
        positions = {name: j for j, name in enumerate(range(table.count) if table.names is None else table.names)}
        for key, name in said.items():
            at = tuple(_position(table, positions, part) for part in (key if isinstance(key, tuple) else (key,)))
            if len(at) > 1 and name != "categorical":
                raise ConfigError(f"likelihood gives {list(key)} of view {table.view!r} as one group; expected 'categorical'")
            chosen[at] = _checked(name)
        if len({j for at in chosen for j in at}) < sum(map(len, chosen)):
            raise ConfigError(f"likelihood names a column of view {table.view!r} twice")
    elif said == "categorical" and not any(map(table.is_text, range(table.count))) and _is_one_hot(table, observed):
        return Columns.of_one_family("categorical", table.count, table.names)
    elif said != INFER and said != "categorical":
        return Columns.of_one_family(said, table.count, table.names)
    else:
        chosen = {(j,): said for j in range(table.count)}
    left = set(range(table.count)).difference(j for at in chosen for j in at)
    chosen |= {(j,): INFER for j in sorted(left)}
    guessed = [at[0] for at, name in chosen.items() if name == INFER]
    chosen |= {(j,): name for j, name in _inferred(table, guessed, observed, summary).items()}
    return _grouped(table, chosen, observed)


def can_be_glanced_at(said: Any, table: Table) -> bool:
    """Whether to infer the columns from the first rows, and to make sure of it when the others are read for something else: of
    many rows of numbers in a memory-mapped file, all of whose columns are to be inferred."""
    mapped = table.values is not None and table.values.dtype.kind in "iuf" and is_mapped(table.values)
    return mapped and isinstance(said, str) and said == INFER and len(table) > GLANCE


def families(names: Sequence[str], columns: Sequence[Columns]) -> dict[str, list[tuple[str, str]]]:
    """Each view's families with the columns that have them, as they were said or inferred."""
    return {name: describe(each) for name, each in zip(names, columns, strict=True)}


def describe(columns: Columns) -> list[tuple[str, str]]:
    """(family, its columns) of a view, for people."""
    lines = []
    for group in columns.groups:
        titles = [f"{columns.title(j)}" for j in group.columns]
        if group.levels:
            shown = [columns.texts.get(j, levels) for j, levels in zip(group.columns, group.levels, strict=True)]
            titles = [f"{t} ({', '.join(map(as_text, s))})" for t, s in zip(titles, shown, strict=True)]
        lines.append(
            (title(group.likelihood), ", ".join(titles[:8]) + (f", ... ({len(titles)} columns)" if len(titles) > 8 else ""))
        )
    return lines


def _checked(name: Any) -> str:
    try:
        return INFER if isinstance(name, str) and name == INFER else name_of(name)
    except UnknownLikelihood as error:
        if isinstance(name, str) and ":" in name:
            raise
        expected = f"one of {names()} (one for all views, or one per view), {INFER!r}, or a Likelihood object"
        raise ConfigError(f"likelihood is {name!r}; expected {expected}") from error


def _position(table: Table, positions: Mapping[Any, int], column: Any) -> int:
    if column not in positions:
        raise ConfigError(f"likelihood names the column {column!r} of view {table.view!r}; expected one of {list(positions)}")
    return positions[column]


def _inferred(table: Table, columns: Sequence[int], observed: np.ndarray, summary: Summary | None) -> dict[int, str]:
    plain = set(table.plain)
    found = {j: "categorical" for j in columns if j not in plain and table.is_text(j)}
    _check_texts(table, found, observed)
    found |= {j: "bernoulli" for j in columns if j not in found and table.is_flag(j)}
    numbers = dict(_summaries(table, [j for j in columns if j not in found], observed, summary))
    if len(numbers) == table.count and are_counts(list(numbers.values()), known=table.counts):
        if table.count < _SURELY_READS and not table.counts:
            warnings.warn(
                f"view {table.view!r}: its {table.count} columns are taken for counts, such as sequencing reads, of which each "
                f"row has its own total. If they are measurements: likelihood={{{table.view!r}: 'gaussian'}}, or --likelihood "
                f"{table.view}=gaussian; if they are counts: 'negative_binomial' in its place",
                JPVAEWarning,
                stacklevel=4,
            )
        return dict.fromkeys(columns, "negative_binomial")
    _warn_of_dates(table, numbers, observed)
    zero_or_one = flags(numbers)
    return found | {j: "bernoulli" if j in zero_or_one else "gaussian" for j in numbers}


def _summaries(
    table: Table, columns: Sequence[int], observed: np.ndarray, found: Summary | None
) -> Iterator[tuple[int, Column]]:
    """What is looked at of each column's observed numbers."""
    plain = sorted(set(columns).intersection(table.plain))
    for rows in pieces(len(table), len(plain)) if plain and found is None else ():
        part = Summary.of(table.block(plain, rows)[observed[rows]])
        found = part if found is None else found.and_of(part)
        let_go(table.values)
    if found is not None:
        yield from zip(plain, found.columns(), strict=True)
    for j in sorted(set(columns).difference(plain)):
        yield j, summaries(table.number(j)[observed][:, None])[0]


def _check_texts(table: Table, columns: Iterable[int], observed: np.ndarray) -> None:
    """Raise ViewError for the first column of texts that are no categories, and warn once of those that may be none."""
    unsure = {}
    for j in columns:
        if hasattr(table.column(j).dtype, "categories"):
            continue
        title, levels = table.title(j), table.labels(j, observed)
        if wrong := complaint(levels, f"{table.view}:{title}"):
            raise ViewError(
                f"view {table.view!r}, column {title!r} {wrong}. If its texts are categories as they stand: "
                f'likelihood={{{table.view!r}: {{{title!r}: "categorical"}}}}, or --likelihood {table.view}:{title}=categorical'
            )
        if len(levels) <= min(_MOST_LEVELS, observed.sum() - 1) and (reason := doubt(levels)):  # others are refused below
            unsure[title] = reason
    if unsure:
        some = "; ".join(f"{title!r}: {reason}" for title, reason in list(unsure.items())[:5])
        said = ", ".join(f'{title!r}: "categorical"' for title in list(unsure)[:5])
        options = " ".join(f"--likelihood '{table.view}:{title}=categorical'" for title in list(unsure)[:5])
        warnings.warn(
            f"view {table.view!r}: {len(unsure)} of its columns are taken for categories that may be numbers ({some}"
            f"{'; ...' if len(unsure) > 5 else ''}). If they are numbers, write them as such; if they are categories: "
            f"likelihood={{{table.view!r}: {{{said}}}}}, or {options}",
            JPVAEWarning,
            stacklevel=5,
        )


def _warn_of_dates(table: Table, numbers: Mapping[int, Column], observed: np.ndarray) -> None:
    """Whole numbers of eight digits that are days of a calendar are no measurements."""
    found, first = [], 0.0
    for j in (j for j, c in numbers.items() if c.whole and _DAYS[0] <= c.low < c.high <= _DAYS[1]):
        values = table.number(j)[observed]
        month, day = np.divmod(values[~np.isnan(values)] % 10_000, 100)
        if ((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all():
            found.append(table.title(j))
            first = numbers[j].low
    if found:
        options = " ".join(f"--drop '{table.view}:{title}'" for title in found[:5])
        warnings.warn(
            f"view {table.view!r}: the numbers of columns {found[:5]} look like dates, such as {first:.0f}: make them days "
            f"since a day, or leave them out: {options}",
            JPVAEWarning,
            stacklevel=5,
        )


def _levels(table: Table, j: int, observed: np.ndarray) -> tuple[float, ...]:
    """The numbers of a column that were observed, each once, sorted."""
    found = np.empty(0)
    for rows, values in _in_pieces(table, [j]):
        found = np.union1d(found, values[observed[rows] & ~np.isnan(values[:, 0]), 0])
    return tuple(found.tolist())


def _is_one_hot(table: Table, observed: np.ndarray) -> bool:
    whole = table.count > 1
    for rows, values in _in_pieces(table, range(table.count)) if whole else ():
        there = values[observed[rows]]
        there = there[~np.isnan(there).any(axis=1)]
        whole = whole and bool(np.isin(there, (0, 1)).all() and (there.sum(axis=1) == 1).all())
    return whole


def _in_pieces(table: Table, columns: Sequence[int]) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of some columns, as float64 (R, k)."""
    if set(columns) <= set(table.plain):
        for rows in pieces(len(table), table.count):
            yield rows, table.block(columns, rows)
            let_go(table.values)
    else:
        yield slice(None), np.stack([table.number(j) for j in columns], axis=1)


def _grouped(table: Table, names: Mapping[tuple[int, ...], str], observed: np.ndarray) -> Columns:
    """One group per family and number of levels, in the order in which the table's columns first need them."""
    groups: dict[tuple[str, int, bool], list[tuple[tuple[int, ...], tuple[float, ...]]]] = {}
    labels = []
    for at, name in sorted(names.items()):
        levels: tuple[float, ...] = ()
        if name == "categorical" and len(at) == 1:
            if table.is_text(at[0]):
                texts = table.labels(at[0], observed)
                levels = tuple(map(float, range(len(texts))))
                labels.append((at[0], texts))
            else:
                levels = _levels(table, at[0], observed)
            _check_levels(table, at[0], len(levels), int(observed.sum()))
        groups.setdefault((name, len(levels) or len(at), bool(levels)), []).append((at, levels))
    made = []
    for (name, K, coded), members in groups.items():
        columns = tuple(j for at, _ in members for j in at)
        if name in _COUNTS and len(columns) == 1:
            raise ConfigError(
                f"likelihood of column {table.title(columns[0])!r} of view {table.view!r} is {name!r}, whose size factor "
                f"would be the count itself; expected '{name}_unscaled' for a single column of counts"
            )
        size = K if name == "categorical" and not coded else 0
        made.append(Group(name, columns, tuple(levels for _, levels in members) if coded else (), size))
    return Columns(tuple(made), table.names, tuple(labels))


def _check_levels(table: Table, j: int, found: int, rows: int) -> None:
    place, drop = f"view {table.view!r}, column {table.title(j)!r}", f"--drop '{table.view}:{table.title(j)}'"
    if found < 2:
        raise ViewError(f"{place} has {found} categories; expected at least 2. Leave the column out, in a file: {drop}")
    if found > _MOST_LEVELS or (found == rows and rows > 2):
        raise ViewError(
            f"{place} has {found} categories in {rows} rows; expected at most {_MOST_LEVELS}, and fewer than rows. Leave an "
            f"identifier out (in a file: {drop}), use it as the index, or join rare categories"
        )
