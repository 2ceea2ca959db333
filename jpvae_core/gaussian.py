"""The Gaussian N(0, Sigma) over the latents of M views of given frames and coupling: its sizes, its matrices, its check.

Identity blocks on the diagonal, cross-covariances C_ij off it: semi-orthogonal frames Q_i (n_i x d), and a coupling of the
rotated coordinates y_i = Q_i^T z_i, in which the d directions are independent of each other; the complement of each frame is
standard normal:

    C_ij = Cov(z_i, z_j) = Q_i diag(c_ij) Q_j^T.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Self

import numpy as np

from ._array_api import A_co, Array, Namespace, of_kind
from ._checks import values_of
from ._chosen import one_of_them
from ._named import number
from ._xp import eye_like, namespace, public
from .coupling import Coupling
from .errors import NotAContraction, NotOrthogonal
from .rotated import dense, joint_shape, sandwich


@dataclass(frozen=True, eq=False)
class JointGaussian(Generic[A_co]):
    """What ``JointPrior`` (prior.py) is once it is made."""

    dims: tuple[int, ...]
    frames: tuple[A_co | None, ...]
    coupling: Coupling
    names: tuple[str, ...] | None = None

    @property
    def _state(self) -> tuple[Array, ...]:
        return (*(q for q in self.frames if q is not None), *self.coupling.state)

    @property
    def _lead(self) -> tuple[int, ...]:
        """The leading axes of a stack of priors; () of one."""
        lead: tuple[int, ...] = ()
        for q in self.frames:
            lead = lead if q is None else joint_shape(lead, tuple(q.shape[:-2]))
        for x in self.coupling.arrays:
            lead = joint_shape(lead, tuple(x.shape[: x.ndim - self.coupling.axes]))
        return lead

    @property
    def rank(self) -> int:
        """d: the number of directions that the views share (0: independent views)."""
        return self.coupling.rank

    @property
    def dtype(self) -> Any:
        """That of its arrays, as their library names it; NumPy's float64 for independent views without ``like``."""
        return self._library()[1].dtype

    @property
    def device(self) -> Any:
        """Where its arrays are, as their library names it; "cpu" for independent views without ``like``."""
        where: Any = self._library()[1]
        return where.device

    @property
    def arrays(self) -> tuple[A_co, ...]:
        """Every array this prior holds (empty for independent views)."""
        held: Any = self.coupling.arrays
        return (*(q for q in self.frames if q is not None), *held)

    @property
    def named_arrays(self) -> dict[str, Array]:
        """The arrays by a name that an error message can show."""
        return {f"prior.arrays[{k}]": x for k, x in enumerate(self.arrays)}

    @property
    def noise_dim(self) -> int:
        """How many standard normals per row ``complete`` and ``sample`` take: the source's, then n_1, ..., n_M."""
        return sum(self.dims) + self.coupling.noise_dim

    @public
    def cross_covariance(self, i: int | str, j: int | str) -> A_co:
        """Cov(z_i, z_j) = Q_i diag(c_ij) Q_j^T; the identity for i = j. Eq. 6's C is (1, 0).

        An independent prior holds no array to imitate and answers in NumPy float64.
        Error: (d/2 + 1/2 + r) eps |Q_i| diag|c_ij| |Q_j|^T entry by entry, r the coefficients' own (docs/error-analysis.md).

        Parameters
        ----------
        i, j : int or str
            Views, by index or by name.

        Returns
        -------
        array (..., n_i, n_j)

        Raises
        ------
        ShapeError, ArgumentError
        """
        i, j = (one_of_them(name, at, len(self.dims), self.names) for name, at in (("i", i), ("j", j)))
        xp, like = self._library()
        if i == j:
            return of_kind(like, eye_like(xp, like, self.dims[i]))
        return of_kind(like, self._block(xp, like, i, j, self.coupling.correlation(xp, i, j)))

    @public
    def covariance(self) -> A_co:
        """Sigma, dense (Eq. 6). For tests and reports: nothing in the KL needs it.

        Error: that of ``cross_covariance``; the diagonal blocks are exact.

        Returns
        -------
        array (..., N, N)
            N = sum n_i.
        """
        return self._assemble(self.cross_covariance)

    @public
    def precision(self) -> A_co:
        """Sigma^{-1}, dense, in closed form (Eq. 8 for two views): no inverse is taken.

        Error: (d/2 + 1 + r) eps (I + |Q_i| diag|c| |Q_j|^T) entry by entry, c the directional coefficients of Sigma^{-1}.

        Returns
        -------
        array (..., N, N)
            N = sum n_i.
        """
        xp, like = self._library()

        def block(i: int, j: int) -> Array:
            coupled = self._block(xp, like, i, j, self.coupling.precision(xp, i, j))
            return eye_like(xp, like, self.dims[i]) + coupled if i == j else coupled

        return self._assemble(block)

    @public
    def log_det(self) -> A_co:
        """log|Sigma| in nats, at most 0.

        Relative error: (d/2 + 14.5) eps for two views, (d/2 + 2M + 19) eps for any number: for weak and strong coupling alike.

        Returns
        -------
        array (...)
        """
        xp, like = self._library()
        return of_kind(like, self.coupling.log_det(xp))

    @public
    def max_singular_value(self) -> A_co:
        """The largest singular value of any C_ij: below 1 in exact arithmetic (Thm 2.1).

        Relative error: that of s, or of a_i a_j.

        Returns
        -------
        array (...)
        """
        xp, like = self._library()
        return of_kind(like, self.coupling.max_correlation(xp))

    @public
    def orthogonality_defect(self) -> A_co:
        """The largest entry of any |Q_i^T Q_i - I|: 0 where the frames are what they should be.

        Everything else here takes orthonormal columns for granted: ``max_singular_value`` never reads the frames.

        Returns
        -------
        array (...)

        Examples
        --------
        >>> import numpy as np, jpvae_core as jc
        >>> float(jc.JointPrior.orthogonal(2.0 * jc.skew(np.ones(1), 2), 0.5).orthogonality_defect())
        3.0
        """
        xp, like = self._library()
        largest = xp.zeros_like(self.coupling.max_correlation(xp))
        for q in self.frames:
            if q is not None:
                gram = xp.matrix_transpose(q) @ q
                defect = xp.max(xp.abs(gram - eye_like(xp, q, q.shape[-1])), axis=-1)
                largest = xp.maximum(*xp.broadcast_arrays(largest, xp.max(defect, axis=-1)))
        return of_kind(like, largest)

    def check(self, tolerance: float | None = None) -> Self:
        """The prior itself, after a look at its values: orthonormal frames, and parameters that make Sigma positive definite.

        Frames are orthonormal to within the tolerance only, which moves Sigma's eigenvalues by about as much: under a coupling
        closer to 1 than that, whether the numbers as stored are positive definite is for ``jpvae verify`` to prove.
        It reads values, so it works on concrete arrays only, not under jit or compile, and waits for a GPU: call it once.

        Parameters
        ----------
        tolerance : number, or None
            The ``orthogonality_defect`` allowed; None: the square root of the dtype's eps.

        Returns
        -------
        JointPrior

        Raises
        ------
        NotOrthogonal
        NotAContraction
            If log|Sigma| is not finite: |alpha| >= 1, or a logit that is not a number.
        ArgumentError
        """
        xp, like = self._library()
        allowed = math.sqrt(xp.finfo(like.dtype).eps) if tolerance is None else number("tolerance", tolerance)
        found = float(values_of("the prior", self.orthogonality_defect()).max())
        if not found <= allowed:
            raise NotOrthogonal(
                f"the frames are not orthonormal: the largest entry of |Q^T Q - I| is {found:.2g}; "
                f"expected at most {allowed:.2g}. Make frames with jc.orthogonal or jc.frame (jc.skew alone gives no "
                "rotation), or pass tolerance."
            )
        with np.errstate(all="ignore"):
            log_det = values_of("the prior", self.log_det())
        if not np.isfinite(log_det).all():
            raise NotAContraction(
                f"log|Sigma| is {log_det.min():.2g}; expected a finite number. Check alpha (-1 < alpha < 1) or the logits: "
                "no parameter may be NaN."
            )
        return self

    def _library(self) -> tuple[Namespace, A_co]:
        arrays: tuple[Any, ...] = self.arrays or (np.zeros(()),)
        return namespace(*arrays), arrays[0]

    def _block(self, xp: Namespace, like: Array, i: int, j: int, diagonal: Array) -> Array:
        d = diagonal.shape[-1]
        left, right = (dense(xp, like, self.dims[k], self.frames[k], d) for k in (i, j))
        return sandwich(xp, left, diagonal, right)

    def _assemble(self, block: Callable[[int, int], Array]) -> A_co:
        xp, like = self._library()
        M = range(len(self.dims))
        grid = [[block(i, j) for j in M] for i in M]
        wide = [[xp.broadcast_to(b, (*self._lead, *b.shape[-2:])) for b in row] for row in grid]
        return of_kind(like, xp.concat([xp.concat(row, axis=-1) for row in wide], axis=-2))
