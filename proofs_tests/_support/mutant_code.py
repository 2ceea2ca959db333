"""A mutant put in the place of the live function."""

from __future__ import annotations

import gc
import importlib
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from mutations import Mutant

from jpvae_core._checks import _NAMES
from jpvae_core.skew import _KEPT


def forget_entries() -> None:
    """Empty what the core keeps between calls: every test that needs an entry shall meet the lines that make it."""
    for kept in (_KEPT, _NAMES):
        kept.clear()


def code_objects(code: CodeType) -> Iterator[CodeType]:
    """A code object and all inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


def install(mutant: Mutant, module: str) -> None:
    """Give the live function its mutated code: whoever has imported the function has the mutant. So have those functions that
    it has made before: of a decorator these alone are run."""
    live: Any = importlib.import_module(module)
    path = live.__file__
    for name in mutant.function.split("."):
        live = vars(live)[name]
    live = getattr(live, "fget", None) or getattr(live, "__func__", live)  # properties and static methods
    live = inspect.unwrap(live)
    assert isinstance(live, FunctionType)
    forget_entries()
    codes = code_objects(compile(mutant.source, path, "exec", dont_inherit=True))
    old, new = live.__code__, next(code for code in codes if code.co_qualname == mutant.function)
    # (Without its ``super()`` a method has no cell; the function keeps the one that it has.)
    live.__code__ = new if new.co_freevars else new.replace(co_freevars=old.co_freevars)
    within = {id(a): b for a, b in zip(code_objects(old), code_objects(new), strict=False) if a.co_name == b.co_name}
    if len(within) > 1:
        gc.unfreeze()  # what is frozen is not listed
        for made in [one for one in gc.get_objects() if type(one) is FunctionType and id(one.__code__) in within]:
            made.__code__ = within[id(made.__code__)]
