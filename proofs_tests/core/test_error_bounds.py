"""Every function of the core stays within its derived error bound, on random and on adversarial inputs.

The exact value is the same source run on balls (balls.py), so the error is certified, not sampled. With
excess = error / bound, every excess is below 1, and somewhere above 1e-3: the bounds hold and mean something.
``pytest proofs_tests/core/test_error_bounds.py -rP`` prints the worst excess of every function.
"""

from __future__ import annotations

import functools
from typing import Any

import balls
import elimination_bounds
import enclosures
import error_bounds
import numpy as np
import pytest
from bound_problems import ROWS, Excesses, Problem, large, note, on_balls, small, verdict
from libraries import Backend, Library
from strategies import Structure, float32

import jpvae_core as jc

STRUCTURES = (
    Structure("orthogonal", (3, 3), 3),
    Structure("svd-sigmoid", (3, 4), 2),
    Structure("svd-tanh", (2, 3), 2),
    Structure("canonical", (3, 2, 4), 2),
)
LARGE = (
    Structure("orthogonal", (128, 128), 128),
    Structure("svd-sigmoid", (256, 256), 256),
    Structure("canonical", (20, 24, 3, 5, 8, 7, 12, 4), 3),
    Structure("canonical", (3,), 2),
)


@functools.cache
def problems(structure: Structure, dtype: str) -> tuple[Problem, ...]:
    """Weak to nearly singular coupling, logits to 80; means to 1e6; variances from 1e-12 to 1e12."""
    if structure in LARGE:
        return (Problem(structure, 1e-3), Problem(structure, 1e-6, 1, mean=1e6))
    least = 1e-6 if structure.kind == "orthogonal" and dtype == "float32" else 1e-12  # float32 has no alpha between
    sweep = [Problem(structure, gap, seed) for seed, gap in enumerate(np.geomspace(0.1, least, 6))]
    return (
        *sweep,
        Problem(structure, 0.3, 10, mean=1e6),
        Problem(structure, least, 11, mean=1e6, log_var=27.6),
        Problem(structure, 1e-3, 12, mean=1e-6, log_var=27.6),
        *([] if structure.kind == "orthogonal" else [Problem(structure, 1e-34, 13), Problem(structure, 1e-34, 14, mean=1e6)]),
    )


def excesses(structure: Structure, xp: Backend) -> Excesses:
    """Of every function, over all problems of a structure."""
    found: Excesses = {}
    for problem in problems(structure, xp.dtype):
        with np.errstate(over="ignore", invalid="ignore"):  # some KLs are too large for float32
            got = xp.call(large if structure in LARGE else small, structure, *problem.arguments)
        for name, values in got.items():
            for value, exact, bound in zip(values, problem.exact[name], problem.bounds[name], strict=True):
                note(found, name, value, exact, bound, xp)
    return found


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)
def test_functions_of_a_prior(xp, structure):
    verdict(excesses(structure, xp))


@pytest.mark.parametrize("structure", LARGE, ids=lambda s: f"{s.kind}, {len(s.dims)} views")
@pytest.mark.parametrize("library", [Library.NUMPY, Library.TORCH], ids=lambda library: library.name.lower())
def test_functions_of_a_large_prior(library, dtype, structure):
    """n up to 256, eight views, and one view. Sums of 256 terms stay far below their worst case: excess is only < 1."""
    found = excesses(structure, Backend(library, dtype))
    assert all(np.all(np.asarray(values) < 1) for values in found.values()), found


def elementary(_: None, x: Any, positive: Any) -> dict[str, Any]:
    """The functions whose accuracy the derivations assume."""
    xp = jc.skew.__globals__["namespace"](x)
    names = {name: getattr(xp, name)(x) for name in ("exp", "expm1", "tanh")}
    names |= {name: getattr(xp, name)(positive) for name in ("log", "log1p", "sqrt")}
    return names | {"logaddexp": xp.logaddexp(xp.zeros_like(x), x)}


def test_elementary_functions_are_within_four_eps(xp):
    """What error_bounds.F assumes of the libraries, measured over twelve orders of magnitude."""
    rng = np.random.default_rng(0)
    positive = float32(10.0 ** rng.uniform(-12, np.log10(80), 1000))
    x = positive * rng.choice([-1.0, 1.0], 1000)
    exact = on_balls(elementary, None, x, positive)
    for name, got in xp.call(elementary, None, x, positive).items():
        size = np.abs(enclosures.floats(exact[name]))
        normal = size > np.finfo(xp.dtype).tiny
        assert np.all((enclosures.error(got, exact[name]) <= error_bounds.F * xp.eps * size)[normal]), name


