"""A fitted model's methods compute on as many threads as its engine finds their blocks of rows to be worth."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..engines import limited
from ..views.reading import BLOCK

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self", bound=Any)
_DRAWS = 64  # of a block, that are decoded at once


def with_its_threads(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """The method of an estimator, which raises NotFitted before its fit."""

    @wraps(method)
    def computing(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with limited(self.predictor().engine, BLOCK * _DRAWS):
            return method(self, *args, **kwargs)

    return computing
