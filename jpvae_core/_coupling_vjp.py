"""Vector-Jacobian products of the couplings (pair.py, loadings.py) in rotated coordinates: what vjp.py is made of.

``*_excess`` belongs to the KL, ``*_draw`` to the draw of missing views. m, v, y, e, bar: per view (..., B, d); bits: per view
(..., B, 1), for ``*_excess`` also None: all observed; a Pair's parameters are the fields of its Bounded, a Source's its logits
(..., M, d).

Products are taken in an order that keeps every factor in range where the result is: e runs from 1e-35 to 1e35 in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._xp import Array, Namespace
from .bounds import Bounded
from .loadings import Source, differences, off, others, stack
from .pair import Bits, Pair

Arrays = Sequence[Array]


def pair_excess(xp: Namespace, pair: Pair, m: Arrays, v: Arrays, bits: Bits, half: Array) -> tuple[Any, ...]:
    """Of half (log|Sigma| + quad - |m|^2 + trace): the cotangents of m, v and the Bounded."""
    both, like = 1.0 if bits is None else bits[0] * bits[1], pair.bounded.value
    minus, plus, x = (both * t[..., None, :] for t in pair.bounded[1:])
    # quad - |m|^2 = (m_1-m_2)^2 minus/2 + (m_1+m_2)^2 plus/2,   trace = x (v_1+v_2),   log|Sigma| = -sum_k log1p(x_k)
    apart, along = half * (m[0] - m[1]), half * (m[0] + m[1])
    across, together = minus * apart, plus * along
    ratios = (0.5 * apart * (m[0] - m[1]), 0.5 * along * (m[0] + m[1]), half * (v[0] + v[1] - 1.0 / (1.0 + x)))
    ratios_bar = (sum_to(xp, xp.sum(both * t, axis=-2), like) for t in ratios)
    return [together + across, together - across], [half * x, half * x], Bounded(xp.zeros_like(like), *ratios_bar)


def source_excess(xp: Namespace, source: Source, m: Arrays, v: Arrays, bits: Bits, half: Array) -> tuple[Any, ...]:
    """The same of a Source; its logits' cotangent is (..., M, d)."""
    a, e, share, inverse_tau, m_all, D, toward = _source_terms(xp, source, m, bits)
    variance, half = stack(xp, v), half[..., None]
    pull = xp.sum(_over(xp, a * (1.0 + e), inverse_tau) * D, axis=-2) - toward
    residual = inverse_tau * m_all + xp.sum(share[..., None, :, :] * D, axis=-2)
    joint, shared = off(xp, e) * _over(xp, e, inverse_tau), inverse_tau * others(xp, e)
    x = xp.sum(joint, axis=-2)  # (Sigma^{-1})_ii - 1
    # d log|Sigma|/dt_i = e_i/tau - e_i/h_i = -a_i^2 (tau - h_i)/tau,   tau - h_i = the others' e
    log_det = -a * a * shared
    quad = a * residual * pull
    # d x_i/dt_i = x_i (tau - e_i)/tau,   d x_j/dt_i = (e_i e_j/tau) h_j/tau
    trace = x * (inverse_tau + shared) * variance
    trace = trace + xp.sum(joint * (inverse_tau * (1.0 + e) * variance)[..., None, :, :], axis=-2)
    logits_bar = sum_to(xp, xp.sum(half * (log_det + quad + trace), axis=-3), source.logits)
    return xp.unstack(2.0 * half * a * pull, axis=-2), xp.unstack(half * x, axis=-2), logits_bar


def _source_terms(xp: Namespace, source: Source, y: Arrays, bits: Bits) -> tuple[Array, ...]:
    """a_i, e_i (0 where missing: that integrates the view out), w_i/tau, 1/tau, m_i, D_ij and sum_{j != i} (w_j/tau) m_j,
    each (..., B, M, d) but D (..., B, M, M, d), where w_i = a_i h_i and D_ij = a_j m_i - a_i m_j.

    What the gradients are made of is r_i = m_i - a_i u^ and c_i = w_i r_i - u^, the pull of the other views on view i:

        (Sigma^{-1} m)_i = h_i r_i = m_i + a_i c_i
        d quad/dt_i = e_i r_i^2 - a_i u^ r_i = a_i r_i c_i                             (u^ minimises u^2 + sum h r^2)
        d u^/dt_i   = (a_i/tau) ((1/2 + e_i) m_i - w_i u^) = (a_i/tau) (m_i/2 + a_i c_i)

    From tau u^ = sum_j w_j m_j, tau = h_i + sum_{j != i} e_j and e_j = a_j w_j,

        r_i = m_i/tau + sum_j (w_j/tau) D_ij,    c_i = sum_j (w_i w_j/tau) D_ij - sum_{j != i} (w_j/tau) m_j:

    differences D of the inputs only, as in Lagrange's form of quad.
    """
    seen = 1.0 if bits is None else xp.concat(bits, axis=-1)[..., None]
    a, _, e = (seen * t[..., None, :, :] for t in source.loadings)
    m, inverse_tau = stack(xp, y), 1.0 / (1.0 + xp.sum(e, axis=-2, keepdims=True))
    share, D = a * (1.0 + e) * inverse_tau, differences(xp, a, m)
    return a, e, share, inverse_tau, m, D, others(xp, share * m)


