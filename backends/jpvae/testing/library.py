"""Does the core work on an array library? Every public function (functions.py) on it, against dense float64 NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat
import numpy as np

import jpvae_core as jc
from jpvae_core._array_api import Array

from . import elementary, extremes
from .extremes import EXTREMES
from .functions import (
    PRIORS,
    Answers,
    matrices,
    matrix_answers,
    matrix_functions,
    prior_answers,
    prior_functions,
    prior_inputs,
)
from .report import Report


def check_library(
    asarray: Callable[..., Array],
    *,
    numpy: Callable[[Array], np.ndarray] = np.asarray,
    jit: Callable[..., Any] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    priors: Sequence[str] = (*PRIORS, *EXTREMES),
) -> Report:
    """Run every public function of jpvae_core on one array library and compare it with dense float64 NumPy.

    Before that, what the error analysis assumes of exp, expm1, log, log1p, logaddexp, tanh, sqrt and solve (elementary.py),
    and among the priors those at the edge of the promise, by exact arithmetic (extremes.py).

    Parameters
    ----------
    asarray : callable
        NumPy array -> the library's (on the device to be checked).
    numpy : callable
        The way back.
    jit : callable, or None
        The library's compiler, through which all functions then go.
    dtypes : sequence of str
        Those that the library has.
    priors : sequence of str
        Names of the tables in functions.py and extremes.py; by default all.

    Returns
    -------
    Report
        Its lines are the functions; it prints as a table.

    Raises
    ------
    AssertionError
        Naming function, prior, dtype, error and bound: at the first answer that is off by more than its bound, is no array of
        the input's library, dtype and device, or where an input was changed.

    Examples
    --------
    >>> import numpy as np
    >>> from jpvae.testing import check_library
    >>> report = check_library(np.asarray, priors=["svd"])  # or (torch.asarray), or (jax.numpy.asarray, jit=jax.jit)
    >>> "kl_divergence" in report.lines
    True
    """
    with Report("check_library") as report:
        for dtype in dtypes:
            eps = float(np.finfo(dtype).eps)
            library = _Library(report, asarray, numpy, jit, dtype)
            report.case = f"elementary functions, {dtype}"
            library.check(elementary.functions, elementary.inputs(dtype), elementary.answers(dtype))
            report.case = f"matrices, {dtype}"
            x = matrices()
            library.check(matrix_functions, x, matrix_answers(x, eps))
            seen = jc.Moments().update(library.native(x["rows"][:1])).update(library.native(x["rows"][1:]))
            # Sums of 4 products of numbers below 4, in float64 whatever the dtype.
            report.compare("Moments", seen.mean, x["rows"].mean(axis=0), 64 * 2.0**-52)
            report.compare("Moments", seen.covariance, np.cov(x["rows"].T), 256 * 2.0**-52)
            for name in priors:
                report.case = f"prior {name!r}, {dtype}"
                library.check(*(_extreme if name in EXTREMES else _ordinary)(name, eps))
    return report


Check = tuple[Callable[[Any], dict[str, Any]], dict[str, Any], Answers]  # functions, inputs, answers


def _extreme(name: str, eps: float) -> Check:
    """A prior of extremes.py."""
    case = EXTREMES[name]
    return functools.partial(extremes.functions, case), extremes.inputs(case), extremes.answers(case, eps)


def _ordinary(name: str, eps: float) -> Check:
    """A prior of functions.py, or a stack of two."""
    model, stacked = PRIORS[name]
    members = [prior_inputs(model, seed) for seed in range(1 + stacked)]
    answers = [prior_answers(model, x, eps) for x in members]
    x, answer = (_stack(members), _stack(answers)) if stacked else (members[0], answers[0])
    return functools.partial(prior_functions, model), x, answer


class _Library:
    """One library in one dtype."""

    def __init__(self, report: Report, asarray: Any, numpy: Any, jit: Any, dtype: str) -> None:
        self.report, self.asarray, self.numpy, self.jit, self.dtype = report, asarray, numpy, jit, dtype

    def native(self, x: Any) -> Any:
        """Trees of NumPy arrays as the library's: floats in the dtype, booleans as they are."""
        if isinstance(x, dict):
            return {name: self.native(value) for name, value in x.items()}
        if isinstance(x, list):
            return [self.native(value) for value in x]
        made = self.asarray(np.array(x, dtype=self.dtype if x.dtype.kind == "f" else x.dtype))
        self.report.require("asarray", self.dtype_of(made) in (self.dtype, "bool"), f"gave {made.dtype} for {self.dtype}")
        return made

    @staticmethod
    def dtype_of(x: Array) -> str:
        """The dtype's name: torch's is torch.float32."""
        return str(x.dtype).rpartition(".")[2]

    def check(self, functions: Callable[[Any], dict[str, Any]], x: dict[str, Any], answers: Answers) -> None:
        """All functions' results are the answers, in the inputs' library, dtype and device; the inputs are unchanged."""
        given = self.native(x)
        like = _leaves(given)[0]
        results = (self.jit(functions) if self.jit else functions)(given)
        for name, value in x.items():  # first, because a changed input makes later numbers wrong
            for after, before in zip(_leaves(given[name]), _leaves(value), strict=True):
                same = np.array_equal(self.numpy(after), before, equal_nan=before.dtype.kind == "f")
                self.report.require(f"the input {name!r}", same, "was changed by a function")
        for name, pairs in answers.items():
            for found, (value, bound) in zip(results[name], pairs, strict=True):
                self.report.require(name, array_api_compat.is_array_api_obj(found), f"gave {type(found)}, no array")
                same = array_api_compat.array_namespace(found) is array_api_compat.array_namespace(like)
                self.report.require(name, same, f"gave an array of another library: {type(found)}")
                self.report.require(name, self.dtype_of(found) == self.dtype, f"gave {found.dtype} for {self.dtype}")
                device = array_api_compat.device(like)
                self.report.require(name, array_api_compat.device(found) == device, f"left the device {device}")
                self.report.compare(name, self.numpy(found), value, bound)


def _leaves(x: Any) -> list[Any]:
    if isinstance(x, dict | list | tuple):
        return [leaf for value in (x.values() if isinstance(x, dict) else x) for leaf in _leaves(value)]
    return [x]


def _stack(trees: Sequence[Any]) -> Any:
    """Trees of one form as one tree with a leading axis."""
    first = trees[0]
    if isinstance(first, dict):
        return {name: _stack([tree[name] for tree in trees]) for name in first}
    if isinstance(first, list | tuple):
        return [_stack(parts) for parts in zip(*trees, strict=True)]
    return np.stack(trees)
