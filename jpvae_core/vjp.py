"""Vector-Jacobian products in closed form: the gradients of the core for engines without automatic differentiation.

One function per function of the core, of the same name, used as ``from jpvae_core import vjp; vjp.kl_divergence(...)``. It
takes inputs that the forward function has accepted (and its output where that saves work) and the cotangent of the output,
and returns cotangents of the inputs, shaped as they are: axes along which an input was broadcast are summed.

A frame's cotangent is given up to Q S, S symmetric: Q^T Q = I makes dQ orthogonal to Q S, so S has no effect on any parameter.
This frees the formulas of |m|^2 + |outside|^2 = |mu|^2, which does not depend on Q.

"Error: c eps" means: every entry is within c eps of that gradient's formula with all terms in absolute value, for inputs as
given (docs/error-analysis.md has the smaller c of each output; n = max n_i, B rows, M views, d directions).
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from ._array_api import Array, Namespace
from ._bits import bits_of, keep
from ._checks import check_dtype, check_frame, check_last, check_posterior, check_rows, check_square, check_views
from ._fused_frames_vjp import fused_in_frames
from ._fused_vjp import fused
from ._xp import asarray_like, device, eye_like, indices_like, namespace, public, solve, sum_to
from .bounds import Bounded, within
from .conditioning import check_latents, door
from .coupling import Arrays
from .frames import Signs
from .fused_frames import FusedInFrames
from .fused_latents import Fused
from .prior import JointPrior
from .rotated import expand, rotate, square
from .sampling import split_noise
from .skew import _places
from .skew import skew as skew_matrix

Views = tuple[Array, ...]


class PriorCotangent(NamedTuple):
    """Of ``prior.frames`` (None for the identity) and of the coupling: for a Pair a Bounded of cotangents, shaped as
    ``prior.coupling.bounded``; for Loadings their logits' (..., M, d); None for independent views.
    """

    frames: tuple[Array | None, ...]
    coupling: Bounded[Any] | Array | None

    def plus(self, other: PriorCotangent) -> PriorCotangent:
        """The sum with another cotangent of the same prior, part by part."""
        frames = tuple(f if f is None else f + g for f, g in zip(self.frames, other.frames, strict=True))
        mine: Any = self.coupling
        theirs: Any = other.coupling
        if isinstance(mine, Bounded):
            return PriorCotangent(frames, Bounded(*(s + t for s, t in zip(mine, theirs, strict=True))))
        return PriorCotangent(frames, None if mine is None else mine + theirs)


@public
def skew(cotangent: Array, n: int) -> Array:
    """Of ``A = skew(params, n)``: params_bar[k] = A_bar[i, j] - A_bar[j, i].

    cotangent: A_bar (..., n, n)  ->  (..., n(n-1)/2). Error: 1/2 eps.
    """
    xp = namespace(cotangent)
    upper = indices_like(xp, cotangent, _places(n).params)
    twist = cotangent - xp.matrix_transpose(cotangent)
    return xp.take(xp.reshape(twist, (*twist.shape[:-2], n * n)), upper, axis=-1)


@public
def cayley(Q: Array, cotangent: Array) -> Array:
    """Of ``Q = cayley(A)``: A_bar = 2 M^T Q_bar M^T with M = (I - A)^{-1} = (Q + I)/2, its skew part. No solve is needed.

    Q (as returned), cotangent: (..., n, n)  ->  (..., n, n), exactly skew. Error: (n + 3/2) eps.
    """
    xp = namespace(Q, cotangent)
    # Q = 2M - I, dM = M dA M: <Q_bar, dQ> = 2 <M^T Q_bar M^T, dA>
    Mt = 0.5 * xp.matrix_transpose(Q + eye_like(xp, Q, check_square("Q", Q)))
    A_bar = Mt @ cotangent @ Mt
    return A_bar - xp.matrix_transpose(A_bar)


@public
def frame(params: Array, Q: Array, cotangent: Array, signs: Signs | None = None) -> Array:
    """Of ``Q = frame(params, n, d, signs)``. One solve with d right-hand sides where d < n, none for d = n.

    params: (..., n(n-1)/2); Q (as returned), cotangent: (..., n, d); signs: as given to ``frame``  ->  (..., n(n-1)/2).
    Error: (n + 3/2) eps for d = n; else (d/2 + 1) eps and the solve's, 3n eps |(I + A)^{-1}| P|L||U| |X|, P L U = I + A.
    """
    xp = namespace(params, Q, cotangent)
    check_dtype(params=params, Q=Q, cotangent=cotangent)
    n, d = check_frame("Q", Q)
    check_last("params", params, n * (n - 1) // 2, f"the n(n-1)/2 entries of a skew {n}x{n} matrix")
    check_last("cotangent", cotangent, d, "one per column of Q")
    check_rows("cotangent", cotangent, Q)
    if signs is not None:  # Q = J F, J = J^T = J^{-1}
        plain = isinstance(signs, Sequence | np.ndarray)
        given: Any = signs
        flips = (asarray_like(xp, Q, given) if plain else xp.astype(given, Q.dtype))[..., :, None]
        Q, cotangent = flips * Q, flips * cotangent
    if d == n:
        A_bar = cayley(Q, cotangent)
    else:
        # (I - A) F = (I + A) E with E = I[:, :d], so dF = M dA (F + E) and A_bar = M^T F_bar (F + E)^T, M^T = (I + A)^{-1}
        identity = eye_like(xp, Q, n)
        solved = solve(xp, identity + skew_matrix(params, n), cotangent)
        A_bar = solved @ xp.matrix_transpose(Q + identity[:, :d])
    return sum_to(xp, skew(A_bar, n), params)


@public
def orthogonal(params: Array, Q: Array, cotangent: Array, signs: Signs | None = None) -> Array:
    """Of ``Q = orthogonal(params, n, signs)``: params (..., n(n-1)/2); Q, cotangent (..., n, n)  ->  (..., n(n-1)/2).

    Error: (n + 3/2) eps.
    """
    return frame(params, Q, cotangent, signs)


@public
def sigmoid_bound(logits: Array, cotangent: Bounded[Any]) -> Array:
    """Of ``sigmoid_bound(logits)``. logits: (...); cotangent: a Bounded of (...)  ->  (...), 0 beyond the bound's limit.

    Error: 16.5 eps.
    """
    xp = namespace(logits, *cotangent)
    # with o = e^t:  s' = 1/((1 + o)(1 + 1/o)),   o' = o,   (-1/(2+1/o))' = -o/(1+2o)^2 = -1/((2 + 1/o)(1 + 2o)),
    # (o^2/(1+2o))' = 2 o^2 (1+o)/(1+2o)^2 = 2 (1+o)/(2 + 1/o)^2;   halves, because 2 o may overflow
    odds, inverse, (value, over_minus, over_plus, excess) = *_exponentials(xp, logits), cotangent
    back = 2.0 + inverse
    rising = value / ((1.0 + odds) * (1.0 + inverse)) + over_minus * odds - 0.5 * over_plus / back / (0.5 + odds)
    slope = rising + (1.0 + odds) * (2.0 * excess / back / back)  # 1/back^2 alone passes through 0
    return _inside(xp, logits, slope)


@public
def tanh_bound(logits: Array, cotangent: Bounded[Any]) -> Array:
    """Of ``tanh_bound(logits)``. logits: (...); cotangent: a Bounded of (...)  ->  (...), 0 beyond the bound's limit.

    Error: 12 eps.
    """
    xp = namespace(logits, *cotangent)
    # s' = 2/((1 + e^t)(1 + e^-t)),  (expm1(t)/2)' = e^t/2,  (expm1(-t)/2)' = -e^-t/2,  (sinh(t/2)^2)' = sinh(t)/2
    rise, fall = _exponentials(xp, logits)
    odd = 0.25 * xp.expm1(within(xp, logits)) * (1.0 + fall)
    slopes = (2.0 / ((1.0 + rise) * (1.0 + fall)), 0.5 * rise, -0.5 * fall, odd)
    return _inside(xp, logits, sum(map(mul, cotangent, slopes)))


def _exponentials(xp: Namespace, logits: Array) -> tuple[Array, Array]:
    """e^t and e^-t of the logits within the bounds' limit."""
    t = within(xp, logits)
    return xp.exp(t), xp.exp(-t)