def pair_draw(xp: Namespace, pair: Pair, y: Arrays, bits: Arrays, _: Array, e: Arrays, bar: Arrays) -> tuple[Any, ...]:
    """The shifts and, from their cotangents ``bar`` (0 where observed), those of y, e and the Bounded."""
    like, (s, _, _, x) = pair.bounded.value, (t[..., None, :] for t in pair.bounded)
    # y_1 = s y_2 + k e_1 where view 2 is seen, else e_1;   y_2 = s first + k e_2, first = y_1 or, where view 1 is unseen, e_1;
    # k = (1+x)^{-1/2} = (1-s^2)^{1/2},   k - 1 = -s^2/(1+k),   dk/ds = -s/k   (dk/dx = -k^3/2 would pass through 0)
    root = xp.sqrt(1.0 + x)
    k = 1.0 / root
    less, first = -s * s / (1.0 + k), y[0] + (1.0 - bits[0]) * e[0]
    shift = [bits[1] * (s * y[1] + less * e[0]), s * first + less * e[1]]
    bar = [bits[1] * bar[0], bar[1]]
    y_bar = [s * bits[0] * bar[1], s * bar[0]]
    e_bar = [less * bar[0] + s * (1.0 - bits[0]) * bar[1], less * bar[1]]
    value = bar[0] * y[1] + bar[1] * first - s * root * (bar[0] * e[0] + bar[1] * e[1])
    zero = xp.zeros_like(like)
    return shift, y_bar, e_bar, Bounded(sum_to(xp, xp.sum(value, axis=-2), like), zero, zero, zero)


def source_draw(
    xp: Namespace, source: Source, y: Arrays, bits: Arrays, noise: Array, e: Arrays, bar: Arrays
) -> tuple[Any, ...]:
    """The same of a Source, whose draw is u = u^ + noise tau^{-1/2}; its logits' cotangent is (..., M, d)."""
    seen, odds, share, inverse_tau, m, D, toward = _source_terms(xp, source, y, bits)
    a, rest, _ = (t[..., None, :, :] for t in source.loadings)
    own, bar = stack(xp, e), stack(xp, bar)
    spread = xp.sqrt(inverse_tau) * noise[..., None, :]
    u, u_bar = xp.sum(share * m, axis=-2, keepdims=True) + spread, xp.sum(a * bar, axis=-2, keepdims=True)
    # y_i = a_i u + rest_i e_i,   rest - 1 = -a^2/(1+rest),   da/dt = a rest^2/2,   d rest/dt = -rest a^2/2
    less = -a * a / (1.0 + rest)
    direct = 0.5 * a * rest * (rest * u - a * own) * bar
    # d u^/dt_i as in _source_terms, with c_i/tau finite where c_i is not;   d tau^{-1/2}/dt_i = -e_i tau^{-3/2}/2
    pull = share * xp.sum(share[..., None, :, :] * D, axis=-2) - inverse_tau * toward
    through_u = (seen * (0.5 * inverse_tau * m + seen * pull) - 0.5 * (odds * inverse_tau) * spread) * u_bar
    logits_bar = sum_to(xp, xp.sum(direct + through_u, axis=-3), source.logits)
    return *(xp.unstack(t, axis=-2) for t in (a * u + less * own, share * u_bar, less * bar)), logits_bar


def _over(xp: Namespace, x: Array, inverse_tau: Array) -> Array:
    """x_i x_j/tau, the larger factor first: neither overflow nor a zero that is amplified afterwards.

    x >= 0: (..., M, d)  ->  (..., M, M, d).
    """
    left, right = x[..., :, None, :], x[..., None, :, :]
    return xp.minimum(left, right) * (xp.maximum(left, right) * inverse_tau[..., None, :, :])


def sum_to(xp: Namespace, x: Array, like: Array) -> Array:
    """x summed over the axes along which ``like`` was broadcast to x's shape."""
    if x.shape == like.shape:
        return x
    new = x.ndim - like.ndim
    stretched = [k for k in range(new, x.ndim) if x.shape[k] != like.shape[k - new]]
    return xp.reshape(xp.sum(x, axis=(*range(new), *stretched)), like.shape)
