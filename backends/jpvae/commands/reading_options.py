"""The options that name how tables are read, the same for every command that reads them; and a file of a command's options.

Each is VALUE for all views, VIEW=VALUE, or where that makes sense VIEW:COLUMN=VALUE, and repeatable.
"""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from ..atomic import write_atomically
from ..errors import ConfigError

OPTIONS = {  # name: metavar, help
    "id": ("COLUMN", "The column that identifies the subject, also VIEW=COLUMN. Not for arrays."),
    "na": ("CODE", "A text that marks a missing value, also VIEW=CODE or VIEW:COLUMN=CODE."),
    "sentinel": ("VIEW:COLUMN=CODE", "A number that marks a missing value, such as vitals:bp=-999."),
    "unit": ("TEXT", "A unit written after numbers, such as % or mg, also VIEW:COLUMN=TEXT."),
    "decimal": ("SIGN", "The decimal sign, by default a point."),
    "thousands": ("SIGN", "The thousands separator; by default numbers have none."),
    "sep": ("SIGN", "The column separator, by default a comma in a .csv and a tab in a .tsv."),
    "encoding": ("NAME", "The encoding of a .csv or .tsv, such as cp1252; by default UTF-8, or what its first bytes indicate."),
    "sheet": ("NAME", "The sheet of an .xlsx, also VIEW=NAME."),
    "layer": ("NAME", "The layer of an .h5ad or .h5mu that holds the numbers, also VIEW=NAME; by default X."),
    "header": ("LINE", "The line with the names, from 1, also VIEW=LINE."),
    "transpose": ("VIEW", "A view whose rows are features and whose columns are subjects."),
    "drop": ("VIEW:COLUMN", "A column to leave out."),
}


def reads_tables(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options above in place of its argument ``words``, which has what was given of them."""

    @wraps(command)
    def with_options(**given: Any) -> None:
        words = {name: given.pop(f"read_{name}") or [] for name in OPTIONS}
        command(words={name: said for name, said in words.items() if said}, **given)

    added = [
        inspect.Parameter(
            f"read_{name}",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                list[str] | None, typer.Option(f"--{name}", metavar=metavar, help=help, rich_help_panel="Reading tables")
            ],
        )
        for name, (metavar, help) in OPTIONS.items()
    ]
    own = inspect.signature(command, eval_str=True)
    kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own.parameters.values() if p.name != "words"]
    with_options.__signature__ = own.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in (*kept, *added)}
    return with_options


def from_file(context: typer.Context, path: Path | None) -> Path | None:
    """Take the options of a TOML file as this command's defaults: what is given beside it replaces them."""
    if path is None:
        return None
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"--config is {str(path)!r}, which is not TOML ({error})") from error
    except OSError as error:
        raise ConfigError(f"--config is {str(path)!r}, which cannot be read ({error.strerror})") from error
    known = {_title(parameter): str(parameter.name) for parameter in context.command.params if parameter.name != "config"}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(f"--config {str(path)!r} has the options {unknown}; expected some of {sorted(known)}")
    kinds = inspect.signature(context.command.callback or from_file).parameters
    for name, value in given.items():
        kind, expected = _expected(kinds[known[name]].annotation)
        if not _is(value, kind):
            raise ConfigError(f"--config {str(path)!r} has {name} = {_toml(value)}; expected {expected}")
    plain = {known[name]: value for name, value in given.items()}
    context.default_map = {**(context.default_map or {}), **plain}
    return path


_EXPECTED = {
    list: 'a list of texts, such as ["a", "b"]',
    bool: "true or false",
    int: "an integer, such as 10",
    float: "a number, such as 0.5",
    str: 'a text in quotation marks, such as "10"',
}


def _expected(annotation: Any) -> tuple[type, str]:
    """Which of Python's types TOML has for an option's values, and what it is called: text stands for paths and choices too."""
    kind = get_args(annotation)[0]
    kinds = [one for one in get_args(kind) or (kind,) if one is not type(None)]
    found = list if get_origin(kinds[0]) is list or kind == list[str] else kinds[0]
    found = found if found in _EXPECTED else str
    return found, _EXPECTED[found]


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of this type: true is no number, and no number is a text; an integer may stand for a float."""
    if kind is list:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    if kind is float and type(value) is int:
        return abs(value) < 2.0**1023
    return type(value) is kind


def to_file(context: typer.Context, path: Path) -> None:
    """Write the options that were given, for ``from_file``."""
    lines = ["# jpvae fit --config " + json.dumps(path.name, ensure_ascii=False)]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name not in ("config", "write_config") and value not in (None, [], ()) and value != parameter.default:
            lines.append(f"{_title(parameter)} = {_toml(value)}")
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def _title(parameter: Any) -> str:
    return next(str(name) for name in parameter.opts if name.startswith("--")).removeprefix("--")


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool | int | float):
        return str(value).lower() if not isinstance(value, int) or abs(value) < 2.0**1023 else "an integer of many digits"
    text = json.dumps(str(getattr(value, "value", value)), ensure_ascii=False)
    return text.replace("\x7f", "\\u007F")  # JSON's strings are TOML's, but for this sign