def _inside(xp: Namespace, logits: Array, slope: Array) -> Array:
    """The slope, and 0 where the logits lie beyond the limit."""
    return xp.where(xp.abs(within(xp, logits) - logits) > 0.0, xp.zeros_like(slope), slope)


@public
def number_bound(alpha: float | Array, cotangent: Bounded[Any]) -> Array:
    """Of ``number_bound(alpha, like)``. alpha: a number or (...), cotangent: a Bounded of (...)  ->  (...). Error: 8 eps."""
    s: Any = float(alpha) if isinstance(alpha, Real) else alpha  # a plain number's slopes are taken in double precision
    # (s/(1-s))' = 1/(1-s)^2,  (-s/(1+s))' = -1/(1+s)^2,  (s^2/(1-s^2))' = 2s/(1-s^2)^2
    minus, plus = 1.0 / (1.0 - s), 1.0 / (1.0 + s)
    slopes = (1.0, minus * minus, -plus * plus, 2.0 * s * (minus * plus) * (minus * plus))
    alpha_bar: Array = sum(map(mul, cotangent, slopes))
    return alpha_bar


@public
def kl_divergence(
    prior: JointPrior, means: Arrays, log_vars: Arrays, mask: Array | None, cotangent: Array
) -> tuple[Views, Views, PriorCotangent]:
    """Of ``kl_divergence(prior, means, log_vars, mask)``; a missing view's rows get exactly 0, also where they hold NaN.

    means, log_vars: one array (..., B, n_i) per view; mask: None, (M,) or (..., B, M); cotangent: (..., B), the KL's shape
    -> cotangents of means, of log_vars (tuples, shaped as they are), and of the prior.
    Error: (n + d/2 + B/2 + 20) eps for two views, (n + d/2 + B/2 + 2M + 32 + 6r) eps on a shared source, r the loadings' error
    4 + 2 log(1 + e^|t|).
    """
    xp = namespace(*means, *log_vars, *prior.arrays, mask, cotangent)
    check_posterior(means, log_vars, prior.dims)
    check_latents(prior, means)
    check_last("cotangent", cotangent, means[0].shape[-2], "one per row")
    check_dtype(cotangent=cotangent, **{"means[0]": means[0]})
    bits, mu, log_var = None, means, log_vars
    if mask is not None:
        bits, (mu, log_var) = bits_of(xp, mask, means, log_vars)
    # 2 KL = sum_i [ sum(expm1(l_i) - l_i) + |mu_i|^2 ] + excess(m, v),   m_i = Q_i^T mu_i,   v_i = (Q_i*Q_i)^T exp(l_i):
    # |outside|^2 + |m|^2 is |mu|^2, so what is left of the quadratic form is quad - |m|^2, small where the coupling is weak.
    half = 0.5 * cotangent[..., None]
    mu_bar, log_var_bar = [2.0 * half * x for x in mu], [half * xp.expm1(x) for x in log_var]
    frames_bar: list[Array | None] = [None for _ in means]
    uniform = prior.coupling.uniform
    squares = [None if q is None or (uniform and square(q)) else q * q for q in prior.frames]
    variance = [xp.exp(x) for x in log_var]
    m, v = map(rotate, mu, prior.frames), map(rotate, variance, squares)  # made only if the coupling reads them
    m_bars, v_bars, coupling_bar = prior.coupling.divergence_vjp(xp, m, v, bits, half)
    for i, (m_bar, v_bar) in enumerate(zip(m_bars, v_bars, strict=True)):
        q, qq = prior.frames[i], squares[i]
        mu_bar[i] = mu_bar[i] + expand(xp, m_bar, q)
        log_var_bar[i] = log_var_bar[i] + variance[i] * expand(xp, v_bar, qq)
        if q is not None:
            q_bar = sum_to(xp, xp.matrix_transpose(mu[i]) @ m_bar, q)
            if qq is not None:
                q_bar = q_bar + 2.0 * q * sum_to(xp, xp.matrix_transpose(variance[i]) @ v_bar, q)
            frames_bar[i] = q_bar
    means_bar, log_vars_bar = (tuple(sum_to(xp, *p) for p in zip(t, means, strict=True)) for t in (mu_bar, log_var_bar))
    return means_bar, log_vars_bar, PriorCotangent(tuple(frames_bar), coupling_bar)


