"""The joint prior N(0, Sigma) over the latents of M views: identity blocks on the diagonal, cross-covariances C_ij off it.

Every prior here is a set of semi-orthogonal frames Q_i (n_i x d) and a coupling of the rotated coordinates
y_i = Q_i^T z_i, in which the d directions are independent of each other; the complement of each frame is standard normal:

    C_ij = Cov(z_i, z_j) = Q_i diag(c_ij) Q_j^T.

Two views are coupled by signed correlations (pair.py), any number by loadings on a shared source (loadings.py), or not at all
(coupling.py). Sigma is positive definite for every parameter value; nothing is checked, clipped or jittered at run time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ._checks import array_of, check_dtype, check_frame, check_last, check_square
from ._xp import Array, Namespace, device, eye_like, namespace, to_numpy, without_autocast
from .bounds import Bounded, number_bound, sigmoid_bound, tanh_bound
from .coupling import Coupling, Uncoupled
from .errors import NotAContraction, NotOrthogonal, ShapeError
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
    @without_autocast
    def orthogonal(rotation: Array, alpha: float | Array, *, validate: bool = False) -> JointPrior:
        """C = Cov(z_2, z_1) = alpha * rotation (Thm 2.2): two views of one latent size.

        rotation: (..., n, n) orthogonal; alpha: a number or (...), |alpha| < 1; validate: whether to ``check`` the values.
        Raises NotAContraction for a number outside (-1, 1), ShapeError where rotation is not square.
        """
        namespace(rotation, array_of(alpha))
        check_dtype(rotation=rotation)
        n = check_square("rotation", rotation)
        bounded = Bounded(*(t[..., None] for t in number_bound(alpha, rotation)))
        prior = JointPrior((n, n), (None, rotation), Pair(bounded, n))
        return prior.check() if validate else prior

    @staticmethod
    @without_autocast
    def svd(U: Array, logits: Array, V: Array, bound: str = "sigmoid", *, validate: bool = False) -> JointPrior:
        """C = Cov(z_2, z_1) = U diag(s) V^T with every s inside its bound, so sigma_1(C) < 1 (Thm 2.1): two views.

        U: (..., n_2, d) and V: (..., n_1, d) semi-orthogonal; logits: (..., d).
        bound: "sigmoid", s in (0, 1), or "tanh", s = tanh(logits/2) in (-1, 1); validate: whether to ``check`` the values.
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
        prior = JointPrior((n1, n2), (V, U), Pair(bounds[bound](logits), d))
        return prior.check() if validate else prior

    @staticmethod
    @without_autocast
    def canonical(frames: Sequence[Array] | None, logits: float | Array, *, validate: bool = False) -> JointPrior:
        """M views on one shared source: C_ij = Q_i diag(a_i a_j) Q_j^T with squared loadings a^2 = sigmoid(logits).

        frames: M arrays (..., n_i, d) semi-orthogonal, or None: every one is the identity, the latents are coupled one by one;
        logits: (..., M, d), or one number for all loadings (with frames alone); beyond +-88.72 (float64: +-709.78) as there;
        validate: whether to ``check`` the values.
        Two views with equal logits are ``svd(Q_2, logits, Q_1)``; all loadings equal is the orthogonal variant, alpha = a^2.
        Source: a factor model in rotated coordinates; the paper has two views only.
        """
        if frames is None:
            return JointPrior._one_by_one(array_of(logits), validate=validate)
        if not frames:
            raise ShapeError("frames is empty; expected one frame per view")
        xp = namespace(*frames, array_of(logits))
        table: Any = logits
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
        prior = JointPrior(tuple(n for n, _ in shapes), tuple(frames), Loadings.of(xp, table))
        return prior.check() if validate else prior

    @staticmethod
    def _one_by_one(logits: Array | None, *, validate: bool) -> JointPrior:
        """``canonical`` without rotations."""
        if logits is None or logits.ndim < 2 or 0 in logits.shape:
            found = None if logits is None else tuple(logits.shape)
            raise ShapeError(f"logits has shape {found}; expected (..., M, d), one per view and latent, where frames is None")
        check_dtype(logits=logits)
        views, d = logits.shape[-2:]
        prior = JointPrior((d,) * views, (None,) * views, Loadings.of(namespace(logits), logits))
        return prior.check() if validate else prior

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

    @without_autocast
    def cross_covariance(self, i: int, j: int) -> Array:
        """Cov(z_i, z_j) = Q_i diag(c_ij) Q_j^T, shape (..., n_i, n_j); the identity for i = j. Eq. 6's C is (1, 0).

        An independent prior holds no array to imitate and answers in NumPy float64.
        Error: (d/2 + 1/2 + r) eps |Q_i| diag|c_ij| |Q_j|^T entry by entry, r the coefficients' own (docs/error-analysis.md).
        """
        xp, like = self._library()
        if i == j:
            return eye_like(xp, like, self.dims[i])
        return self._block(xp, like, i, j, self.coupling.correlation(xp, i, j))

    @without_autocast
    def covariance(self) -> Array:
        """Sigma, dense, (..., N, N) with N = sum n_i (Eq. 6). For tests and reports: nothing in the KL needs it.

        Error: that of ``cross_covariance``; the diagonal blocks are exact.
        """
        return self._assemble(self.cross_covariance)

    @without_autocast
    def precision(self) -> Array:
        """Sigma^{-1}, dense, (..., N, N), in closed form (Eq. 8 for two views): no inverse is taken.

        Error: (d/2 + 1 + r) eps (I + |Q_i| diag|c| |Q_j|^T) entry by entry, c the directional coefficients of Sigma^{-1}.
        """
        xp, like = self._library()

        def block(i: int, j: int) -> Array:
            coupled = self._block(xp, like, i, j, self.coupling.precision(xp, i, j))
            return eye_like(xp, like, self.dims[i]) + coupled if i == j else coupled

        return self._assemble(block)

    @without_autocast
    def log_det(self) -> Array:
        """log|Sigma| in nats, shape (...), at most 0.

        Relative error: (d/2 + 14.5) eps for two views, (d/2 + 2M + 19) eps for any number: for weak and strong coupling alike.
        """
        xp, _ = self._library()
        return self.coupling.log_det(xp)

    @without_autocast
    def max_singular_value(self) -> Array:
        """The largest singular value of any C_ij, shape (...): below 1 in exact arithmetic (Thm 2.1).

        Relative error: that of s, or of a_i a_j.
        """
        xp, _ = self._library()
        return self.coupling.max_correlation(xp)

    @without_autocast
    def orthogonality_defect(self) -> Array:
        """The largest entry of any |Q_i^T Q_i - I|, shape (...): 0 where the frames are what they should be.

        Everything else here takes orthonormal columns for granted: ``max_singular_value`` never reads the frames.

        >>> import jpvae_core as jc
        >>> float(jc.JointPrior.orthogonal(2.0 * jc.skew(np.ones(1), 2), 0.5).orthogonality_defect())
        3.0
        """
        xp, _ = self._library()
        largest = xp.zeros_like(self.coupling.max_correlation(xp))
        for q in self.frames:
            if q is not None:
                gram = xp.matrix_transpose(q) @ q
                defect = xp.max(xp.abs(gram - eye_like(xp, q, q.shape[-1])), axis=-1)
                largest = xp.maximum(*xp.broadcast_arrays(largest, xp.max(defect, axis=-1)))
        return largest

    def check(self, tolerance: float | None = None) -> JointPrior:
        """The prior itself, after a look at its values: orthonormal frames, and a positive definite Sigma.

        tolerance: the ``orthogonality_defect`` allowed; the square root of the dtype's eps without it.
        It reads values, so it works on concrete arrays only, not under jit or compile, and waits for a GPU: call it once.
        Raises NotOrthogonal; NotAContraction where log|Sigma| is not finite: |alpha| >= 1 or a logit that is not a number.
        """
        xp, like = self._library()
        allowed = math.sqrt(xp.finfo(like.dtype).eps) if tolerance is None else tolerance
        found = float(to_numpy(self.orthogonality_defect()).max())
        if not found <= allowed:
            raise NotOrthogonal(
                f"the frames are not orthonormal: the largest entry of |Q^T Q - I| is {found:.2g}; "
                f"expected at most {allowed:.2g}. Make frames with jc.orthogonal or jc.frame (jc.skew alone gives no "
                "rotation), or pass tolerance."
            )
        with np.errstate(all="ignore"):
            log_det = to_numpy(self.log_det())
        if not np.isfinite(log_det).all():
            raise NotAContraction(
                f"log|Sigma| is {log_det.min():.2g}; expected a finite number. Check alpha (-1 < alpha < 1) or the logits: "
                "no parameter may be NaN."
            )
        return self

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
