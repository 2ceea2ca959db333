"""Independent answers, in 80-digit arithmetic: nothing here imports or imitates the package.

The covariance is made dense from the free parameters by the definitions (a Cayley matrix is (I+A) times the inverse of
I-A), every quantity is then linear algebra on that dense matrix. Arrays are NumPy arrays of mpmath numbers.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 80
Exact = np.ndarray  # of mp.mpf

exact = np.vectorize(mp.mpf, otypes=[object])
exp = np.vectorize(mp.exp, otypes=[object])
sqrt = np.vectorize(mp.sqrt, otypes=[object])


def floats(x: Any) -> np.ndarray:
    """Rounded to float64 (a scalar becomes an array of shape ())."""
    return np.asarray(x).astype(np.float64)


def sigmoid(t: Any) -> Any:
    """1 / (1 + e^-t)."""
    return 1 / (1 + exp(-t))


def identity(n: int) -> Exact:
    """The n x n identity."""
    return exact(np.eye(n))


def inverse_and_log_det(S: Exact) -> tuple[Exact, Any]:
    """S^-1 and log |det S| by Gauss-Jordan elimination with row pivoting."""
    n = len(S)
    work, log_det = np.concatenate([S, identity(n)], axis=1), mp.mpf(0)
    for k in range(n):
        pivot = k + int(np.argmax(np.abs(work[k:, k])))
        work[[k, pivot]] = work[[pivot, k]]
        log_det += mp.log(abs(work[k, k]))
        work[k] = work[k] / work[k, k]
        for row in range(n):
            if row != k and work[row, k]:  # an array on the left: mpmath prints what it cannot multiply before NumPy may
                work[row] = work[row] - work[k] * work[row, k]
    return work[:, n:], log_det


def is_positive_definite(S: Exact) -> bool:
    """By Cholesky in 80 digits: conclusive unless an eigenvalue is 0 to 60 digits."""
    try:
        mp.cholesky(mp.matrix(S.tolist()))
    except ValueError:
        return False
    return True


def skew(entries: Exact, n: int) -> Exact:
    """The skew matrix whose strict upper triangle, row by row, holds the entries."""
    A = exact(np.zeros((n, n)))
    A[np.triu_indices(n, 1)] = entries
    return A - A.T


def cayley(A: Exact) -> Exact:
    """(I + A)(I - A)^-1."""
    return (identity(len(A)) + A) @ inverse_and_log_det(identity(len(A)) - A)[0]


def frames(structure: Any, parameters: dict[str, Any]) -> list[Exact]:
    """The first d columns of diag(signs) times a Cayley rotation, per view."""
    per_view = zip(parameters["entries"], structure.dims, parameters["signs"], strict=True)
    return [(exact(s)[:, None] * cayley(skew(exact(p), n)))[:, : structure.rank] for p, n, s in per_view]


def blocks(dims: Sequence[int]) -> list[slice]:
    """Where each view's coordinates lie in the concatenated vector."""
    ends = np.cumsum([0, *dims])
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]


def covariance(structure: Any, parameters: dict[str, Any]) -> Exact:
    """The dense joint covariance by definition: identity blocks, and C_ij = Cov(z_i, z_j) beside the diagonal."""
    S, at = identity(sum(structure.dims)), blocks(structure.dims)
    if structure.kind == "independent":
        return S
    Q = frames(structure, parameters)
    if structure.kind == "canonical":
        loadings = sqrt(sigmoid(exact(parameters["logits"])))
        for i in range(len(Q)):
            for j in range(i):
                S[at[i], at[j]] = (Q[i] * (loadings[i] * loadings[j])) @ Q[j].T
                S[at[j], at[i]] = S[at[i], at[j]].T
        return S
    if structure.kind == "orthogonal":
        C = Q[1] * exact(parameters["alpha"])[()]
    else:
        t = exact(parameters["logits"])
        s = sigmoid(t) if structure.kind == "svd-sigmoid" else (1 - exp(-t)) / (1 + exp(-t))
        C = (Q[1] * s) @ Q[0].T
    S[at[1], at[0]], S[at[0], at[1]] = C, C.T
    return S


@functools.cache
def model_covariance(model: Any) -> Exact:
    """The dense covariance of a drawn model (kept: every library and dtype asks for the same one)."""
    return covariance(model.structure, model.parameters)


@functools.cache
def model_precision(model: Any) -> tuple[Exact, Any]:
    """Its inverse and log-determinant."""
    return inverse_and_log_det(model_covariance(model))


