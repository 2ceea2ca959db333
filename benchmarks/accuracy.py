"""How accurate is the KL as the coupling goes to 1? Relative error of each way to compute it, against 80 digits.

    python benchmarks/accuracy.py           measure: results/accuracy.csv (minutes), then docs/accuracy.md and .png from it

Every method gets the same floats: skew entries, logits or alpha, means, log-variances. It builds what it needs (frames, C,
Sigma) in its own dtype, and its error is that of the whole computation from those floats. The exact value takes the
same floats as they are, makes Sigma by its definition and eliminates it in 80 digits; it shares no code with the package.
A NaN, an infinity or an exception is an infinite error, and is counted.
"""

from __future__ import annotations

import csv
import functools
import platform
import subprocess
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import torch

import jpvae_core as jc

mp.mp.dps = 80
jax.config.update("jax_enable_x64", True)

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "benchmarks/results/accuracy.csv"
SEEDS = range(10)
GAPS = {"float32": [10.0**-k for k in range(1, 7)], "float64": [10.0**-k for k in range(1, 13)]}


class Case(NamedTuple):
    """A prior whose largest correlation is 1 - gap, and a posterior. rank: d, the number of directions."""

    kind: str
    dims: tuple[int, ...]
    rank: int
    spread: bool = False  # logits evenly from -2 up to the top one, else all equal
    skew_scale: float = 1.0  # standard deviation of the skew entries
    tight: bool = False  # posterior as narrow as the prior's narrowest direction, means that agree: z_2 near C z_1


CASES = {
    "SVD, equal σ": Case("svd", (20, 20), 20),
    "orthogonal": Case("orthogonal", (20, 20), 20),
    "SVD, σ from 0.12 up": Case("svd", (20, 20), 20, spread=True),
    "SVD, n = 20 and 12": Case("svd", (20, 12), 12, spread=True),
    "three views": Case("canonical", (20, 20, 20), 20),
    "skew entries × 100": Case("svd", (20, 20), 20, skew_scale=100.0),
    "tight posterior": Case("svd", (20, 20), 20, tight=True),
}
MAIN = "SVD, equal σ"
FAILURES = ("nan", "inf", "exception")
OURS, MOVED = "jpvae_core", "inputs moved by eps/2"


class Inputs(NamedTuple):
    """The floats that all methods share, NumPy arrays of one dtype. coupling: alpha (1,), logits (d,) or logits (M, d)."""

    entries: list[np.ndarray]
    coupling: Any
    means: list[np.ndarray]
    log_vars: list[np.ndarray]


