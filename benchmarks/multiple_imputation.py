"""Does multiple imputation cover what it promises? Simulated tables, many times over: results/multiple_imputation.json.

    python benchmarks/multiple_imputation.py --replicates 300 --truth linear curved --method "full data" bayes JPVAE
    python benchmarks/multiple_imputation.py --seeds 0 20 --method "JPVAE, ensemble" --device cuda > lines.jsonl
    python benchmarks/multiple_imputation.py --lines *.jsonl      what several processes have found
    python benchmarks/multiple_imputation.py --page               bring docs/multiple-imputation.md up to date

Each replicate draws n = 300 rows of two views a and b of four columns, hides view b with a probability that depends on what is
seen of a (40 % over all: missing at random), fills it m = 20 times and pools by Rubin's rules (jpvae.pool). Estimated are means
of b, slopes across the views in both directions, and correlations across them (on Fisher's scale).

    linear   both views from three shared normal factors, so that all regressions are linear
    curved   b is bent: b = W sin(2 a W') + W'' a^2/2 + noise; the slopes are those of the best linear prediction

    full data       nothing hidden: what any method can at best have
    complete cases  the rows that have b
    bayes           the proper answer where it is linear: multivariate regression of b on a, its covariance and coefficients
                    drawn from their posterior (Jeffreys' prior), then the values
    fixed           the same regression with its parameters fixed at their estimates, which is not proper
    JPVAE           fitted once: its parameters are fixed
    JPVAE, ensemble as many models as imputations, each fitted to a bootstrap resample of the rows: ensemble=20, bootstrap=True

Variances of slopes and correlations are those that need no normal residuals (the sandwich, the influence function): with them
the analysis of the full data covers under both truths.

coverage: of 95 % intervals; std_error: the mean standard error; spread: the estimates' standard deviation; se_over_true: the
mean ratio of these; bias: in
standard deviations of the column (means), of the slope's outcome over its predictor, or plain (correlations), the largest.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import suites
from scipy.stats import wishart

from jpvae import JPVAE, pool
from jpvae.atomic import write_atomically
from jpvae.ensembles import fit_together

KEPT = suites.RESULTS / "multiple_imputation.json"
PAGE = suites.ROOT / "docs/multiple-imputation.md"
BEGIN, END = "<!-- measured: benchmarks/multiple_imputation.py -->", "<!-- end of measured -->"
ROWS, COLUMNS, M, PART = 300, 4, 20, 0.4
JPVAE_OPTIONS: dict[str, Any] = {
    "latent_dims": 4,
    "coordinates": "frame",
    "likelihood": "gaussian",
    "missing": "nan",
    "progress": False,
}
Draws = list[np.ndarray]  # M completed copies of view b


def linear(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Views a and b (rows, 4): three factors with fixed loadings, noise of variance a half."""
    loadings = np.random.default_rng(11).standard_normal((3, 2 * COLUMNS)) / 3**0.5
    x = rng.standard_normal((rows, 3)) @ loadings + 0.5**0.5 * rng.standard_normal((rows, 2 * COLUMNS))
    return x[:, :COLUMNS], x[:, COLUMNS:]


