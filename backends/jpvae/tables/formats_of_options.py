"""Which options of reading are of some formats alone: refused where no file has one, for they would change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ConfigError
from .sources import ANNOTATED, TABLES, TEXTS, Source

_PLAIN = tuple(format for format in TABLES if format not in ANNOTATED)
_OF = {
    **{"sheet": (".xlsx",), "layer": ANNOTATED, "sep": TEXTS, "encoding": TEXTS, "header": (*TEXTS, ".xlsx")},
    **dict.fromkeys(("unit", "decimal", "thousands"), _PLAIN),
    **dict.fromkeys(("na", "sentinel", "drop", "transpose"), TABLES),
}


def check(words: Mapping[str, Sequence[str]], given: Sequence[Source]) -> None:
    """words: of each option, as they were given. Raises ConfigError."""
    for option, formats in _OF.items():
        for word in words.get(option, ()):
            place, equals, _ = word.partition("=")
            of_all = not equals and option not in ("drop", "transpose")
            meant = [source for source in given if of_all or source.view == place.partition(":")[0]]
            if meant and not any(source.format in formats for source in meant):
                raise ConfigError(
                    f"--{option} is {word!r}, an option of {' and '.join(formats)}, given for {', '.join(map(str, meant))}; "
                    "expected it for such a file, or not at all"
                )
