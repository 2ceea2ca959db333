"""Vector-Jacobian products in closed form: the gradients of the core for engines without automatic differentiation.

One function per function of the core, of the same name, used as ``from jpvae_core import vjp; vjp.kl_divergence(...)``. It
takes inputs that the forward function has accepted (and its output where that saves work) and the cotangent of the output,
and returns cotangents of the inputs, shaped as they are: axes along which an input was broadcast are summed.

A frame's cotangent is given up to Q S, S symmetric: Q^T Q = I makes dQ orthogonal to Q S, so S has no effect on any parameter.
This frees the formulas of |m|^2 + |outside|^2 = |mu|^2, which does not depend on Q.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from numbers import Real
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from ._checks import check_dtype, check_frame, check_last, check_square, check_views
from ._xp import Array, Namespace, asarray_like, device, eye_like, namespace
from .bounds import Bounded
from .conditioning import _door
from .frames import Signs
from .kl import keep
from .pair import Pair
from .prior import JointPrior, expand, rotate, square
from .skew import skew as skew_matrix
from .source import Source

Arrays = Sequence[Array]
Views = tuple[Array, ...]


class PriorCotangent(NamedTuple):
    """Of ``prior.frames`` (None for the identity) and of the coupling: for a Pair a Bounded of cotangents, shaped as
    ``prior.coupling.bounded``; for a Source its logits' (..., M, d); None for independent views.
    """

    frames: tuple[Array | None, ...]
    coupling: Bounded | Array | None


def skew(cotangent: Array, n: int) -> Array:
    """Of ``A = skew(params, n)``: params_bar[k] = A_bar[i, j] - A_bar[j, i].

    cotangent: A_bar (..., n, n)  ->  (..., n(n-1)/2).
    """
    xp = namespace(cotangent)
    upper = xp.asarray([i * n + j for i in range(n) for j in range(i + 1, n)], dtype=xp.int32, device=device(cotangent))
    twist = cotangent - xp.matrix_transpose(cotangent)
    return xp.take(xp.reshape(twist, (*twist.shape[:-2], n * n)), upper, axis=-1)


def cayley(Q: Array, cotangent: Array) -> Array:
    """Of ``Q = cayley(A)``: A_bar = 2 M^T Q_bar M^T with M = (I - A)^{-1} = (Q + I)/2, its skew part. No solve is needed.

    Q (as returned), cotangent: (..., n, n)  ->  (..., n, n), skew.
    """
    xp = namespace(Q, cotangent)
    # Q = 2M - I, dM = M dA M: <Q_bar, dQ> = 2 <M^T Q_bar M^T, dA>
    Mt = 0.5 * xp.matrix_transpose(Q + eye_like(xp, Q, check_square("Q", Q)))
    A_bar = Mt @ cotangent @ Mt
    return A_bar - xp.matrix_transpose(A_bar)


def frame(params: Array, Q: Array, cotangent: Array, signs: Signs | None = None) -> Array:
    """Of ``Q = frame(params, n, d, signs)``. One solve with d right-hand sides where d < n, none for d = n.

    params: (..., n(n-1)/2); Q (as returned), cotangent: (..., n, d); signs: as given to ``frame``  ->  (..., n(n-1)/2).
    """
    xp = namespace(params, Q, cotangent)
    check_dtype(params=params, Q=Q, cotangent=cotangent)
    n, d = check_frame("Q", Q)
    if signs is not None:  # Q = J F, J = J^T = J^{-1}
        plain = isinstance(signs, Sequence | np.ndarray)
        flips = (asarray_like(xp, Q, signs) if plain else xp.astype(signs, Q.dtype))[..., :, None]
        Q, cotangent = flips * Q, flips * cotangent
    if d == n:
        A_bar = cayley(Q, cotangent)
    else:
        # (I - A) F = (I + A) E with E = I[:, :d], so dF = M dA (F + E) and A_bar = M^T F_bar (F + E)^T, M^T = (I + A)^{-1}
        identity = eye_like(xp, Q, n)
        solved = xp.linalg.solve(identity + skew_matrix(params, n), cotangent)
        A_bar = solved @ xp.matrix_transpose(Q + identity[:, :d])
    return _sum_to(xp, skew(A_bar, n), params)


def orthogonal(params: Array, Q: Array, cotangent: Array, signs: Signs | None = None) -> Array:
    """Of ``Q = orthogonal(params, n, signs)``: params (..., n(n-1)/2); Q, cotangent (..., n, n)  ->  (..., n(n-1)/2)."""
    return frame(params, Q, cotangent, signs)


def sigmoid_bound(logits: Array, cotangent: Bounded) -> Array:
    """Of ``sigmoid_bound(logits)``. logits: (...), cotangent: a Bounded of (...)  ->  (...)."""
    xp = namespace(logits, *cotangent)
    # s' = 1/(4 cosh(t/2)^2),   (e^t)' = e^t,   and with o = e^t:
    # (-o/(1+2o))' = -o/(1+2o)^2 = -1/((2 + 1/o)(1 + 2o)),   (o^2/(1+2o))' = 2 o^2 (1+o)/(1+2o)^2 = 2 (1+o)/(2 + 1/o)^2
    odds, back, cosh = xp.exp(logits), 2.0 + xp.exp(-logits), xp.cosh(0.5 * logits)
    slopes = (0.25 / (cosh * cosh), odds, -1.0 / (back * (1.0 + 2.0 * odds)), 2.0 * (1.0 + odds) / back / back)
    return sum(map(mul, cotangent, slopes))


def tanh_bound(logits: Array, cotangent: Bounded) -> Array:
    """Of ``tanh_bound(logits)``. logits: (...), cotangent: a Bounded of (...)  ->  (...)."""
    xp = namespace(logits, *cotangent)
    # s' = 1/(2 cosh(t/2)^2),  (expm1(t)/2)' = e^t/2,  (expm1(-t)/2)' = -e^-t/2,  (sinh(t/2)^2)' = sinh(t)/2
    cosh = xp.cosh(0.5 * logits)
    return sum(map(mul, cotangent, (0.5 / cosh / cosh, 0.5 * xp.exp(logits), -0.5 * xp.exp(-logits), 0.5 * xp.sinh(logits))))


def number_bound(alpha: float | Array, cotangent: Bounded) -> Array:
    """Of ``number_bound(alpha, like)``. alpha: a number or (...), cotangent: a Bounded of (...)  ->  (...)."""
    s: Array = asarray_like(namespace(cotangent.value), cotangent.value, alpha) if isinstance(alpha, Real) else alpha
    # (s/(1-s))' = 1/(1-s)^2,  (-s/(1+s))' = -1/(1+s)^2,  (s^2/(1-s^2))' = 2s/(1-s^2)^2
    minus, plus = 1.0 / (1.0 - s), 1.0 / (1.0 + s)
    return sum(map(mul, cotangent, (1.0, minus * minus, -plus * plus, 2.0 * s * (minus * plus) ** 2)))


def kl_divergence(
    means: Arrays, log_vars: Arrays, prior: JointPrior, mask: Array | None, cotangent: Array
) -> tuple[Views, Views, PriorCotangent]:
    """Of ``kl_divergence(means, log_vars, prior, mask)``; a missing view's rows get exactly 0, also where they hold NaN.

    means, log_vars: one array (..., B, n_i) per view; mask: None, (M,) or (..., B, M); cotangent: (..., B), the KL's shape
    -> cotangents of means, of log_vars (tuples, shaped as they are), and of the prior.
    """
    xp = namespace(*means, *log_vars, *prior.arrays, mask, cotangent)
    mask = xp.ones((len(means),), dtype=xp.bool, device=device(means[0])) if mask is None else mask
    _, bits, mu = _door(prior, means, mask)
    check_views("log_vars", log_vars, prior.dims)
    check_last("cotangent", cotangent, means[0].shape[-2], "one per row")
    check_dtype(cotangent=cotangent, **{"means[0]": means[0], "log_vars[0]": log_vars[0]})
    # 2 KL = sum_i [ sum(expm1(l_i) - l_i) + |mu_i|^2 ] + excess(m, v),   m_i = Q_i^T mu_i,   v_i = (Q_i*Q_i)^T exp(l_i):
    # |outside|^2 + |m|^2 is |mu|^2, so what is left of the quadratic form is quad - |m|^2, small where the coupling is weak.
    half, log_var = 0.5 * cotangent[..., None], [keep(xp, b, x) for b, x in zip(bits, log_vars, strict=True)]
    mu_bar, log_var_bar = [2.0 * half * x for x in mu], [half * xp.expm1(x) for x in log_var]
    frames_bar, coupling, coupling_bar = [None for _ in means], prior.coupling, None
    if coupling is not None:
        squares = [None if q is None or (coupling.uniform and square(q)) else q * q for q in prior.frames]
        variance = [xp.exp(x) for x in log_var]
        m, v = (list(map(rotate, x, frames)) for x, frames in ((mu, prior.frames), (variance, squares)))
        excess: Any = _pair_excess if isinstance(coupling, Pair) else _source_excess
        m_bar, v_bar, coupling_bar = excess(xp, coupling, m, v, bits, half)
        for i, (q, qq) in enumerate(zip(prior.frames, squares, strict=True)):
            mu_bar[i] = mu_bar[i] + expand(xp, m_bar[i], q)
            log_var_bar[i] = log_var_bar[i] + variance[i] * expand(xp, v_bar[i], qq)
            if q is not None:
                frames_bar[i] = _sum_to(xp, xp.matrix_transpose(mu[i]) @ m_bar[i], q)
                if qq is not None:
                    frames_bar[i] = frames_bar[i] + 2.0 * q * _sum_to(xp, xp.matrix_transpose(variance[i]) @ v_bar[i], q)
    means_bar, log_vars_bar = (tuple(_sum_to(xp, *p) for p in zip(t, means, strict=True)) for t in (mu_bar, log_var_bar))
    return means_bar, log_vars_bar, PriorCotangent(tuple(frames_bar), coupling_bar)


def _pair_excess(xp: Namespace, pair: Pair, m: Arrays, v: Arrays, bits: Arrays, half: Array) -> tuple[Any, ...]:
    """Of half (log|Sigma| + quad - |m|^2 + trace): the cotangents of m, v and the Bounded."""
    both, like = bits[0] * bits[1], pair.bounded.value
    minus, plus, x = (both * t[..., None, :] for t in pair.bounded[1:])
    # quad - |m|^2 = (m_1-m_2)^2 minus/2 + (m_1+m_2)^2 plus/2,   trace = x (v_1+v_2),   log|Sigma| = -sum_k log1p(x_k)
    apart, along = half * (m[0] - m[1]), half * (m[0] + m[1])
    across, together = minus * apart, plus * along
    ratios = (0.5 * apart * (m[0] - m[1]), 0.5 * along * (m[0] + m[1]), half * (v[0] + v[1] - 1.0 / (1.0 + x)))
    ratios_bar = (_sum_to(xp, xp.sum(both * t, axis=-2), like) for t in ratios)
    return [together + across, together - across], [half * x, half * x], Bounded(xp.zeros_like(like), *ratios_bar)


def _source_excess(xp: Namespace, source: Source, m: Arrays, v: Arrays, bits: Arrays, half: Array) -> tuple[Any, ...]:
    """The same of a Source; its logits' cotangent is (..., M, d)."""
    a, e, _, inverse_tau, _, pull, residual = _source_terms(xp, source, m, bits)
    variance, half = _stack(xp, v), half[..., None]
    others = inverse_tau * _others(xp, e)
    x = e * others  # (Sigma^{-1})_ii - 1
    # d log|Sigma|/dt_i = e_i/tau - e_i/h_i = -a_i^2 (tau - h_i)/tau,   tau - h_i = the others' e
    log_det = -a * a * others
    quad = a * residual * pull
    # d x_i/dt_i = x_i (tau - e_i)/tau,   d x_j/dt_i = (e_j/tau) h_j (e_i/tau)
    share = e * inverse_tau
    trace = x * (inverse_tau + others) * variance + share * _others(xp, share * (1.0 + e) * variance)
    logits_bar = _sum_to(xp, xp.sum(half * (log_det + quad + trace), axis=-3), source.logits)
    return xp.unstack(2.0 * half * a * pull, axis=-2), xp.unstack(half * x, axis=-2), logits_bar