def curved(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Views a and b (rows, 4): a normal, b by a sine and a square of it."""
    a, _ = linear(rows, rng)
    W, bend = (np.random.default_rng(k).standard_normal((COLUMNS, COLUMNS)) / COLUMNS**0.5 for k in (12, 13))
    return a, np.sin(2.0 * a @ W) @ W.T + 0.5 * (a**2) @ bend + 0.5**0.5 * rng.standard_normal((rows, COLUMNS))


TRUTHS: dict[str, Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]] = {"linear": linear, "curved": curved}


def hidden(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which rows lose view b (rows,): more often where the first two columns of a are large."""
    score = (a[:, 0] + a[:, 1]) / np.sqrt(2.0 * 5.0 / 6.0)  # of variance about 1
    return np.asarray(rng.random(len(a)) < 1.0 / (1.0 + np.exp(0.45 - 1.2 * score)))


def estimates(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is estimated and its variances: 4 means of b; b0 on (a0, a1), a0 on (b0, b1); Fisher's z of (a_k, b_k)."""
    n = len(a)
    found, variances = list(b.mean(axis=0)), list(b.var(axis=0, ddof=1) / n)
    for X, y in ((a[:, :2], b[:, 0]), (b[:, :2], a[:, 0])):
        X1 = np.column_stack([np.ones(n), X])
        inverse = np.linalg.inv(X1.T @ X1)
        coefficients = inverse @ X1.T @ y
        leverage = np.einsum("ij,jk,ik->i", X1, inverse, X1)
        meat = X1 * ((y - X1 @ coefficients) / (1.0 - leverage))[:, None]  # HC3
        found += list(coefficients[1:])
        variances += list(np.diag(inverse @ (meat.T @ meat) @ inverse)[1:])
    for k in range(COLUMNS):
        x, y = ((v - v.mean()) / v.std() for v in (a[:, k], b[:, k]))
        r = float(np.mean(x * y))
        influence = x * y - r * (x**2 + y**2) / 2.0
        found.append(np.arctanh(r))
        variances.append(influence @ influence / n**2 / (1.0 - r**2) ** 2)
    return np.array(found), np.array(variances)


KINDS = ("mean",) * 4 + ("slope",) * 4 + ("correlation",) * 4


def units(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What one standard deviation is for each estimate (12,)."""
    sa, sb = a.std(axis=0), b.std(axis=0)
    return np.concatenate([sb, sb[0] / sa[:2], sa[0] / sb[:2], np.ones(4)])


def by_regression(a: np.ndarray, b: np.ndarray, lost: np.ndarray, rng: np.random.Generator, *, proper: bool) -> Draws:
    """Multivariate regression of b on a; proper: parameters drawn from their posterior, else fixed."""
    X = np.column_stack([np.ones(len(a)), a])
    X_seen, Y = X[~lost], b[~lost]
    inverse = np.linalg.inv(X_seen.T @ X_seen)
    B = inverse @ X_seen.T @ Y
    S, df = (Y - X_seen @ B).T @ (Y - X_seen @ B), len(Y) - X.shape[1]
    draws = []
    for _ in range(M):
        if proper:
            cov = np.linalg.inv(wishart.rvs(df, np.linalg.inv(S), random_state=rng))
            shift = np.linalg.cholesky(inverse) @ rng.standard_normal(B.shape) @ np.linalg.cholesky(cov).T
        else:
            cov, shift = S / df, np.zeros_like(B)
        noise = rng.standard_normal((int(lost.sum()), COLUMNS)) @ np.linalg.cholesky(cov).T
        filled = b.copy()
        filled[lost] = X[lost] @ (B + shift) + noise
        draws.append(filled)
    return draws


def by_jpvae(tables: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, int]], device: str, *, proper: bool) -> list[Draws]:
    """M draws of one model for each of the tables (a, b, what is lost of b, seed); proper: of M models on bootstrap resamples.

    All models are trained together: with an engine that has stacks as one program.
    """
    views = [{"a": a, "b": np.where(lost[:, None], np.nan, b)} for a, b, lost, _ in tables]
    members: dict[str, Any] = {"ensemble": M, "bootstrap": True} if proper else {}
    backend = {"backend": "numpy" if device == "cpu" else "torch", "device": device}
    models = [JPVAE(**JPVAE_OPTIONS, **members, **backend, seed=seed) for *_, seed in tables]
    fit_together(models, views, each=True)
    drawn = [
        model.sample_imputations(x, n_draws=M, observation_noise=True)["b"] for model, x in zip(models, views, strict=True)
    ]
    return [list(np.asarray(draws)) for draws in drawn]


def draws_of(method: str, truth: str, seeds: Sequence[int], device: str) -> list[tuple[np.ndarray, Draws]]:
    """View a and the completed copies of view b that a method makes of each replicate."""
    simulated = []
    for seed in seeds:
        rng = np.random.default_rng([seed, list(TRUTHS).index(truth)])  # all methods get the same tables
        a, b = TRUTHS[truth](ROWS, rng)
        simulated.append((a, b, hidden(a, rng), rng))
    if method.startswith("JPVAE"):
        tables = [(a, b, lost, int(rng.integers(2**31))) for a, b, lost, rng in simulated]
        return [
            (a, draws) for (a, *_), draws in zip(tables, by_jpvae(tables, device, proper=method == METHODS[-1]), strict=True)
        ]
    if method in ("full data", "complete cases"):
        seen = [np.ones(ROWS, bool) if method == "full data" else ~lost for *_, lost, _ in simulated]
        return [(a[rows], [b[rows]] * 2) for (a, b, *_), rows in zip(simulated, seen, strict=True)]
    return [(a, by_regression(a, b, lost, rng, proper=method == "bayes")) for a, b, lost, rng in simulated]


METHODS = ("full data", "complete cases", "bayes", "fixed", "JPVAE", "JPVAE, ensemble")


def replicates(method: str, truth: str, seeds: Sequence[int], device: str = "cpu") -> list[dict[str, Any]]:
    """A line of JSON for each: estimates, standard errors and the ends of 95 % intervals (12,), and CPU seconds."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = draws_of(method, truth, seeds, device)
    lines = []
    for seed, (a, draws) in zip(seeds, found, strict=True):
        pooled = pool(*map(np.array, zip(*(estimates(a, draw) for draw in draws), strict=True)), complete_df=len(a) - 3)
        low, high = pooled.confidence_interval()
        parts = {"estimate": pooled.estimate, "error": pooled.std_error, "low": low, "high": high}
        lines.append({"method": method, "truth": truth, "seed": seed} | {name: list(x) for name, x in parts.items()})
    seconds = (time.process_time() - began) / len(lines)
    return [line | {"seconds": seconds, "device": device} for line in lines]


def measure(method: str, truth: str, replicates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Coverage, standard errors and bias by kind of estimate, over the replicates."""
    big = TRUTHS[truth](1_000_000, np.random.default_rng(0))
    true, unit = estimates(*big)[0], units(*big)
    estimate, error, low, high = (np.array([one[part] for one in replicates]) for part in ("estimate", "error", "low", "high"))
    inside, spread = (low <= true) & (true <= high), estimate.std(axis=0, ddof=1)
    bias = (estimate.mean(axis=0) - true) / unit
    kinds = np.array(KINDS)
    found: dict[str, Any] = {"truth": truth, "method": method, "replicates": len(replicates)}
    for kind in ("all", *dict.fromkeys(KINDS)):
        at = np.ones(len(kinds), bool) if kind == "all" else kinds == kind
        found[kind] = {
            "coverage": round(float(inside[:, at].mean()), 4),
            "std_error": round(float(error[:, at].mean()), 4),
            "spread": round(float(spread[at].mean()), 4),
            "se_over_true": round(float((error.mean(axis=0) / spread)[at].mean()), 3),
            "largest_bias": round(float(np.abs(bias[at]).max()), 3),
        }
    return {**found, "seconds": round(sum(one["seconds"] for one in replicates), 1)}


def page() -> str:
    """docs/multiple-imputation.md with its tables as they should be."""
    kept = json.loads(KEPT.read_text())
    text = []
    for truth in TRUTHS:
        text += [
            f"**{truth}**",
            "",
            "| method | replicates | coverage: all | means | slopes | correlations | error | spread | se / true | bias |",
            "|---" * 10 + "|",
        ]
        for case in (c for c in kept["cases"] if c["truth"] == truth):
            covered = " | ".join(f"{case[kind]['coverage']:.3f}" for kind in ("all", *dict.fromkeys(KINDS)))
            found = case["all"]
            widths = f"{found['std_error']:.3f} | {found['spread']:.3f}"
            line = f"{covered} | {widths} | {found['se_over_true']:.2f} | {found['largest_bias']:.2f}"
            text.append(f"| {case['method']} | {case['replicates']} | {line} |")
        text.append("")
    before, rest = PAGE.read_text().split(BEGIN)
    return f"{before}{BEGIN}\n" + "\n".join(text) + f"{END}{rest.split(END)[1]}"


def main() -> None:
    """Measure, and keep each result beside those of other methods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--truth", nargs="+", default=list(TRUTHS), choices=list(TRUTHS))
    parser.add_argument("--method", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs=2, help="only replicates FIRST to LAST - 1, together, printed as JSON lines")
    parser.add_argument("--device", default="cpu", help="of JPVAE: cpu (its NumPy engine) or cuda (torch)")
    parser.add_argument("--lines", type=Path, nargs="+", help="measure nothing; keep what such lines, of all these files, give")
    parser.add_argument("--page", action="store_true", help="measure nothing; write the page")
    asked = parser.parse_args()
    if asked.page:
        PAGE.write_text(page())
        return
    if asked.seeds:
        for truth, method in product(asked.truth, asked.method):
            for line in replicates(method, truth, range(*asked.seeds), asked.device):
                print(json.dumps(line), flush=True)
        return
    lines_of = [json.loads(line) for path in asked.lines or () for line in path.read_text().splitlines()]
    for truth, method in product(asked.truth, asked.method):
        given = [one for one in lines_of if (one["truth"], one["method"]) == (truth, method)]
        if asked.lines and len(given) < 2:
            continue
        made = given or [replicates(method, truth, [seed], asked.device)[0] for seed in range(asked.replicates)]
        found = {**measure(method, truth, made), "commit": suites.made_with()["commit"]}
        print(found, flush=True)
        kept = json.loads(KEPT.read_text())["cases"] if KEPT.is_file() else []
        cases = [c for c in kept if (c["truth"], c["method"]) != (truth, method)] + [found]
        cases.sort(key=lambda c: (list(TRUTHS).index(c["truth"]), METHODS.index(c["method"])))
        lines = ",\n  ".join(map(json.dumps, cases))
        head = json.dumps(
            {"rows": ROWS, "draws": M, "jpvae": JPVAE_OPTIONS, "machine": suites.made_with()["machine"]}, indent=1
        )
        write_atomically(KEPT, (head.removesuffix("\n}") + ',\n "cases": [\n  ' + lines + "\n ]\n}\n").encode())


if __name__ == "__main__":
    main()