def draw(case: Case, gap: float, dtype: str, seed: int) -> Inputs:
    """Skew entries and means standard normal, log-variances uniform on [-4, 1]."""
    rng = np.random.default_rng(seed)
    sizes = case.dims[:1] if case.kind == "orthogonal" else case.dims
    entries = [case.skew_scale * rng.standard_normal(n * (n - 1) // 2) for n in sizes]
    means = [rng.standard_normal(n) for n in case.dims]
    log_vars = [rng.uniform(-4.0, 1.0, n) for n in case.dims]
    top = np.log1p(-gap) - np.log(gap)
    coupling: Any = np.linspace(-2.0, top, case.rank) if case.spread else np.full(case.rank, top)
    if case.kind == "orthogonal":
        coupling = np.array([1.0 - gap])
    if case.kind == "canonical":
        coupling = np.stack([coupling] * len(case.dims))
    if case.tight:
        C = prior(case, Inputs(entries, coupling, means, log_vars), np.asarray).cross_covariance(1, 0)
        means[1] = C @ means[0] + np.sqrt(gap) * means[1]
        log_vars = [x + np.log(gap) for x in log_vars]
    cast = np.dtype(dtype).type
    return Inputs([cast(x) for x in entries], cast(coupling), [cast(x) for x in means], [cast(x) for x in log_vars])


def moved(inputs: Inputs, dtype: str, seed: int) -> Inputs:
    """Every input moved by up to half an eps of itself: what no method that reads rounded inputs can know better."""
    rng, half = np.random.default_rng(seed), float(np.finfo(dtype).eps) / 2

    def nudge(x: Any) -> Any:
        return exact(x) * (1 + exact(rng.uniform(-half, half, np.shape(x))))

    entries, means, log_vars = ([nudge(x) for x in group] for group in (inputs.entries, inputs.means, inputs.log_vars))
    return Inputs(entries, nudge(inputs.coupling), means, log_vars)


def prior(case: Case, inputs: Inputs, asarray: Callable[[Any], Any]) -> jc.JointPrior:
    """The package's prior of these inputs in another library (or in NumPy, where ``draw`` makes agreeing means)."""
    frames = [jc.frame(asarray(x), n, case.rank) for x, n in zip(inputs.entries, case.dims, strict=False)]
    if case.kind == "orthogonal":
        return jc.JointPrior.orthogonal(frames[0], float(inputs.coupling[0]))
    if case.kind == "canonical":
        return jc.JointPrior.canonical(frames, asarray(inputs.coupling))
    return jc.JointPrior.svd(frames[1], asarray(inputs.coupling), frames[0])


# The exact value: NumPy arrays of mpmath numbers, elimination without pivoting (I - A and Sigma have positive definite
# symmetric parts, so no pivot is 0; at condition numbers up to 1e13, 80 digits leave more than 60).
exact = np.vectorize(mp.mpf, otypes=[object])
exp = np.vectorize(mp.exp, otypes=[object])


def eliminate(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper triangular U = L^-1 A and L^-1 B, for A = L U with L unit lower triangular."""
    n, work = len(A), np.concatenate([A, B], axis=1)
    for k in range(n):
        below, right = k + 1 + np.flatnonzero(work[k + 1 :, k]), k + np.flatnonzero(work[k, k:])  # most of Sigma is 0
        work[np.ix_(below, right)] -= np.outer(work[below, k] / work[k, k], work[k, right])
    return work[:, :n], work[:, n:]


@functools.lru_cache(maxsize=256)
def exact_frame(entries: tuple[Any, ...], n: int, rank: int) -> np.ndarray:
    """The first columns of (I - A)^-1 (I + A), A skew with this upper triangle; kept, as every gap asks for the same ones."""
    A = exact(np.zeros((n, n)))
    A[np.triu_indices(n, 1)] = exact(entries)
    A = A - A.T
    U, X = eliminate(exact(np.eye(n)) - A, (exact(np.eye(n)) + A)[:, :rank])
    for k in reversed(range(n)):
        X[k] = (X[k] - U[k, k + 1 :] @ X[k + 1 :]) / U[k, k] if k < n - 1 else X[k] / U[k, k]
    return X


def exact_kl(case: Case, inputs: Inputs) -> Any:
    """Eq. 7 from the dense Sigma = L diag(p) L^T: log|Sigma| = sum log p, x^T Sigma^-1 x = sum (L^-1 x)^2 / p."""
    Q = [exact_frame(tuple(x.tolist()), n, case.rank) for x, n in zip(inputs.entries, case.dims, strict=False)]
    ends, size = np.cumsum([0, *case.dims]), sum(case.dims)
    S = exact(np.eye(size))
    for i in range(len(case.dims)):
        for j in range(i):
            if case.kind == "orthogonal":
                C = exact(inputs.coupling) * Q[0]
            else:  # equal loadings of all views: a_i a_j = sigmoid(logits), as for the singular values
                logits = inputs.coupling if case.kind == "svd" else inputs.coupling[0]
                C = (Q[i] / (1 + exp(-exact(logits)))) @ Q[j].T
            S[ends[i] : ends[i + 1], ends[j] : ends[j + 1]] = C
            S[ends[j] : ends[j + 1], ends[i] : ends[i + 1]] = C.T
    mean, log_var = exact(np.concatenate(inputs.means)), exact(np.concatenate(inputs.log_vars))
    U, X = eliminate(S, np.concatenate([mean[:, None], exact(np.eye(size))], axis=1))
    pivots = np.diagonal(U)
    squares = np.sum(X * X / pivots[:, None], axis=0)
    log_det = sum(mp.log(p) for p in pivots)
    return (log_det - sum(log_var) - size + squares[0] + squares[1:] @ exp(log_var)) / 2


# The methods: (means, log_vars, prior) -> one number, in the library of their arguments.
def eq9_inv(means: Sequence[Any], log_vars: Sequence[Any], prior: jc.JointPrior) -> Any:
    """Eq. 9 with torch.linalg.inv and torch.logdet, as one writes it down from the paper."""
    C = prior.cross_covariance(1, 0)
    S1, S2 = (torch.eye(len(G), dtype=C.dtype) - G for G in (C.T @ C, C @ C.T))
    D1, D2 = torch.linalg.inv(S1), torch.linalg.inv(S2)
    total = torch.logdet(S1) - means[0] @ D1 @ C.T @ means[1] - means[1] @ D2 @ C @ means[0]
    for mean, log_var, D in zip(means, log_vars, (D1, D2), strict=True):
        total = total + mean @ D @ mean - log_var.sum() - len(mean) + (log_var.exp() * D.diagonal()).sum()
    return 0.5 * total


def distributions(means: Sequence[Any], log_vars: Sequence[Any], prior: jc.JointPrior) -> Any:
    """torch.distributions.kl_divergence of two MultivariateNormals."""
    S, normal = prior.covariance(), torch.distributions.MultivariateNormal
    q = normal(torch.cat(list(means)), torch.diag_embed(torch.cat(list(log_vars)).exp()))
    return torch.distributions.kl_divergence(q, normal(torch.zeros_like(S[0]), S))


def cholesky(means: Sequence[Any], log_vars: Sequence[Any], prior: jc.JointPrior) -> Any:
    """Sigma = L L^T: log|Sigma| = 2 sum log L_kk, and squares of L^-1 mu and L^-1 diag(sigma)."""
    L, mean, log_var = torch.linalg.cholesky(prior.covariance()), torch.cat(list(means)), torch.cat(list(log_vars))
    X = torch.linalg.solve_triangular(L, torch.cat([mean[:, None], torch.diag_embed((0.5 * log_var).exp())], 1), upper=False)
    return 0.5 * ((X * X).sum() - log_var.sum() - len(mean)) + L.diagonal().log().sum()


METHODS: dict[str, Callable[..., Any]] = {
    OURS: lambda means, log_vars, prior: jc.kl_divergence(prior, means, log_vars),
    "Eq. 9, solve": lambda means, log_vars, prior: jc.kl_eq9(
        [x[None] for x in means], [x[None] for x in log_vars], prior.cross_covariance(1, 0)
    )[0],
    "Eq. 9, inv": eq9_inv,
    "torch.distributions": distributions,
    "Cholesky": cholesky,
    "slogdet, solve": lambda means, log_vars, prior: jc.kl_dense(
        [x[None] for x in means], [x[None] for x in log_vars], prior.covariance()
    )[0],
}
LIBRARIES: dict[str, Callable[[Any], Any]] = {"torch": torch.asarray, "jax": jnp.asarray}
IN_JAX = (OURS, "Eq. 9, solve", "slogdet, solve")


def error(method: str, library: str, case: Case, inputs: Inputs, truth: Any) -> float | str:
    """The relative error, or what came instead of a number: "nan", "inf", "exception"."""
    means, log_vars = ([LIBRARIES[library](x) for x in group] for group in (inputs.means, inputs.log_vars))
    try:
        value = METHODS[method](means, log_vars, prior(case, inputs, LIBRARIES[library]))
    except (ValueError, torch.linalg.LinAlgError):  # "not positive definite", "singular"
        return "exception"
    assert str(value.dtype).endswith(inputs.means[0].dtype.name)  # no silent promotion: the answer is in the inputs' dtype
    found = float(value)
    return float(abs(found - truth) / truth) if np.isfinite(found) else "nan" if np.isnan(found) else "inf"


def measure(name: str, dtype: str, gap: float, seeds: Sequence[int] = SEEDS) -> list[dict[str, Any]]:
    """One line per method and library: median and worst relative error over the seeds, and the failures by kind."""
    case = CASES[name]
    drawn = [draw(case, gap, dtype, seed) for seed in seeds]
    truths = [exact_kl(case, inputs) for inputs in drawn]
    found: dict[tuple[str, str], list[float | str]] = {}
    for method, library in [(m, "torch") for m in METHODS] + [(m, "jax") for m in IN_JAX]:
        if len(case.dims) == 2 or not method.startswith("Eq. 9"):  # Eq. 9 is for two views
            found[method, library] = [error(method, library, case, *pair) for pair in zip(drawn, truths, strict=True)]
    if gap == GAPS[dtype][-1]:
        again = [exact_kl(case, moved(inputs, dtype, seed)) for inputs, seed in zip(drawn, seeds, strict=True)]
        found[MOVED, "exact"] = [float(abs(a - b) / b) for a, b in zip(again, truths, strict=True)]
    lines = []
    for (method, library), each in found.items():
        errors = sorted(np.inf if isinstance(e, str) else e for e in each)
        line = {"case": name, "dtype": dtype, "gap": f"{gap:.0e}", "method": method, "library": library, "seeds": len(seeds)}
        line |= {
            "median": f"{errors[len(errors) // 2]:.3e}",
            "worst": f"{errors[-1]:.3e}",
        }  # the upper median of an even number
        lines.append(line | {kind: each.count(kind) for kind in FAILURES})
    return lines


def write_table() -> None:
    """Measure everything: the main case at every gap, the others at the least. The first line says with what."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "jax", "mpmath"))
    system = f"{platform.system()} {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    lines = [
        line
        for name in CASES
        for dtype, gaps in GAPS.items()
        for gap in (gaps if name == MAIN else gaps[-1:])
        for line in measure(name, dtype, gap)
    ]
    with TABLE.open("w", newline="") as file:
        file.write(f"# commit {commit.stdout.strip() or 'unknown'}; {system}; Python {platform.python_version()}, {packages}\n")
        writer = csv.DictWriter(file, lines[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


if __name__ == "__main__":
    import accuracy_page

    torch.set_num_threads(1)
    write_table()
    accuracy_page.write()
