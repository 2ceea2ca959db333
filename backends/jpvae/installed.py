"""What installed packages declare: which of their entry points can be there, found out without importing any."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Any

from .errors import ConfigError


def is_there(point: EntryPoint) -> bool:
    """Whether the package of its module can be found. (What that module lacks shows when it is imported.)"""
    package = point.module.partition(".")[0]
    try:
        return package in sys.modules or find_spec(package) is not None
    except ValueError:  # a module without a spec
        return False


def loaded(point: EntryPoint, kind: str) -> Any:
    """What the entry point declares, a "likelihood" or "backend". Raises ConfigError where it cannot be imported."""
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{kind} {point.name!r} is declared by package {package_of(point)} as {point.value!r}, which cannot be imported "
            f"({error}). Reinstall or upgrade that package"
        ) from error


def package_of(point: EntryPoint) -> str:
    """The name of the package that declares it."""
    return point.dist.name if point.dist is not None else "unknown"