def rotations(size: tuple[int, int], entries: Any, signs: Any) -> list[Any]:
    """A signed frame and, where it has all columns, Cayley's matrix alone."""
    n, d = size
    return [
        jc.frame(entries, n, d, signs),
        *([jc.orthogonal(entries, n, signs), jc.cayley(jc.skew(entries, n))] if n == d else []),
    ]


@functools.cache
def exact_rotations(size: tuple[int, int], reach: float) -> tuple[Any, ...]:
    """Entries and signs, A, and the balls."""
    n, rng = size[0], np.random.default_rng(size[0])
    entries, signs = float32(reach * rng.uniform(-1, 1, n * (n - 1) // 2)), rng.choice([-1.0, 1.0], n)
    return entries, signs, jc.skew(entries, n), on_balls(rotations, size, entries, signs)


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (5, 2), (20, 20), (256, 100)], ids=str)
def test_cayley_frames(xp, size):
    """In norm; entries from 1e-3 to 1e6 (where the bound is below 1/2: for odd n float32 does lose its digits at |A| = 1e6)."""
    if size[0] > 5 and xp.library is Library.JAX:
        size = (5, 2)  # one compilation less; LAPACK is the same
    found: Excesses = {}
    for reach in (1e-3, 1.0, 30.0, 1e3, 1e6) if size[0] < 100 else (1e-2,):
        entries, signs, A, exact = exact_rotations(size, reach)
        bound = elimination_bounds.frame(A, enclosures.floats(exact[0])) * xp.eps
        if bound > 0.5:
            continue
        for name, x, y in zip(("frame", "orthogonal", "cayley"), xp.call(rotations, size, entries, signs), exact, strict=False):
            found.setdefault(name, []).append(float(np.linalg.norm(enclosures.error(x, y))) / bound)
    assert all(np.all(np.asarray(excess) < 1) for excess in found.values()), found
    if size[0] <= 3:
        verdict(found)


def back(_: None, Q: Any) -> Any:
    return jc.inverse_cayley(Q)


def test_inverse_cayley(xp):
    """Rotations whose angles come near pi, where |A| grows."""
    found: Excesses = {}
    for seed, size in enumerate((0.1, 1.0, 3.0, 30.0)):
        entries = size * np.random.default_rng(seed).uniform(-1, 1, 3)
        Q = float32(jc.orthogonal(entries, 3))
        error = np.linalg.norm(enclosures.error(xp.call(back, None, Q), on_balls(back, None, Q)))
        found.setdefault("inverse_cayley", []).append(float(error / (elimination_bounds.inverse_cayley(Q) * xp.eps)))
    verdict(found)


def bounded(kind: str, t: Any) -> list[Any]:
    maps = {"sigmoid": jc.sigmoid_bound, "tanh": jc.tanh_bound, "number": lambda s: jc.number_bound(s, s)}
    return list(maps[kind](t))


@pytest.mark.parametrize("kind", ["sigmoid", "tanh", "number"])
def test_bounded_correlations(xp, kind):
    """Relative errors of s, s/(1-s), -s/(1+s) and s^2/(1-s^2), entry by entry."""
    t = float32(np.concatenate([x := np.geomspace(1e-6, 60, 40), -x]))
    if kind == "number":
        t = float32(np.concatenate([x := 1 - np.geomspace(1e-6, 0.999, 40), -x]))
    F = error_bounds.F
    relative = {
        "sigmoid": (F * (1 + error_bounds.softplus(-t)), F, F + 1, 2 * F + 1.5),
        "tanh": (F, F, F, 2 * F + 0.5),
        "number": (0.0, 1.0, 1.0, 2.5),
    }[kind]
    found: Excesses = {}
    names, results = ("value", "over_minus", "over_plus", "excess"), (xp.call(bounded, kind, t), on_balls(bounded, kind, t))
    for name, got, exact, c in zip(names, *results, relative, strict=True):
        note(found, f"{kind}_bound.{name}", got, exact, c * np.abs(enclosures.floats(exact)), xp)
    verdict(found)


def references(_: None, alpha: Any, rotation: Any, means: Any, log_vars: Any) -> list[Any]:
    prior = jc.JointPrior.orthogonal(rotation, alpha)
    C = alpha * rotation
    return [
        jc.kl_eq9(means, log_vars, C),
        jc.kl_eq16(means, log_vars, rotation, alpha),
        jc.kl_dense(means, log_vars, prior.covariance()),
    ]