def _source_terms(xp: Namespace, source: Source, y: Arrays, bits: Arrays) -> tuple[Array, ...]:
    """a_i, e_i (0 where missing: that integrates the view out), w_i/tau, 1/tau, m_i, c_i and r_i, each (..., B, M, d), where

        w_i = a_i h_i,    r_i = m_i - a_i u^,    c_i = w_i r_i - u^ (the pull of the other views on view i)

    From tau u^ = sum_j w_j m_j, tau = h_i + sum_{j != i} e_j and e_j = a_j w_j, with D_ij = a_j m_i - a_i m_j,

        tau r_i = m_i + sum_j w_j D_ij,    c_i = (w_i/tau) sum_j w_j D_ij - sum_{j != i} (w_j/tau) m_j:

    differences D of the inputs only, as in Lagrange's form of quad. They give
        (Sigma^{-1} m)_i = h_i r_i = m_i + a_i c_i
        d quad/dt_i = e_i r_i^2 - a_i u^ r_i = a_i r_i c_i                             (u^ minimises u^2 + sum h r^2)
        d u^/dt_i   = (a_i/tau) ((1/2 + e_i) m_i - w_i u^) = (a_i/tau) (m_i/2 + a_i c_i)
    """
    a, _, e = (xp.concat(bits, axis=-1)[..., None] * t[..., None, :, :] for t in source.loadings)
    m, w, inverse_tau = _stack(xp, y), a * (1.0 + e), 1.0 / (1.0 + xp.sum(e, axis=-2, keepdims=True))
    D = a[..., None, :, :] * m[..., :, None, :] - a[..., :, None, :] * m[..., None, :, :]
    apart, share = xp.sum(w[..., None, :, :] * D, axis=-2), w * inverse_tau
    return a, e, share, inverse_tau, m, share * apart - _others(xp, share * m), inverse_tau * (m + apart)


