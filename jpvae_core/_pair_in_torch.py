"""The KL of two views in eager PyTorch: the formulas of kl.py, remainder.py and pair.py, as one ``autograd.Function``.

At 20 latents and 32 rows an operation computes for a tenth of the time that it takes to be called and recorded; what can be
saved is operations, and their record. The gradient, in means, log-variances, frames and the correlation's ratios, is that of
the formulas as they stand, made from what the value has left behind. A second derivative is that of the formulas in kl.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch

from ._xp import eager_in_torch
from .bounds import Bounded
from .pair import Pair
from .prior import JointPrior
from .remainder import terms_of
from .rotated import square

Tensors = Sequence[Any]
Plain = Callable[[JointPrior, Tensors, Tensors, Any], Any]


def applies(prior: JointPrior, mu: Tensors, log_var: Tensors) -> bool:
    """Whether the prior is a single one of two views, and nothing but autograd looks at the operations."""
    frames = [q for q in prior.frames if q is not None]
    coupled = isinstance(prior.coupling, Pair) and prior.coupling.bounded.value.ndim == 1
    return coupled and all(q.ndim == 2 for q in frames) and eager_in_torch(*mu, *log_var, *frames)


def kl(prior: JointPrior, mu: Tensors, log_var: Tensors, bits: Tensors | None, plain: Plain) -> Any:
    """KL per row, (..., B). mu, log_var: (..., B, n_i), 0 where missing; bits: (..., B, 1), (1, 1) or None; plain: kl.py's."""
    shape, coupling = mu[0].shape[:-1], cast(Pair, prior.coupling)  # as ``applies`` has found it
    if len(shape) > 1:
        mu, log_var = ([x.reshape(-1, x.shape[-1]) for x in each] for each in (mu, log_var))
        bits = None if bits is None else [x.expand(*shape, 1).reshape(-1, 1) for x in bits]
    given = (*mu, *log_var, *prior.frames, *coupling.bounded[1:])
    function: Any = _KL.apply
    found = function(plain, coupling.rank, bits, *given) if torch.is_grad_enabled() else _value(coupling.rank, bits, *given)[0]
    return found if len(shape) == 1 else found.reshape(shape)


