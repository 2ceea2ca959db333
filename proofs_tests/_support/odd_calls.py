"""Calls of everything public in `jpvae` with values that nobody means, for every option and argument: each is accepted, or
refused by an error of jpvae.errors, or by a TypeError that names the argument. Nothing else may come out.

    python proofs_tests/_support/odd_calls.py [--few] [ENGINE ...]     every call on each engine, on a mixed table; prints the
                                                                       counts. --few: with half of the values

By default on NumPy and PyTorch: JAX compiles for seconds in every fit that is accepted. On 2026-11-26:

    numpy    6,154 calls: 5,857 refused, 297 accepted, 0 wrong
    torch    6,155 calls: 5,857 refused, 298 accepted, 0 wrong
    jax        125 calls: 121 refused, 4 accepted, 0 wrong (--few, on arrays, of device, dtype, threads, networks, hidden)
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from jpvae import JPVAE, pool
from jpvae.errors import JPVAEError


class Odd:
    """An object of no use."""


NUMBERS = [0, 1, -1, 3, 2.5, -0.5, 0.0, float("nan"), float("inf"), -float("inf"), 1e308, 10**30, 10**400, 1j]
TEXTS = ["", "x", "gaussian", "64", b"ab", "\0", "a" * 300]
SEVERAL = [(), (1,), (1, 2, 3), [], [None], ["a", "b"], {}, {"a": 1}, (True, False), range(3), slice(0, 2)]
OBJECTS = [None, True, False, Odd(), Odd, len, np.ones(2), np.ones((2, 2)), np.float32(2), np.int8(3)]
OBJECTS += [np.array(value) for value in (2, 2.5, np.nan, True, "gaussian", None, 1j)]  # arrays without an axis
VALUES = [*NUMBERS, *TEXTS, *SEVERAL, *OBJECTS]
FEW = [0, -1, 3, 2.5, float("nan"), float("inf"), 10**400, 1j, "", "x", "64", b"ab", "\0", (), [None], {"a": 1}, range(3)]
FEW += [None, True, Odd(), Odd, np.ones((2, 2)), np.float32(2), np.array(2), np.array("x")]  # for every test run

RNG = np.random.default_rng(0)
ARRAYS = [RNG.standard_normal((12, 3)), RNG.standard_normal((12, 2))]
MIXED = [
    pd.DataFrame({"x": RNG.standard_normal(12), "sex": ["f", "m", "f", "m"] * 3, "flag": [True, False, False] * 4}),
    pd.DataFrame(RNG.poisson(3.0, (12, 6)) * 7, columns=list("abcdef")),
]
BASE = {"latent_dims": 1, "hidden": (3,), "steps": 2, "prior": "canonical", "progress": False}
OPTIONS = [name for name in inspect.signature(JPVAE.__init__).parameters if name != "self"]
MOST = 1000  # draws or rows: more would be made, one by one


def methods(views: list[Any]) -> dict[str, dict[str, Any]]:
    """What each method of a fitted model is called with, beside the odd one."""
    some = {"views": [views[0], None]}
    drawing = dict.fromkeys(
        ("impute", "impute_probabilities", "sample_imputations", "score", "score_samples", "effective_draws"),
        some | {"n_draws": 2},
    )
    plain = dict.fromkeys(("reconstruct", "elbo", "find_impossible", "transform"), some)
    fits = {"fit": {"views": views}, "fit_transform": {"views": views}}
    others: dict[str, dict[str, Any]] = {"sample": {"n": 2}, "save": {}, "load": {"path": "model"}}
    others |= {"get_feature_names_out": {}, "score_conditional": {"views": views, "target": 0, "n_draws": 2}}
    known = drawing | plain | fits | others
    return {
        name: {key: value for key, value in given.items() if key in inspect.signature(getattr(JPVAE, name)).parameters}
        for name, given in known.items()
    }


def arguments(method: str) -> list[str]:
    """Of a method."""
    left_out = ("self", "y", "input_features", "options")
    return [name for name in inspect.signature(getattr(JPVAE, method)).parameters if name not in left_out]


def fits(name: str, values: list[Any], views: list[Any], **base: Any) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """Fits with one option odd."""
    for value in values:
        options = BASE | base | {name: value}
        options |= {"early_stopping": True} if name in ("validation_fraction", "patience") else {}
        options |= {"steps": None} if name == "epochs" else {}
        if not (name in ("steps", "epochs") and value is None):  # 30 passes over the rows
            yield name, value, lambda options=options: JPVAE(**options).fit(views)


def uses(
    model: JPVAE, method: str, name: str, values: list[Any], views: list[Any]
) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """Calls of a method with one argument odd; ``model`` has been saved as "model"."""
    for value in values:
        if name == "on_log" and callable(value):  # what a function of the caller's own raises is the caller's
            continue
        if name in ("n", "n_draws") and isinstance(value, int) and value > MOST and method != "sample_imputations":
            continue
        given = methods(views)[method] | {name: value}
        yield name, value, functools.partial(_use, model, method, given)


def _use(model: JPVAE, method: str, given: dict[str, Any]) -> Any:
    given = dict(given)
    target = JPVAE(**model.get_params()) if "fit" in method else model
    first = [given.pop("views")] if "transform" in method and "views" in given else []  # scikit-learn has it by place alone
    return getattr(target, method)(*first, **given)


def pools(values: list[Any]) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """Rubin's rules with one argument odd."""
    for name in inspect.signature(pool).parameters:
        for value in values:
            given = {"estimates": [1.0, 2.0, 3.0], "variances": [1.0, 1.0, 1.0]} | {name: value}
            yield name, value, functools.partial(pool, **given)
    for value in values:
        yield "level", value, functools.partial(pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]).confidence_interval, value)


