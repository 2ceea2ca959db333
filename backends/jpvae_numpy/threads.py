"""A few threads for independent pieces of one step: NumPy lets go of the interpreter in products and elementwise loops. And
how many the products themselves have, which threadpoolctl reads and sets; without it they are left alone."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")
Result = TypeVar("Result")


def quiet() -> np.errstate:
    """No warnings of overflow: where it matters the loss is not finite, and the training stops with an error."""
    return np.errstate(over="ignore", divide="ignore", invalid="ignore")


@functools.cache
def _controller() -> Any:
    """threadpoolctl's view of the libraries that are loaded, NumPy's products among them."""
    try:
        from threadpoolctl import ThreadpoolController
    except ModuleNotFoundError:
        return None
    return ThreadpoolController().select(user_api="blas")


def products_threads() -> int:
    """How many threads a product may use at the moment, as the environment, joblib or the caller left it."""
    controller = _controller()
    return max((library["num_threads"] for library in controller.info()), default=1) if controller else 1


def products_limited(count: int) -> AbstractContextManager[Any]:
    """A context in which products use so many threads."""
    controller = _controller()
    return controller.limit(limits=count) if controller else nullcontext()


class Threads:
    """``each`` maps a function over items, side by side where ``count`` > 1. Which thread does what changes no result."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def each(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """[function(item) for item in items]; the calling thread takes the first, and waits for all."""
        if self.count == 1 or len(items) == 1:
            return [function(item) for item in items]
        if self._pool is None or self._process != os.getpid():  # a forked process inherits a pool without its threads
            self._pool, self._process = ThreadPoolExecutor(self.count - 1), os.getpid()

        def task(item: Item) -> Result:
            with quiet():  # each thread has its own settings
                return function(item)

        others = [self._pool.submit(task, item) for item in items[1:]]
        return [function(items[0]), *(other.result() for other in others)]