def _value(rank: int, bits: Any, mu_1: Any, mu_2: Any, l_1: Any, l_2: Any, q_1: Any, q_2: Any, *ratios: Any) -> tuple[Any, ...]:
    """The KL, and what its gradient is made of."""
    kinds, sizes = len(ratios[0]), (l_1.shape[1], l_2.shape[1])
    minus, plus, x = ratios if bits is None else (bits[0] * bits[1] * t for t in ratios)
    log_var = torch.cat((l_1, l_2), 1)
    variance, own = torch.exp(log_var), _remainder(log_var).sum(1)
    squares = [None if q is None or (kinds == 1 and square(q)) else q * q for q in (q_1, q_2)]
    v_1, v_2 = (v if qq is None else v @ qq for v, qq in zip(_halves(variance, sizes), squares, strict=True))
    m_1, m_2 = (mu if q is None else mu @ q for mu, q in ((mu_1, q_1), (mu_2, q_2)))
    rests = [None if square(q) else mu - m @ q.mT for mu, q, m in ((mu_1, q_1, m_1), (mu_2, q_2, m_2))]
    for rest in rests:
        own = own if rest is None else own + (rest * rest).sum(1)
    v, apart, along = v_1 + v_2, m_1 - m_2, m_1 + m_2
    across, together = apart * (0.25 + 0.25 * minus), along * (0.25 + 0.25 * plus)
    terms = torch.addcmul(apart * across, along, together).addcmul_(x, v, value=0.5)
    coupled = torch.add(terms.sum(1), torch.log1p(x).sum(-1), alpha=-0.5 * (rank // kinds))
    kept = log_var, variance, *rests, *squares, v, apart, along, across, together, x
    return torch.add(coupled, own, alpha=0.5), *kept


def _halves(x: Any, sizes: tuple[int, int]) -> Any:
    """The columns of each view."""
    return torch.split_with_sizes(x, sizes, 1)


def _remainder(x: Any) -> Any:
    """``remainder``: r(y) + e^y expm1(t) - t for |y| <= 1/2, r(y) = (E y/2) (1 - y s), E = expm1(y)."""
    y = torch.clamp(x, -0.5, 0.5)
    t, e, y_2 = x - y, torch.expm1(y), y * y
    first, *others, last = terms_of(torch.finfo(x.dtype).eps)
    s = y_2 * first
    for b in others:
        s = s.add_(b).mul_(y_2)
    twice, far = e * y, torch.expm1(t)
    twice = torch.addcmul(twice, twice, s.add_(last).mul_(y), value=-1.0)
    return torch.addcmul(far, e, far).sub_(t).add_(twice, alpha=0.5)


class _KL(torch.autograd.Function):
    """``_value`` and its gradient."""

    @staticmethod
    def forward(ctx: Any, plain: Plain, rank: int, bits: Tensors | None, *given: Any) -> Any:
        found, *kept = _value(rank, bits, *given)
        ctx.plain, ctx.rank, ctx.bits = plain, rank, bits
        ctx.save_for_backward(*given, *kept)
        return found

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> tuple[Any, ...]:
        given, wanted, (bar,) = ctx.saved_tensors, ctx.needs_input_grad[3:], bars
        if torch.is_grad_enabled():
            return None, None, None, *_differentiable(ctx, given[:9], wanted, bar)
        log_var, variance, rest_1, rest_2, qq_1, qq_2, v, apart, along, across, together, x = given[9:]
        bar, sizes = bar.unsqueeze(1), (given[2].shape[1], given[3].shape[1])
        half, twice = 0.5 * bar, 2.0 * bar
        v_bar = spread = half * x
        if qq_1 is not None or qq_2 is not None or v_bar.shape[1] > 1:
            spread = torch.cat([v_bar if qq is None else v_bar @ qq.mT for qq in (qq_1, qq_2)], 1)
        log_vars_bar = _halves(torch.addcmul(half * torch.expm1(log_var), variance, spread), sizes)
        means_bar, frames_bar = list[Any](), list[Any]()
        for i, m_bar in enumerate(((together + across) * twice, (together - across) * twice)):
            rest, qq = ((rest_1, qq_1), (rest_2, qq_2))[i]
            mean_bar, frame_bar = _of_mean(given[i], given[4 + i], rest, m_bar, bar, wanted[4 + i])
            if wanted[4 + i] and qq is not None:
                frame_bar = frame_bar + 2.0 * given[4 + i] * (_halves(variance, sizes)[i].mT @ v_bar)
            means_bar.append(mean_bar)
            frames_bar.append(frame_bar)
        ratios_bar = [None] * 3
        if any(wanted[6:]):
            terms = (0.5 * half * apart * apart, 0.5 * half * along * along, half * (v - 1.0 / (1.0 + x)))
            on = terms if ctx.bits is None else [ctx.bits[0] * ctx.bits[1] * t for t in terms]
            ratios_bar = [t.sum_to_size(len(given[8])) for t in on]
        return None, None, None, *means_bar, *log_vars_bar, *frames_bar, *ratios_bar


def _of_mean(mu: Any, q: Any, rest: Any, m_bar: Any, bar: Any, frame_wanted: bool) -> tuple[Any, Any]:
    """From the cotangents of m = Q^T mu and of |rest|^2/2, rest = mu - Q m, those of mu and of Q."""
    if q is None:
        return m_bar, None
    if rest is None:
        return m_bar @ q.mT, mu.mT @ m_bar if frame_wanted else None
    rest_bar = bar * rest
    m_bar = m_bar - rest_bar @ q
    return rest_bar + m_bar @ q.mT, mu.mT @ m_bar - rest_bar.mT @ (mu @ q) if frame_wanted else None


def _differentiable(ctx: Any, given: Tensors, wanted: Sequence[bool], bar: Any) -> list[Any]:
    """The gradient by autograd, which can be differentiated once more. (Views: one tensor may have been given twice.)"""
    each = [x.view_as(x) if needed else x for x, needed in zip(given, wanted, strict=True)]
    mu, log_var, frames, ratios = each[:2], each[2:4], each[4:6], each[6:]
    coupling = Pair(Bounded(ratios[0], *ratios), ctx.rank)  # the correlation itself is not read
    prior = JointPrior(tuple(x.shape[1] for x in mu), tuple(frames), coupling)
    asked = [x for x, needed in zip(each, wanted, strict=True) if needed]
    found = iter(torch.autograd.grad(ctx.plain(prior, mu, log_var, ctx.bits), asked, bar, create_graph=True))
    return [next(found) if needed else None for needed in wanted]