def outcome(name: str, call: Callable[[], Any]) -> str:
    """What came out: "accepted", "refused", "a TypeError that names the argument", or what should not have."""
    try:
        call()
    except JPVAEError:
        return "refused"
    except TypeError as error:
        return "a TypeError that names the argument" if name in str(error) else f"! {error!r}"
    except Exception as error:  # noqa: BLE001  (that there is none is what is tested)
        return f"! {error!r}"
    return "accepted"


def wrong(calls: Iterator[tuple[str, Any, Callable[[], Any]]]) -> list[str]:
    """The calls of which something else came out."""
    return [f"{name}={value!r}: {found}" for name, value, call in calls if (found := outcome(name, call)).startswith("!")]


def sweep(engine: str, values: list[Any]) -> tuple[Counter[str], list[str]]:
    """Every call on an engine: how many came out how, and those that came out wrong."""
    base = {"backend": engine, "likelihood": "infer", "entries": "marginalise", "missing": "nan"}
    model, counts, found = JPVAE(**BASE | base).fit(MIXED), Counter[str](), []
    model.save("model")
    calls = [call for name in OPTIONS for call in fits(name, values, MIXED, **base)]
    for method in methods(MIXED):
        calls += [call for name in arguments(method) for call in uses(model, method, name, values, MIXED)]
    for name, value, call in [*calls, *pools(values)]:
        result = outcome(name, call)
        counts["wrong" if result.startswith("!") else result] += 1
        found += [f"{engine}: {name}={value!r}: {result}"] if result.startswith("!") else []
    return counts, found


def main(engines: list[str], values: list[Any]) -> None:
    """See the top of the file."""
    warnings.simplefilter("ignore")
    wrong_ones = []
    for engine in engines:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            counts, found = sweep(engine, values)
            os.chdir("/")
        print(f"{engine}: {sum(counts.values()):,} calls: {dict(counts)}", *found, sep="\n", flush=True)
        wrong_ones += found
    sys.exit(bool(wrong_ones))


if __name__ == "__main__":
    chosen = [word for word in sys.argv[1:] if word != "--few"]
    main(chosen or ["numpy", "torch"], FEW if "--few" in sys.argv else VALUES)