def coordinates(dims: Sequence[int], observed: Sequence[bool]) -> np.ndarray:
    """The concatenated coordinates of the observed views."""
    return np.concatenate(
        [np.arange(s.start, s.stop) for s, bit in zip(blocks(dims), observed, strict=True) if bit] + [[]]
    ).astype(int)


def kl(S: Exact, mean: Any, log_var: Any) -> Any:
    """Eq. 7: KL( N(mean, diag exp(log_var)) || N(0, S) ) for one concatenated row."""
    return kl_from_precision(*inverse_and_log_det(S), exact(mean), exact(log_var))


def kl_from_precision(P: Exact, log_det: Any, mean: Exact, log_var: Exact) -> Any:
    """Eq. 7 from S^-1 and log|S|."""
    return (
        (log_det - sum(log_var) - len(mean) + mean @ P @ mean + exp(log_var) @ np.diagonal(P)) / 2 if len(mean) else mp.mpf(0)
    )


def log_normal(P: Exact, log_det: Any, z: Exact) -> Any:
    """log N(z; 0, S) from S^-1 and log|S|."""
    return -(len(z) * mp.log(2 * mp.pi) + log_det + z @ P @ z) / 2 if len(z) else mp.mpf(0)


def fused(model: Any, means: Any, log_vars: Any, mask: Any, in_frames: bool = False) -> tuple[Any, Any, float, Any]:
    """``fused_exactly``, rounded to float64."""
    mean, cov, kl, log_density = fused_exactly(model, means, log_vars, mask, in_frames)
    return floats(mean), floats(cov), float(kl), lambda z: float(log_density(z))


def fused_exactly(model: Any, means: Any, log_vars: Any, mask: Any, in_frames: bool = False) -> tuple[Any, Any, Any, Any]:
    """One row's N(z; 0, S) prod over observed views of N(z_i; mean_i, V_i)/N(z_i; 0, I), V_i = diag exp(log_var_i), or
    Q_i diag exp(log_var_i) Q_i^T in frames: its mean and covariance over ALL latents, the KL from the prior and the
    log-density, a function, of the observed ones. Concatenated inputs.

    precision = S^-1 + V^-1 - I where observed;  precision mean = V^-1 mean where observed, else 0.
    """
    S, at = model_covariance(model), blocks(model.structure.dims)
    precision, eta = model_precision(model)[0].copy(), exact(np.zeros(len(S)))
    Q = frames(model.structure, model.parameters) if in_frames else []
    if in_frames and model.structure.kind == "orthogonal":
        Q[0] = identity(model.structure.rank)
    for i, block in enumerate(at):
        if mask[i]:
            V = np.diag(exp(-exact(log_vars[block])))
            V = Q[i] @ V @ Q[i].T if in_frames else V
            precision[block, block] += V - identity(len(V))
            eta[block] = V @ exact(means[block])
    cov, _ = inverse_and_log_det(precision)
    mean, o = cov @ eta, coordinates(model.structure.dims, mask)
    if not len(o):
        return mean, cov, mp.mpf(0), lambda _: mp.mpf(0)
    (P, prior_log_det, _), inside = marginal_precision(model, tuple(map(bool, mask))), cov[np.ix_(o, o)]
    inverse, log_det = inverse_and_log_det(inside)
    kl = (sum((P @ inside).diagonal()) + mean[o] @ P @ mean[o] - len(o) + prior_log_det - log_det) / 2
    return mean, cov, kl, lambda z: log_normal(inverse, log_det, exact(z[o]) - mean[o])


def conditional(S: Exact, observed: np.ndarray) -> tuple[np.ndarray, Exact, Exact]:
    """The hidden coordinates, the regression matrix S_ho S_oo^-1 and the Schur complement S_hh - S_ho S_oo^-1 S_oh."""
    hidden = np.setdiff1d(np.arange(len(S)), observed)
    if not len(observed):
        return hidden, exact(np.zeros((len(S), 0))), S
    gain = S[np.ix_(hidden, observed)] @ inverse_and_log_det(S[np.ix_(observed, observed)])[0]
    return hidden, gain, S[np.ix_(hidden, hidden)] - gain @ S[np.ix_(observed, hidden)]


