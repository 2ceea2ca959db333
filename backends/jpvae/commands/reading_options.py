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
from typing import Annotated, Any

import typer

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
    known = {_title(parameter): parameter.name for parameter in context.command.params if parameter.name != "config"}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigError(f"--config {str(path)!r} has the options {unknown}; expected some of {sorted(known)}")
    repeated = {_title(parameter) for parameter in context.command.params if getattr(parameter, "multiple", False)}
    for name, value in given.items():
        if isinstance(value, list) != (name in repeated) or isinstance(value, dict):
            expected = "a list" if name in repeated else "one value"
            raise ConfigError(f"--config {str(path)!r} has {name} = {value!r}; expected {expected}")
    plain = {known[n]: [*map(str, v)] if isinstance(v, list) else v for n, v in given.items()}
    context.default_map = {**(context.default_map or {}), **plain}
    return path


def to_file(context: typer.Context, path: Path) -> None:
    """Write the options that were given, for ``from_file``."""
    lines = ["# jpvae fit --config " + json.dumps(path.name, ensure_ascii=False)]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name not in ("config", "write_config") and value not in (None, [], ()) and value != parameter.default:
            lines.append(f"{_title(parameter)} = {_toml(value)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _title(parameter: Any) -> str:
    return next(str(name) for name in parameter.opts if name.startswith("--")).removeprefix("--")


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    text = json.dumps(str(getattr(value, "value", value)), ensure_ascii=False)
    return text.replace("\x7f", "\\u007F")  # JSON's strings are TOML's, but for this sign