@public
def fuse(
    q: Fused | FusedInFrames, noise: Array, kl_cotangent: Array, drawn_cotangents: Arrays
) -> tuple[Views, Views, PriorCotangent]:
    """Of ``q.kl()`` and ``q.draw(noise)`` together, ``q = fuse(prior, means, log_vars, mask, coordinates)``.

    noise: (..., B, q.noise_dim), kl_cotangent: (..., B), drawn_cotangents: one array (..., B, n_i) per view
    -> cotangents of means, of log_vars (tuples, shaped as they are), and of the prior. A missing view's rows get exactly 0.
    Error: derived number by number (docs/error-analysis.md); in "latent" it grows with w^3, w of ``fuse``, and in both
    coordinates those of log_vars and the prior with squares of means.
    """
    xp = namespace(noise, kl_cotangent, *drawn_cotangents)
    check_views("drawn_cotangents", drawn_cotangents, q.prior.dims)
    check_last("noise", noise, q.noise_dim, "q.noise_dim standard normals per row")
    rows = q.views[0].m if isinstance(q, FusedInFrames) else q.alone[0].m
    check_rows("noise", noise, rows)
    check_rows("drawn_cotangents[0]", drawn_cotangents[0], rows)
    check_last("kl_cotangent", kl_cotangent, rows.shape[-2], "one per row")
    bars_of = {f"drawn_cotangents[{i}]": x for i, x in enumerate(drawn_cotangents)}
    check_dtype(**{"means[0]": rows}, noise=noise, kl_cotangent=kl_cotangent, **bars_of)
    if isinstance(q, FusedInFrames):
        bars = fused_in_frames(q, noise, kl_cotangent, drawn_cotangents)
    else:
        bars = fused(q, noise, kl_cotangent, drawn_cotangents)
    frames = tuple(None if q_i is None else bar.frame for q_i, bar in zip(q.prior.frames, bars, strict=True))
    coupling = q.prior.coupling.loadings_vjp(xp, [(bar.a, bar.r) for bar in bars])
    return tuple(bar.mean for bar in bars), tuple(bar.log_var for bar in bars), PriorCotangent(frames, coupling)


