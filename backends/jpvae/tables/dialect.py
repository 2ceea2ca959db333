"""How one view's file is read: one record per view, made from the options of `jpvae fit`, stored with the model, used for every
later file. Options of a later command replace the stored ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..errors import CheckpointError, ConfigError
from ..views.numerals import is_part_of_a_number, number

Pairs = tuple[tuple[str | None, str], ...]  # (column, None for all; text)


@dataclass(frozen=True)
class Dialect:
    """id: the id's column.  missing: codes of cells that hold nothing.  units: texts at numbers that are cut off.  decimal,
    thousands: signs in numbers.  header: the line with the names, from 1.  transpose: features as rows.  drop: columns that are
    left out.  layer: of an AnnData."""

    id: str | None = None
    missing: Pairs = ()
    units: Pairs = ()
    encoding: str | None = None
    sep: str | None = None
    decimal: Pairs = ()
    thousands: Pairs = ()
    sheet: str | None = None
    layer: str | None = None
    header: int = 1
    transpose: bool = False
    drop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError as error:
                raise ConfigError(f"--encoding is {self.encoding!r}; expected one such as utf-8, utf-16 or cp1252") from error
        said = (("--decimal", self.decimal), ("--thousands", self.thousands))
        said_signs = [(option, text) for option, pairs in said for _, text in pairs]
        for option, text in (("--sep", self.sep), *said_signs):
            if text is not None and len(text) != 1:
                raise ConfigError(f"{option} is {text!r}; expected one character, such as ';'")
        for option, text in said_signs:
            if text.isalnum() or text in "+-\u2212" or (option == "--decimal" and text.isspace()):
                raise ConfigError(f"{option} is {text!r}; expected a sign that is no part of a number, such as ','")
        if self.sep is not None and (self.sep.isalnum() or self.sep in '\r\n"'):
            raise ConfigError(f"--sep is {self.sep!r}; expected a sign that stands in no cell, such as ';' or tab")
        for _, unit in self.units:
            if is_part_of_a_number(unit):
                raise ConfigError(
                    f"--unit is {unit!r}, a part of numbers, which would be cut off; expected a text such as mg. "
                    "Fortran's 5D+02 is to be written as 5E+02"
                )
        for column, _ in (*self.decimal, *self.thousands):
            decimal, thousands = self.signs(column)
            if decimal == thousands:
                raise ConfigError(f"--decimal and --thousands are both {decimal!r}; expected two different characters")
        if self.id is not None and self.id in self.drop:
            raise ConfigError(f"--drop names the column {self.id!r}, which has the ids; expected another, or another --id")
        if self.header < 1:
            raise ConfigError(f"--header is {self.header}; expected the number of a line, from 1")

    def of(self, pairs: Pairs, column: str | None) -> tuple[str, ...]:
        """The texts of ``missing`` or ``units`` that a column has."""
        return tuple(text for name, text in pairs if name in (None, column))

    def signs(self, column: str | None) -> tuple[str, str]:
        """A column's decimal sign and its sign between thousands: its own, else the view's."""
        found = ([*self.of(pairs, None), *self.of(pairs, column)] for pairs in (self.decimal, self.thousands))
        decimal, thousands = (texts[-1] if texts else plain for texts, plain in zip(found, (".", ""), strict=True))
        return decimal, thousands

    @property
    def columns(self) -> set[str]:
        """Those that are named."""
        named = {column for pairs in (self.missing, self.units, self.decimal, self.thousands) for column, _ in pairs}
        return {column for column in (*named, *self.drop) if column is not None}

    def to_json(self) -> dict[str, Any]:
        """The fields that differ from the defaults, as plain JSON."""
        plain = asdict(self)
        return {field.name: plain[field.name] for field in fields(self) if plain[field.name] != field.default}

    @classmethod
    def from_json(cls, given: Any, path: str) -> Dialect:
        """From ``to_json``. Raises CheckpointError where a file has something else."""
        try:
            plain: dict[str, Any] = {name: _CHECKED[name](value) for name, value in given.items()}
            return cls(**plain)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path!r} has a damaged header (how its tables are read: {error})") from error


def stored(metadata: Any, names: Sequence[str], path: str, id_column: str | None = None) -> dict[str, Dialect]:
    """Each view's record in a model's metadata, plain ones where it has none; where a record names no id column it is the
    fit's. Raises CheckpointError."""
    kept = metadata.get("tables", {}) if isinstance(metadata, Mapping) else {}
    if not isinstance(kept, Mapping):
        raise CheckpointError(f"{path!r} has a damaged header (how its tables are read)")
    found = {name: Dialect.from_json(kept.get(name, {}), path) for name in names}
    return {name: one if one.id else replace(one, id=id_column) for name, one in found.items()}


