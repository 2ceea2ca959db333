"""A view's columns as a file has them: believed once every part is of its type, in its range, and agrees with the others."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ..errors import ViewError
from .columns import Columns, Group

_PARTS = {"groups", "names", "labels"}
_PARTS_OF_A_GROUP = {"likelihood", "columns", "levels", "size"}
_LARGEST = 2.0**1023


def columns_of_json(value: Any) -> Columns:
    """From ``Columns.to_json``. Raises ViewError for anything else."""
    if not isinstance(value, Mapping) or set(value) != _PARTS:
        raise ViewError(f"its columns are {_shown(value)}; expected the parts {sorted(_PARTS)}")
    groups = tuple(map(_group, _list(value["groups"], "groups")))
    names = None if value["names"] is None else _different(_list(value["names"], "names of columns"), str | int, "column names")
    found = sorted(j for group in groups for j in group.columns)
    if not found or found != list(range(len(found))):
        raise ViewError(f"its groups have the columns {_shown(found)}; expected each once, from 0")
    if names is not None and len(names) != len(found):
        raise ViewError(f"it has {len(names)} names of {len(found)} columns")
    made = Columns(groups, names, tuple(map(_labels, _list(value["labels"], "labels"))))
    if len(made.texts) != len(made.labels):
        raise ViewError("its labels are of one column twice")
    for j, texts in made.texts.items():
        if made.coded.get(j) != tuple(map(float, range(len(texts)))):
            raise ViewError(f"column {j} has the labels {_shown(texts)}, which are not those of its codes")
    return made


def _group(value: Any) -> Group:
    if not isinstance(value, Mapping) or set(value) != _PARTS_OF_A_GROUP:
        raise ViewError(f"a group of columns is {_shown(value)}; expected the parts {sorted(_PARTS_OF_A_GROUP)}")
    likelihood, size = value["likelihood"], value["size"]
    if not isinstance(likelihood, str):
        raise ViewError(f"a group's likelihood is {_shown(likelihood)}; expected a name")
    columns = _different(_list(value["columns"], "columns"), int, "columns")
    if not columns or any(isinstance(j, bool) for j in columns):
        raise ViewError(f"a group has the columns {_shown(columns)}; expected positions")
    levels = tuple(map(_levels, _list(value["levels"], "levels")))
    if levels and (likelihood != "categorical" or len(levels) != len(columns) or len({*map(len, levels)}) != 1):
        raise ViewError(f"a group of {len(columns)} columns has the levels {_shown(levels)}; expected as many of each")
    one_hot = likelihood == "categorical" and not levels
    if type(size) is not int or size < 0 or bool(size) != one_hot or (one_hot and (size < 2 or len(columns) % size)):
        raise ViewError(f"a group of {len(columns)} columns has the size {_shown(size)}; expected a part of them")
    return Group(likelihood, columns, levels, size)


def _levels(value: Any) -> tuple[float, ...]:
    levels = _list(value, "levels")
    if len(levels) < 2 or not all(type(x) in (int, float) and abs(x) < _LARGEST for x in levels):
        raise ViewError(f"a category has the levels {_shown(value)}; expected at least two finite numbers")
    if any(a >= b for a, b in pairwise(levels)):
        raise ViewError(f"a category has the levels {_shown(value)}; expected each once, in their order")
    return tuple(map(float, levels))


def _labels(value: Any) -> tuple[int, tuple[Any, ...]]:
    pair = _list(value, "labels")
    if len(pair) != 2 or type(pair[0]) is not int:
        raise ViewError(f"its labels are {_shown(value)}; expected a column and its texts")
    return pair[0], _different(_list(pair[1], "labels"), str | int | float, "labels")


def _different(values: list[Any], kind: Any, title: str) -> tuple[Any, ...]:
    """As a tuple, once all are of this kind and no two are the same."""
    if not all(isinstance(value, kind) and value == value for value in values) or len(set(values)) != len(values):
        raise ViewError(f"its {title} are {_shown(values)}; expected different ones, of {kind}")
    return tuple(values)


def _list(value: Any, title: str) -> list[Any]:
    if not isinstance(value, list):
        raise ViewError(f"its {title} are {_shown(value)}; expected a list")
    return value


def _shown(value: Any) -> str:
    """A file may have any number of anything there."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
