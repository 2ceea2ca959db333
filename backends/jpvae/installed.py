"""What installed packages declare: which of their entry points can be there, found out without importing any."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from importlib.util import find_spec


def is_there(point: EntryPoint) -> bool:
    """Whether the package of its module can be found. (What that module lacks shows when it is imported.)"""
    package = point.module.partition(".")[0]
    try:
        return package in sys.modules or find_spec(package) is not None
    except ValueError:  # a module without a spec
        return False