def reparameterize(log_var: Array, noise: Array, cotangent: Array) -> tuple[Array, Array]:
    """Of ``z = reparameterize(mean, log_var, noise)``, mean and log_var of one shape: z_bar and z_bar sigma noise/2.

    log_var: (..., n); noise, cotangent: arrays that it broadcasts to  ->  mean_bar, log_var_bar, each shaped as log_var.
    """
    xp = namespace(log_var, noise, cotangent)
    check_dtype(log_var=log_var, noise=noise, cotangent=cotangent)
    return _sum_to(xp, cotangent, log_var), _sum_to(xp, 0.5 * xp.exp(0.5 * log_var) * noise * cotangent, log_var)


def complete(prior: JointPrior, latents: Arrays, mask: Array, noise: Array, cotangents: Arrays) -> tuple[Views, PriorCotangent]:
    """Of ``complete(prior, latents, mask, noise)``; the noise gets none.

    latents: one array (..., B, n_i) per view; mask: (M,) or (..., B, M); noise: (..., B, prior.noise_dim);
    cotangents: one per view, shaped as complete's outputs  ->  cotangents of latents (0 where missing) and of the prior.
    """
    namespace(*latents, *prior.arrays, mask, noise, *cotangents)
    xp, bits, clean = _door(prior, latents, mask)
    check_views("cotangents", cotangents, prior.dims)
    check_dtype(noise=noise, **{"latents[0]": latents[0], "cotangents[0]": cotangents[0]})
    latents_bar = [_sum_to(xp, keep(xp, *p), z) for *p, z in zip(bits, cotangents, latents, strict=True)]
    frames_bar, coupling, coupling_bar = [None for _ in latents], prior.coupling, None
    if coupling is not None:
        # A missing z_j = own_j + Q_j s_j, with the shift s_j = (drawn y_j) - e_j a function of y, e and the coupling.
        own = [noise[..., begin:end] for begin, end in pairwise(accumulate((coupling.noise_dim, *prior.dims)))]
        drawn_bar = [keep(xp, 1.0 - b, g) for b, g in zip(bits, cotangents, strict=True)]
        y, e, bar = (list(map(rotate, x, prior.frames)) for x in (clean, own, drawn_bar))
        draw: Any = _pair_draw if isinstance(coupling, Pair) else _source_draw
        shift, y_bar, e_bar, coupling_bar = draw(xp, coupling, y, bits, noise[..., : coupling.noise_dim], e, bar)
        for i, q in enumerate(prior.frames):
            latents_bar[i] = latents_bar[i] + _sum_to(xp, expand(xp, y_bar[i], q), latents[i])
            if q is not None:
                products = ((drawn_bar[i], shift[i]), (clean[i], y_bar[i]), (own[i], e_bar[i]))
                frames_bar[i] = sum(_sum_to(xp, xp.matrix_transpose(left) @ right, q) for left, right in products)
    return tuple(latents_bar), PriorCotangent(tuple(frames_bar), coupling_bar)


