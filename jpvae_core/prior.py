"""The joint prior N(0, Sigma) over the latents of M views: identity blocks on the diagonal, cross-covariances C_ij off it.

Every prior here is a set of semi-orthogonal frames Q_i (n_i x d) and a coupling of the rotated coordinates
y_i = Q_i^T z_i, in which the d directions are independent of each other; the complement of each frame is standard normal:

    C_ij = Cov(z_i, z_j) = Q_i diag(c_ij) Q_j^T.

Two views are coupled by signed correlations (pair.py), any number by loadings on a shared source (loadings.py), or not at all
(coupling.py). Sigma is positive definite for every parameter value; nothing is checked, clipped or jittered at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ._checks import check_dtype, check_frame, check_last, check_square
from ._xp import Array, Namespace, device, eye_like, namespace
from .bounds import Bounded, number_bound, sigmoid_bound, tanh_bound
from .coupling import Coupling, Uncoupled
from .errors import ShapeError
from .loadings import Loadings
from .pair import Pair

Frame = Array | None  # None is the identity: no product to compute


def rotate(x: Array, frame: Frame) -> Array:
    """Rows z (..., B, n) -> their frame coordinates Q^T z (..., B, d)."""
    return x if frame is None else x @ frame


def expand(xp: Namespace, y: Array, frame: Frame) -> Array:
    """Frame coordinates y (..., B, d) -> Q y (..., B, n)."""
    return y if frame is None else y @ xp.matrix_transpose(frame)


def dense(xp: Namespace, like: Array, n: int, frame: Frame, d: int) -> Array:
    """The frame as an array (..., n, d). (Of independent views d = 0: they share no direction.)"""
    return eye_like(xp, like, n, d) if frame is None else frame


def sandwich(xp: Namespace, left: Array, diagonal: Array, right: Array) -> Array:
    """Q_i diag(c) Q_j^T: (..., n_i, d), (..., d), (..., n_j, d) -> (..., n_i, n_j)."""
    return (left * diagonal[..., None, :]) @ xp.matrix_transpose(right)


def square(frame: Frame) -> bool:
    """True where the frame is an orthogonal matrix, so that its complement is empty."""
    return frame is None or frame.shape[-1] == frame.shape[-2]


@dataclass(frozen=True)
class JointPrior:
    """A joint Gaussian prior N(0, Sigma) over M latent vectors; make one with a constructor below.

    dims: the latent sizes (n_1, ..., n_M). Parameters may carry leading batch axes (a stack of models).
    """

    dims: tuple[int, ...]
    frames: tuple[Frame, ...]
    coupling: Coupling

    @staticmethod
    def independent(dims: Sequence[int]) -> JointPrior:
        """C = 0: M ordinary VAEs side by side. dims: M positive integers."""
        sizes = tuple(int(n) for n in dims)
        if not sizes or min(sizes) < 1:
            raise ShapeError(f"dims is {sizes}; expected one positive latent size per view")
        return JointPrior(sizes, (None,) * len(sizes), Uncoupled(sizes))

    @staticmethod
    def orthogonal(rotation: Array, alpha: float | Array) -> JointPrior:
        """C = Cov(z_2, z_1) = alpha * rotation (Thm 2.2): two views of one latent size.

        rotation: (..., n, n) orthogonal; alpha: a number or (...), |alpha| < 1.
        Raises NotAContraction for a number outside (-1, 1), ShapeError where rotation is not square.
        """
        namespace(rotation, None if isinstance(alpha, Real) else alpha)
        check_dtype(rotation=rotation)
        n = check_square("rotation", rotation)
        bounded = Bounded(*(t[..., None] for t in number_bound(alpha, rotation)))
        return JointPrior((n, n), (None, rotation), Pair(bounded, n))

    @staticmethod
    def svd(U: Array, logits: Array, V: Array, bound: str = "sigmoid") -> JointPrior:
        """C = Cov(z_2, z_1) = U diag(s) V^T with every s inside its bound, so sigma_1(C) < 1 (Thm 2.1): two views.

        U: (..., n_2, d) and V: (..., n_1, d) semi-orthogonal; logits: (..., d).
        bound: "sigmoid", s in (0, 1), or "tanh", s = tanh(logits/2) in (-1, 1).
        """
        namespace(U, logits, V)
        check_dtype(U=U, logits=logits, V=V)
        (n2, d), (n1, d_v) = check_frame("U", U), check_frame("V", V)
        if d != d_v:
            raise ShapeError(f"V has shape {tuple(V.shape)}; expected {d} columns, as U of shape {tuple(U.shape)} has")
        check_last("logits", logits, d, "one per column of U and V")
        bounds = {"sigmoid": sigmoid_bound, "tanh": tanh_bound}
        if bound not in bounds:
            raise ValueError(f"bound is {bound!r}; expected one of {sorted(bounds)}")
        return JointPrior((n1, n2), (V, U), Pair(bounds[bound](logits), d))

    @staticmethod
    def canonical(frames: Sequence[Array], logits: float | Array) -> JointPrior:
        """M views on one shared source: C_ij = Q_i diag(a_i a_j) Q_j^T with squared loadings a^2 = sigmoid(logits).

        frames: M arrays (..., n_i, d) semi-orthogonal; logits: (..., M, d), or one number for
        all loadings; accurate for |logits| <= 80 in float32.
        Two views with equal logits are ``svd(Q_2, logits, Q_1)``; all loadings equal is the orthogonal variant, alpha = a^2.
        Source: a factor model in rotated coordinates; the paper has two views only.
        """
        if not frames:
            raise ShapeError("frames is empty; expected one frame per view")
        xp = namespace(*frames, None if isinstance(logits, Real) else logits)
        table: Array = logits
        if isinstance(logits, Real):
            shape = (len(frames), frames[0].shape[-1])
            table = xp.full(shape, float(logits), dtype=frames[0].dtype, device=device(frames[0]))
        check_dtype(logits=table, **{f"frames[{i}]": q for i, q in enumerate(frames)})
        shapes = [check_frame(f"frames[{i}]", q) for i, q in enumerate(frames)]
        if table.ndim < 2 or tuple(table.shape[-2:]) != (len(frames), shapes[0][1]) or len({d for _, d in shapes}) > 1:
            raise ShapeError(
                f"frames have shapes {[tuple(q.shape) for q in frames]} and logits {tuple(table.shape)}; "
                f"expected M frames (..., n_i, d) and logits (..., M, d)"
            )
        return JointPrior(tuple(n for n, _ in shapes), tuple(frames), Loadings.of(xp, table))

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Every array this prior holds (empty for independent views)."""
        return tuple(q for q in self.frames if q is not None) + self.coupling.arrays

    @property
    def named_arrays(self) -> dict[str, Array]:
        """The arrays by a name that an error message can show."""
        return {f"prior.arrays[{k}]": x for k, x in enumerate(self.arrays)}

    @property
    def noise_dim(self) -> int:
        """How many standard normals per row ``complete`` and ``sample`` take: the source's, then n_1, ..., n_M."""
        return sum(self.dims) + self.coupling.noise_dim

    def cross_covariance(self, i: int, j: int) -> Array:
        """Cov(z_i, z_j) = Q_i diag(c_ij) Q_j^T, shape (..., n_i, n_j); the identity for i = j. Eq. 6's C is (1, 0).

        An independent prior holds no array to imitate and answers in NumPy float64.
        Error: (d/2 + 1/2 + r) eps |Q_i| diag|c_ij| |Q_j|^T entry by entry, r the coefficients' own (docs/error-analysis.md).
        """
        xp, like = self._library()
        if i == j:
            return eye_like(xp, like, self.dims[i])
        return self._block(xp, like, i, j, self.coupling.correlation(xp, i, j))

    def covariance(self) -> Array:
        """Sigma, dense, (..., N, N) with N = sum n_i (Eq. 6). For tests and reports: nothing in the KL needs it.

        Error: that of ``cross_covariance``; the diagonal blocks are exact.
        """
        return self._assemble(self.cross_covariance)

    def precision(self) -> Array:
        """Sigma^{-1}, dense, (..., N, N), in closed form (Eq. 8 for two views): no inverse is taken.

        Error: (d/2 + 1 + r) eps (I + |Q_i| diag|c| |Q_j|^T) entry by entry, c the directional coefficients of Sigma^{-1}.
        """
        xp, like = self._library()

        def block(i: int, j: int) -> Array:
            coupled = self._block(xp, like, i, j, self.coupling.precision(xp, i, j))
            return eye_like(xp, like, self.dims[i]) + coupled if i == j else coupled

        return self._assemble(block)

    def log_det(self) -> Array:
        """log|Sigma| in nats, shape (...), at most 0.

        Relative error: (d/2 + 18.5) eps for two views, (d/2 + 2M + 19) eps for any number: for weak and strong coupling alike.
        """
        xp, _ = self._library()
        return self.coupling.log_det(xp)

    def max_singular_value(self) -> Array:
        """The largest singular value of any C_ij, shape (...): below 1 in exact arithmetic (Thm 2.1).

        Relative error: that of s, or of a_i a_j.
        """
        xp, _ = self._library()
        return self.coupling.max_correlation(xp)

    def _library(self) -> tuple[Namespace, Array]:
        arrays: tuple[Any, ...] = self.arrays or (np.zeros(()),)
        return namespace(*arrays), arrays[0]

    def _block(self, xp: Namespace, like: Array, i: int, j: int, diagonal: Array) -> Array:
        d = diagonal.shape[-1]
        left, right = (dense(xp, like, self.dims[k], self.frames[k], d) for k in (i, j))
        return sandwich(xp, left, diagonal, right)

    def _assemble(self, block: Any) -> Array:
        xp, _ = self._library()
        M = range(len(self.dims))
        grid = [[block(i, j) for j in M] for i in M]
        lead: tuple[int, ...] = ()
        for b in (b for row in grid for b in row):
            lead = _joint_shape(lead, tuple(b.shape[:-2]))
        wide = [[xp.broadcast_to(b, (*lead, *b.shape[-2:])) for b in row] for row in grid]
        return xp.concat([xp.concat(row, axis=-1) for row in wide], axis=-2)


def _joint_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a and b broadcast to (plain integers, so that compilers trace through it)."""
    size = max(len(a), len(b))
    a, b = (1,) * (size - len(a)) + a, (1,) * (size - len(b)) + b
    return tuple(n if m == 1 else m for m, n in zip(a, b, strict=True))
