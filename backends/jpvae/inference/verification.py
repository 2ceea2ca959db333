"""A proof, in ball arithmetic, of what a file's floats are: is the stored joint prior positive definite, and by how much?

The formulas of the core never factorise Sigma: they follow from its parameters, for which positive definiteness is a theorem.
What the theorem does not cover is rounding: the frames Q_i that the file's parameters give in float32 or float64 are orthogonal
to some 1e-7 or 1e-16 only. So Sigma is taken as stored,

    Sigma_ii = I,   Sigma_ij = Q_i diag(c_ij) Q_j^T   from the floats Q_i and c_ij, without any further rounding

and factorised, Sigma - x I = L D L^T, in balls of ``BITS`` bits: rigorous enclosures of the exact pivots. All D > 0 proves that
every eigenvalue is above x; a D < 0 proves that one is below x (Sylvester's law of inertia). A pivot whose ball holds 0 proves
nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

import numpy as np

import jpvae_core as jc

from ..errors import ConfigError, MissingDependency
from .inspection import NUMPY

BITS = 256  # of a ball's centre: entries are exact products of floats, three times 53 bits at most
TIGHT = (
    1e-9,
    1e-6,
    1e-3,
    0.1,
)  # how far the proven bounds may lie from a numerical eigenvalue, relatively: the first that holds


@dataclass(frozen=True)
class Certificate:
    """What was proved of a stored joint prior.

    positive_definite: True or False, both proved; None where neither could be. at_least, at_most: proven bounds of the smallest
    eigenvalue of Sigma (minus infinity and infinity where there are none). orthogonality_defect: a proven upper bound of the
    largest |Q_i^T Q_i - I|, Frobenius norm.
    """

    dtype: str
    size: int
    positive_definite: bool | None
    at_least: float
    at_most: float
    orthogonality_defect: float

    def __str__(self) -> str:
        head = f"Sigma ({self.size} x {self.size}, as stored in {self.dtype}) "
        if self.positive_definite is None:
            return head + (
                "could not be decided: its smallest eigenvalue is closer to 0 than the enclosure is wide. In exact arithmetic "
                "its parameters give a positive definite prior, whatever their values."
            )
        least, most = _printed(self.at_least, ROUND_FLOOR), _printed(self.at_most, ROUND_CEILING)
        if not self.positive_definite and self.orthogonality_defect > 0.01:  # no rounding of parameters met in training
            return head + (
                f"is NOT positive definite: proved, it has an eigenvalue below {most}. Its frames are not orthogonal (off by "
                f"{self.orthogonality_defect:.1e}): their parameters are too large for the Cayley transform in {self.dtype}. "
                "Retrain, or check where the file comes from."
            )
        if not self.positive_definite:
            return head + (
                f"is NOT positive definite: proved, it has an eigenvalue below {most}. The coupling is within rounding of 1 "
                f"(the frames are orthogonal to {self.orthogonality_defect:.1e} only). In exact arithmetic the parameters give "
                "a positive definite prior, which is what the core's formulas compute with; retrain with dtype='float64' or a "
                "smaller alpha before you use Sigma as a matrix."
            )
        return head + (
            f"is positive definite: proved. Its smallest eigenvalue lies in [{least}, {most}]; the frames are orthogonal to "
            f"{self.orthogonality_defect:.1e}."
        )


def _printed(bound: float, rounding: str) -> str:
    """Nine digits of a proven bound, rounded outwards: what is printed is proven too."""
    return str(Context(prec=9, rounding=rounding).create_decimal(Decimal(bound)).normalize())


def certify(prior: jc.JointPrior, dtype: str) -> Certificate:
    """Prove what can be proved. prior: its arrays in NumPy, in the dtype that they are stored in.

    Raises MissingDependency without python-flint, ConfigError for an entry that is not finite.
    """
    arrays = [*(q for q in prior.frames if q is not None), prior.max_singular_value()]
    if not all(np.isfinite(np.asarray(x)).all() for x in arrays):
        raise ConfigError("prior has an entry that is not finite; expected finite frames and couplings")
    try:
        import flint
    except ModuleNotFoundError as error:
        raise MissingDependency("the proof needs python-flint: pip install 'jpvae[verify]'") from error
    precision, flint.ctx.prec = flint.ctx.prec, BITS
    try:
        frames = [_balls(flint, np.eye(n) if q is None else q) for n, q in zip(prior.dims, prior.frames, strict=True)]
        sigma = _sigma(flint, prior, frames)
        defect = max(_defect(flint, q) for q in frames)
        at_least, at_most = _smallest_eigenvalue(sigma)
        sign = _sign(sigma, 0.0)
    finally:
        flint.ctx.prec = precision
    positive = None if sign == 0 else sign > 0
    if positive:
        at_least = max(at_least, 0.0)  # what the sign proves
    elif positive is False:
        at_most = min(at_most, 0.0)
    return Certificate(dtype, sum(prior.dims), positive, at_least, at_most, defect)


def _balls(flint: Any, x: Any) -> Any:
    """A matrix of floats, exactly."""
    return flint.arb_mat([[flint.arb(float(value)) for value in row] for row in x])


def _sigma(flint: Any, prior: jc.JointPrior, frames: list[Any]) -> Any:
    """Sigma from the stored floats."""
    starts, size = np.cumsum([0, *prior.dims]), sum(prior.dims)
    sigma = flint.arb_mat(size, size)
    for k in range(size):
        sigma[k, k] = 1
    if not np.any(np.asarray(prior.max_singular_value())):
        return sigma
    for j in range(len(prior.dims)):
        for i in range(j):
            c = _balls(flint, np.diag(np.asarray(prior.coupling.correlation(NUMPY, i, j))))
            block = frames[i] * c * frames[j].transpose()
            for r in range(prior.dims[i]):
                for s in range(prior.dims[j]):
                    sigma[int(starts[i]) + r, int(starts[j]) + s] = block[r, s]
                    sigma[int(starts[j]) + s, int(starts[i]) + r] = block[r, s]
    return sigma


def _defect(flint: Any, q: Any) -> float:
    """An upper bound of |Q^T Q - I|."""
    gram, total = q.transpose() * q, flint.arb(0)
    for r in range(gram.nrows()):
        for s in range(gram.ncols()):
            total += (gram[r, s] - (1 if r == s else 0)) ** 2
    return 0.0 if total == 0 else math.nextafter(float(total.sqrt().upper()), math.inf)  # == is certain


def _sign(sigma: Any, shift: float) -> int:
    """1 where all eigenvalues of sigma are proved to be above ``shift``, -1 where one is proved to be below, else 0."""
    size = sigma.nrows()
    a = [[sigma[r, s] for s in range(r + 1)] for r in range(size)]  # the lower triangle
    for k in range(size):
        pivot = a[k][k] - shift
        if not pivot > 0:
            return -1 if pivot < 0 else 0
        for r in range(k + 1, size):
            factor = a[r][k] / pivot
            for s in range(k + 1, r + 1):
                a[r][s] -= factor * a[s][k]
    return 1


def _smallest_eigenvalue(sigma: Any) -> tuple[float, float]:
    """Proven bounds; as close together as a numerical eigenvalue, which is only a guess here, makes them."""
    size = sigma.nrows()
    guess = float(np.linalg.eigvalsh([[float(sigma[r, s].mid()) for s in range(size)] for r in range(size)])[0])
    rounding = size * float(np.finfo(np.float64).eps)  # of eigvalsh
    lower, upper = -math.inf, math.inf
    for tight in TIGHT:
        reach = max(abs(guess) * tight, rounding)
        if lower == -math.inf and _sign(sigma, guess - reach) > 0:
            lower = guess - reach
        if upper == math.inf and _sign(sigma, guess + reach) < 0:
            upper = guess + reach
    return lower, upper