def test_reference_forms(xp):
    """They invert, so their bounds have |D|^2 in them: right, and useless near the boundary."""
    found: Excesses = {}
    for seed, alpha in enumerate((0.25, -0.75, 0.9375, 1 - 2.0**-8)):  # few bits, and alpha * Q has few
        rng = np.random.default_rng(seed)
        Q = float32(jc.orthogonal(rng.uniform(-1, 1, 3), 3))
        Q = np.round(Q * 2**12) / 2**12  # twelve bits: alpha * Q is exact in float32
        rows = [[float32(rng.standard_normal((ROWS, 3))) for _ in range(2)] for _ in range(2)]
        C = alpha * Q
        S = np.block([[np.eye(3), C.T], [C, np.eye(3)]])
        bounds = elimination_bounds.kl_eq9(*rows, C), elimination_bounds.kl_eq16(*rows, Q, alpha)
        bounds = *bounds, elimination_bounds.kl_dense(*rows, S)
        inputs = np.asarray(alpha), Q, *rows
        got, exact = xp.call(references, None, *inputs), on_balls(references, None, *inputs)
        for name, x, y, bound in zip(("kl_eq9", "kl_eq16", "kl_dense"), got, exact, bounds, strict=True):
            note(found, name, x, y, bound, xp)
    verdict(found)


def split(observed: tuple[int, ...], mean: Any, cov: Any, values: Any) -> list[Any]:
    return list(jc.condition_gaussian(mean, cov, observed, values))


def test_condition_gaussian(xp):
    """Covariances of condition number 1e1 to 1e5, means of 1e6."""
    found, observed = {}, (3, 1, 4)
    for seed, condition in enumerate((1e1, 1e3, 1e5)):
        rng = np.random.default_rng(seed)
        Q = jc.orthogonal(rng.standard_normal(10), 5)
        cov = float32((Q * np.geomspace(1, condition, 5)) @ Q.T)
        mean, values = float32(1e6 * rng.standard_normal(5)), float32(1e6 * rng.standard_normal((ROWS, 3)))
        bounds = elimination_bounds.condition_gaussian(mean, cov, observed, values)
        got, exact = xp.call(split, observed, mean, cov, values), on_balls(split, observed, mean, cov, values)
        for name, x, y, bound in zip(("means", "covariance"), got, exact, bounds, strict=True):
            note(found, f"condition_gaussian.{name}", x, y, bound, xp)
    verdict(found)


def reparameterized(_: None, mean: Any, log_var: Any, noise: Any) -> Any:
    return jc.reparameterize(mean, log_var, noise)


def test_reparameterize(xp):
    """Means of 1e6, variances from 1e-12 to 1e12."""
    rng = np.random.default_rng(0)
    mean, log_var, noise = (float32(s * rng.uniform(-1, 1, (50, 4))) for s in (1e6, 27.6, 3.0))
    found: Excesses = {}
    bound = 0.5 * np.abs(mean) + (error_bounds.F + 1) * np.exp(log_var / 2) * np.abs(noise)
    exact = on_balls(reparameterized, None, mean, log_var, noise)
    note(found, "reparameterize", xp.call(reparameterized, None, mean, log_var, noise), exact, bound, xp)
    verdict(found)


def test_moments(xp):
    """Forty rows in five batches, with means up to 1e6: the formulas of mean and covariance on balls, in float64's eps."""
    found, eps = {}, float(np.finfo(float).eps)
    for seed, offset in enumerate((0.0, 1.0, 1e6)):
        rows = float32(offset + np.random.default_rng(seed).standard_normal((40, 3)))
        moments = jc.Moments()
        for batch in np.split(rows, 5):
            moments.update(xp.array(batch))
        x = balls.Balls(rows).data
        mean = x.sum(axis=0) / 40
        exact = mean, (x - mean).T @ (x - mean) / 39
        X, D = np.abs(rows).max(), np.abs(rows - rows.mean(axis=0)).max()
        bounds = 21 * X, 22 * D**2 + 84 * D * X + (40 * X) ** 2 * eps
        results = zip(("mean", "covariance"), (moments.mean, moments.covariance), exact, bounds, strict=True)
        for name, got, want, bound in results:
            error = float(np.max(enclosures.error(got, balls.Balls(want)))) / (bound * eps)
            found.setdefault(f"Moments.{name}", []).append(error)
    verdict(found)