def _pair_draw(xp: Namespace, pair: Pair, y: Arrays, bits: Arrays, _: Array, e: Arrays, bar: Arrays) -> tuple[Any, ...]:
    """The shifts and, from their cotangents ``bar`` (0 where observed), those of y, e and the Bounded."""
    like, (s, _, _, x) = pair.bounded.value, (t[..., None, :] for t in pair.bounded)
    # y_1 = s y_2 + k e_1 where view 2 is seen, else e_1;   y_2 = s first + k e_2, first = y_1 or, where view 1 is unseen, e_1;
    # k = (1+x)^{-1/2} = (1-s^2)^{1/2},   k - 1 = -s^2/(1+k),   dk/dx = -k/(2(1+x))
    k = 1.0 / xp.sqrt(1.0 + x)
    less, first = -s * s / (1.0 + k), y[0] + (1.0 - bits[0]) * e[0]
    shift = [bits[1] * (s * y[1] + less * e[0]), s * first + less * e[1]]
    bar = [bits[1] * bar[0], bar[1]]
    y_bar = [s * bits[0] * bar[1], s * bar[0]]
    e_bar = [less * bar[0] + s * (1.0 - bits[0]) * bar[1], less * bar[1]]
    terms = (bar[0] * y[1] + bar[1] * first, -0.5 * k / (1.0 + x) * (bar[0] * e[0] + bar[1] * e[1]))
    value, excess = (_sum_to(xp, xp.sum(t, axis=-2), like) for t in terms)
    return shift, y_bar, e_bar, Bounded(value, xp.zeros_like(like), xp.zeros_like(like), excess)