def derivatives(function: Callable[[Exact], Any], point: np.ndarray) -> np.ndarray:
    """The gradient by central differences with step 1e-25: the error is about 1e-50."""
    step, x = mp.mpf(10) ** -25, exact(np.ravel(point))
    slopes = []
    for k in range(x.size):
        up, down = x.copy(), x.copy()
        up[k], down[k] = up[k] + step, down[k] - step
        shape = np.shape(point)
        slopes.append((function(up.reshape(shape)) - function(down.reshape(shape))) / (2 * step))
    return floats(slopes).reshape(np.shape(point))


def cayley_condition(entries: np.ndarray, n: int) -> float:
    """cond(I - A) = sqrt(1 + |A|^2) at most: |1 - i w| >= 1 for the imaginary eigenvalues i w of A."""
    return float(np.sqrt(1 + np.linalg.norm(floats(skew(exact(entries), n)), 2) ** 2))


def frame_condition(model: Any) -> float:
    """The largest of a model's frames: the condition number of I - A_i, which multiplies a frame's rounding errors."""
    pairs = zip(model.parameters.get("entries", []), model.structure.dims, strict=False)
    return max([1.0, *(cayley_condition(entries, n) for entries, n in pairs)])


def stiffness(model: Any) -> float:
    """The largest eigenvalue of Sigma^-1 (from the 80-digit inverse, so accurate however large)."""
    return float(np.linalg.eigvalsh(floats(model_precision(model)[0]))[-1])


@functools.cache
def marginal_precision(model: Any, observed: tuple[bool, ...]) -> tuple[Exact, Any, float]:
    """Inverse, log-determinant and stiffness of the observed views' sub-block of the covariance."""
    keep = coordinates(model.structure.dims, observed)
    P, log_det = inverse_and_log_det(model_covariance(model)[np.ix_(keep, keep)])
    return P, log_det, float(np.linalg.eigvalsh(floats(P))[-1]) if len(keep) else 1.0


def kl_and_condition(model: Any, mean: np.ndarray, log_var: np.ndarray, observed: tuple[bool, ...]) -> tuple[float, float]:
    """The exact KL of one concatenated row, and how many eps a float evaluation in the canonical form may be off.

    A coordinate m_i = Q_i^T mu_i is off by at most (n + 3 n^2 kappa) eps |mu_i|: n roundings, and the frame's own error
    (LU with |L||U| <= n |I - A|: backward error 3 n^2 eps, times the condition number kappa). The quadratic form is a sum of
    squares with weights at most Lambda = |Sigma^-1|, so it moves by 2 Lambda |mu|^2 (n + 3 n^2 kappa) eps <= 8 n^2 kappa eps
    Lambda |mu|^2; the traces likewise. The other terms have one sign each: 16 roundings and 4 per view for tau's sums.
    """
    P, log_det, largest = marginal_precision(model, observed)
    keep = coordinates(model.structure.dims, observed)
    mean, log_var = mean[keep], log_var[keep]
    size = largest * (mean @ mean + np.exp(log_var).sum()) + np.abs(log_var).sum() + len(keep) + abs(float(log_det))
    factor = 8 * max(model.structure.dims) ** 2 * frame_condition(model) + 4 * len(observed) + 16
    return float(kl_from_precision(P, log_det, exact(mean), exact(log_var))), factor * size / 2


def kl_rows(model: Any, means: Any, log_vars: Any, masks: Any = None) -> np.ndarray:
    """``kl_and_condition`` of every row, shape (2, rows); all views observed without masks."""
    everything = [(True,) * len(means)] * len(means[0])
    rows = zip(
        np.concatenate(means, axis=-1), np.concatenate(log_vars, axis=-1), everything if masks is None else masks, strict=True
    )
    return np.asarray([kl_and_condition(model, mean, log_var, tuple(map(bool, mask))) for mean, log_var, mask in rows]).T


def rounding(model: Any, eps: float) -> float:
    """How far an entry of Q_i diag(c) Q_j^T, |c| <= 1, may be off: two frames' errors (3 n^2 kappa eps each, see
    ``kl_and_condition``) and n roundings; M enters through tau. With a margin of 2: 16 M n^2 kappa eps."""
    return 16 * len(model.structure.dims) * max(model.structure.dims) ** 2 * frame_condition(model) * eps


def inversion(model: Any) -> float:
    """What inverting costs a KL beyond ``kl_and_condition``: an error eps in Sigma or in I - C^T C becomes |Sigma^-1|^2 eps in
    the inverse, one factor more; elimination runs over sum n_i <= M max n_i coordinates, whose square is another M^2."""
    return len(model.structure.dims) ** 2 * stiffness(model)