@public
def reparameterize(log_var: Array, noise: Array, cotangent: Array) -> tuple[Array, Array]:
    """Of ``z = reparameterize(mean, log_var, noise)``, mean and log_var of one shape: z_bar and z_bar sigma noise/2.

    log_var: (..., n); noise, cotangent: arrays that it broadcasts to  ->  mean_bar, log_var_bar, each shaped as log_var.
    Error: (K - 1)/2 and (K + 9)/2 eps, K the number of terms summed.
    """
    xp = namespace(log_var, noise, cotangent)
    check_dtype(log_var=log_var, noise=noise, cotangent=cotangent)
    return sum_to(xp, cotangent, log_var), sum_to(xp, 0.5 * xp.exp(0.5 * log_var) * noise * cotangent, log_var)


@public
def complete(prior: JointPrior, latents: Arrays, mask: Array, noise: Array, cotangents: Arrays) -> tuple[Views, PriorCotangent]:
    """Of ``complete(prior, latents, mask, noise)``; the noise gets none.

    latents: one array (..., B, n_i) per view; mask: (M,) or (..., B, M); noise: (..., B, prior.noise_dim), S draws as there;
    cotangents: one per view, shaped as complete's outputs  ->  cotangents of latents (0 where missing) and of the prior.
    Error: (n + d/2 + B/2 + 13 + 2r) eps for two views, r the error of s; (n + d/2 + B/2 + 2M + 26 + 6r) eps on a shared source.
    """
    namespace(*latents, *prior.arrays, mask, noise, *cotangents)
    check_latents(prior, latents)
    xp, bits, clean, _ = door(prior, latents, mask)
    check_views("cotangents", cotangents, prior.dims)
    check_last("noise", noise, prior.noise_dim, "prior.noise_dim standard normals per row")
    check_rows("noise", noise, latents[0])
    check_rows("cotangents[0]", cotangents[0], latents[0])
    check_dtype(noise=noise, **{"latents[0]": latents[0]}, **{f"cotangents[{i}]": x for i, x in enumerate(cotangents)})
    latents_bar = [sum_to(xp, keep(xp, *p), z) for *p, z in zip(bits, cotangents, latents, strict=True)]
    # A missing z_j = own_j + Q_j s_j, with the shift s_j = (drawn y_j) - e_j a function of y, e and the coupling.
    frames_bar: list[Array | None] = [None for _ in latents]
    source, *own = split_noise(noise, (prior.coupling.noise_dim, *prior.dims))
    drawn_bar = [keep(xp, 1.0 - b, g) for b, g in zip(bits, cotangents, strict=True)]
    y, e, bar = (list(map(rotate, x, prior.frames)) for x in (clean, own, drawn_bar))
    shifts, y_bars, e_bars, coupling_bar = prior.coupling.draw_vjp(xp, y, bits, source, e, bar)
    for i, (shift, y_bar, e_bar) in enumerate(zip(shifts, y_bars, e_bars, strict=True)):
        q = prior.frames[i]
        latents_bar[i] = latents_bar[i] + sum_to(xp, expand(xp, y_bar, q), latents[i])
        if q is not None:
            products = ((drawn_bar[i], shift), (clean[i], y_bar), (own[i], e_bar))
            q_bar: Any = sum(sum_to(xp, xp.matrix_transpose(left) @ right, q) for left, right in products)
            frames_bar[i] = q_bar
    return tuple(latents_bar), PriorCotangent(tuple(frames_bar), coupling_bar)


@public
def conditional_mean(prior: JointPrior, latents: Arrays, mask: Array, cotangents: Arrays) -> tuple[Views, PriorCotangent]:
    """Of ``conditional_mean(prior, latents, mask)``, which is ``complete`` with zero noise. Shapes as in ``complete``."""
    xp, like = namespace(*latents), latents[0]
    noise = xp.zeros((*like.shape[:-1], prior.noise_dim), dtype=like.dtype, device=device(like))
    return complete(prior, latents, mask, noise, cotangents)