def _source_draw(
    xp: Namespace, source: Source, y: Arrays, bits: Arrays, noise: Array, e: Arrays, bar: Arrays
) -> tuple[Any, ...]:
    """The same of a Source, whose draw is u = u^ + noise tau^{-1/2}; its logits' cotangent is (..., M, d)."""
    seen, odds, share, inverse_tau, m, pull, _ = _source_terms(xp, source, y, bits)
    a, rest, _ = (t[..., None, :, :] for t in source.loadings)
    own, bar = _stack(xp, e), _stack(xp, bar)
    spread = xp.sqrt(inverse_tau) * noise[..., None, :]
    u, u_bar = xp.sum(share * m, axis=-2, keepdims=True) + spread, xp.sum(a * bar, axis=-2, keepdims=True)
    # y_i = a_i u + rest_i e_i,   rest - 1 = -a^2/(1+rest),   da/dt = a rest^2/2,   d rest/dt = -rest a^2/2
    less = -a * a / (1.0 + rest)
    direct = 0.5 * a * rest * (rest * u - a * own) * bar
    # d u^/dt_i as in _source_terms,   d tau^{-1/2}/dt_i = -e_i tau^{-3/2}/2
    through_u = inverse_tau * (seen * (0.5 * m + seen * pull) - 0.5 * odds * spread) * u_bar
    logits_bar = _sum_to(xp, xp.sum(direct + through_u, axis=-3), source.logits)
    return *(xp.unstack(t, axis=-2) for t in (a * u + less * own, share * u_bar, less * bar)), logits_bar


def conditional_mean(prior: JointPrior, latents: Arrays, mask: Array, cotangents: Arrays) -> tuple[Views, PriorCotangent]:
    """Of ``conditional_mean(prior, latents, mask)``, which is ``complete`` with zero noise. Shapes as in ``complete``."""
    xp, like = namespace(*latents), latents[0]
    noise = xp.zeros((*like.shape[:-1], prior.noise_dim), dtype=like.dtype, device=device(like))
    return complete(prior, latents, mask, noise, cotangents)


def _stack(xp: Namespace, rows: Arrays) -> Array:
    """M arrays (..., B, d) as one (..., B, M, d)."""
    return xp.stack(xp.broadcast_arrays(*rows), axis=-2)


def _others(xp: Namespace, x: Array) -> Array:
    """Per view the sum over the other views, without a subtraction: (..., M, d) -> (..., M, d)."""
    return xp.sum((1.0 - eye_like(xp, x, x.shape[-2]))[..., None] * x[..., None, :, :], axis=-2)


def _sum_to(xp: Namespace, x: Array, like: Array) -> Array:
    """x summed over the axes along which ``like`` was broadcast to x's shape."""
    if x.shape == like.shape:
        return x
    new = x.ndim - like.ndim
    stretched = [k for k in range(new, x.ndim) if x.shape[k] != like.shape[k - new]]
    return xp.reshape(xp.sum(x, axis=(*range(new), *stretched)), like.shape)
