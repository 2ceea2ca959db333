"""View names that are file names too: results are written to files that have them, and a name may be in anyone's file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # Windows has them in every folder
_LONGEST = 150  # bytes: an ending and a temporary name still fit into the 255 that file systems allow


def unfit(name: str) -> str | None:
    """Why a view cannot have this name, None where it can."""
    if not name or name != name.strip():
        return "is empty, or begins or ends with a space"
    if any(sign in name for sign in "/\\:") or name in (".", "..") or name.endswith("."):
        return "would be a path: it has one of / \\ : or is or ends with a dot"
    if not name.isprintable():
        return "has a control character, or another that cannot be printed"
    if _DEVICES.fullmatch(name):
        return "is reserved by Windows"
    try:
        long = len(name.encode()) > _LONGEST
    except UnicodeEncodeError:
        return "cannot be written as UTF-8"
    return f"is longer than {_LONGEST} bytes" if long else None


def unwritable(values: Iterable[Any]) -> str | None:
    """The first of the texts among them that no file can hold, for half a character in it (U+D800 to U+DFFF); None without."""
    texts = [value for value in values if isinstance(value, str)]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return next(text for text in texts if any("\ud800" <= sign <= "\udfff" for sign in text))
    return None