def dialects(words: Mapping[str, Sequence[str]], given: Mapping[str, Dialect]) -> dict[str, Dialect]:
    """``given`` by view with what the words of each option set: VALUE for all views, VIEW=VALUE, or VIEW:COLUMN=VALUE.

    Raises ConfigError.
    """
    made = dict(given)
    for option, said in words.items():
        for word in said:
            views, column, value = _place(option, word, list(given))
            for view in views:
                new = _read(option, word, column, value, made[view])
                made[view] = replace(made[view], **new)
    return made


def _place(option: str, word: str, views: list[str]) -> tuple[list[str], str | None, str]:
    """(views, column, value) of a word. Names of columns may have the sign =: beside one the value follows the last of them
    (\\= within the value), beside a view alone the first."""
    if option in ("drop", "transpose"):
        view, _, column = word.partition(":")
        if view not in views or (option == "drop") != bool(column):
            expected = "VIEW:COLUMN" if option == "drop" else "VIEW"
            raise ConfigError(f"--{option} is {word!r}; expected {expected}, where VIEW is one of {views}")
        return [view], column or None, ""
    place, equals, value = word.partition("=")
    view, colon, column = place.partition(":")
    parts: list[str] = []
    if equals and colon and view in views:
        *parts, value = re.split(r"(?<!\\)=", word.removeprefix(f"{view}:"))
    if not word or (equals and not value and word != "="):
        raise ConfigError(f"--{option} is {word!r}; expected a value behind the equals sign")
    if equals and colon and view in views:
        return [view], "=".join(parts), value.replace("\\=", "=")
    if equals and view in views:
        return [view], None, value
    if option == "sentinel":
        raise ConfigError(f"--sentinel is {word!r}; expected VIEW=CODE or VIEW:COLUMN=CODE, where VIEW is one of {views}")
    if equals and re.fullmatch(r"[\w-]+", view):
        raise ConfigError(
            f"--{option} is {word!r}, and there is no view {view!r}; expected a value for all views, or for one of {views}. "
            f"A value with an equals sign of its own: --{option} '{views[0]}={word}'"
        )
    return views, None, word


def _read(option: str, word: str, column: str | None, value: str, now: Dialect) -> dict[str, Any]:
    if option == "sentinel" and number(value) is None:
        raise ConfigError(f"--sentinel is {word!r}; expected a number for its code, or --na for a text")
    if option in ("na", "sentinel"):
        return {"missing": (*now.missing, (column, value))}
    if option == "unit":
        return {"units": (*now.units, (column, value))}
    if option in ("decimal", "thousands"):
        return {option: (*getattr(now, option), (column, _SIGNS.get(value, value)))}
    if option == "drop":
        return {"drop": tuple(dict.fromkeys((*now.drop, column)))}
    if option == "transpose":
        return {"transpose": True}
    if column is not None:
        raise ConfigError(f"--{option} is {word!r}; expected a value for all views, or VIEW=VALUE")
    if option == "header":
        if not value.isdecimal() or len(value) > 6:
            raise ConfigError(f"--header is {word!r}; expected the number of the line that has the names, from 1")
        return {"header": int(value)}
    return {option: _SIGNS.get(value, value)}


_SIGNS = {"tab": "\t", "\\t": "\t", "space": " "}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no integer")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _pairs(value: Any) -> Pairs:
    return tuple((None if column is None else _text(column), _text(text)) for column, text in value)


_CHECKED: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("id", "encoding", "sep", "sheet", "layer"), _text),
    **dict.fromkeys(("missing", "units", "decimal", "thousands"), _pairs),
    "header": _count,
    "transpose": _flag,
    "drop": lambda value: tuple(map(_text, value)),
}
