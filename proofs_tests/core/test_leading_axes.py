"""Leading axes on the parameters are a loop over models: f(stack)[k] = f(stack[k]), for every function, eagerly.

Three models of random parameters, two rows of data each. (test_tracing.py says the same of vmap, jit and compile.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jpvae_core as jc
from jpvae_core import vjp

MODELS, ROWS = 3, 2
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """One array per model."""
    return RNG.standard_normal((MODELS, *shape))


def frames(*sizes: tuple[int, int]) -> list[np.ndarray]:
    """Semi-orthogonal, by QR."""
    return [np.linalg.qr(normal(n, d))[0] for n, d in sizes]


SIGNS = RNG.choice([-1.0, 1.0], (MODELS, 4))
SPD = (lambda G: G @ np.swapaxes(G, -1, -2) + np.eye(5))(normal(5, 5))
MEANS, LOG_VARS = ([normal(ROWS, n) for n in (3, 4, 2)] for _ in range(2))
MASK = np.asarray([[True, False, True], [False, False, True]])

FUNCTIONS = {
    "skew": (lambda p: jc.skew(p, 4), normal(6)),
    "skew of size 1": (lambda p: jc.skew(p, 1), normal(0)),
    "cayley": (lambda p: jc.cayley(jc.skew(p, 4)), normal(6)),
    "inverse_cayley": (lambda p: jc.inverse_cayley(jc.cayley(jc.skew(p, 4))), normal(6)),
    "orthogonal matrix": (lambda p, s: jc.orthogonal(p, 4, s), normal(6), SIGNS),
    "frame": (lambda p, s: jc.frame(p, 4, 2, s), normal(6), SIGNS),
    "sigmoid_bound": (lambda t: tuple(jc.sigmoid_bound(t)), normal(2)),
    "tanh_bound": (lambda t: tuple(jc.tanh_bound(t)), normal(2)),
    "kl_eq9": (lambda m1, m2, v1, v2, C: jc.kl_eq9([m1, m2], [v1, v2], C), *MEANS[:2], *LOG_VARS[:2], 0.1 * normal(4, 3)),
    "kl_eq16": (
        lambda m1, m2, R, a: jc.kl_eq16([m1, m2], [m2, m1], R, a),
        *(normal(ROWS, 3) for _ in range(2)),
        *frames((3, 3)),
        RNG.uniform(-0.9, 0.9, MODELS),
    ),
    "kl_dense": (
        lambda m, n, v, w, S: jc.kl_dense([m, n], [v, w], S),
        *(normal(ROWS, n) for n in (3, 2, 3, 2)),
        SPD,
    ),
    "condition_gaussian": (lambda m, S, x: jc.condition_gaussian(m, S, [3, 1], x), normal(5), SPD, normal(ROWS, 2)),
}


def everything(prior: jc.JointPrior, means: Any, log_vars: Any, noise: Any) -> list[Any]:
    """All that a prior is asked, with masks by row and for all rows."""
    mask = MASK[:, : len(prior.dims)] if len(prior.dims) > 2 else MASK[:, 1:]
    known, uncertain = jc.condition(prior, means, mask), jc.condition(prior, means, mask[1], log_vars=log_vars)
    return [
        jc.kl_divergence(prior, means, log_vars),
        jc.kl_divergence(prior, means, log_vars, mask),
        jc.log_density(prior, means),
        jc.log_density(prior, means, mask),
        *jc.conditional_mean(prior, means, mask),
        *jc.complete(prior, means, mask, noise),
        *jc.sample(prior, noise),
        *(np.broadcast_to(b, (*b.shape[:-3], ROWS, *b.shape[-2:])) for row in known.covariances for b in row),
        *(b for row in uncertain.covariances for b in row),
        prior.covariance(),
        prior.precision(),
        prior.log_det(),
        prior.max_singular_value(),
    ]


def svd(bound: str) -> Any:
    return lambda U, V, t, *rows: everything(jc.JointPrior.svd(U, t, V, bound=bound), rows[:2], rows[2:4], rows[4])


def orthogonal(Q: Any, alpha: Any, *rows: Any) -> list[Any]:
    return everything(jc.JointPrior.orthogonal(Q, alpha), rows[:2], rows[2:4], rows[4])


def canonical(Q1: Any, Q2: Any, Q3: Any, t: Any, *rows: Any) -> list[Any]:
    return everything(jc.JointPrior.canonical([Q1, Q2, Q3], t), rows[:3], rows[3:6], rows[6])


def flat(tree: Any) -> list[Any]:
    """The arrays of nested tuples and lists; None is left out."""
    if isinstance(tree, tuple | list):
        return [leaf for part in tree for leaf in flat(part)]
    return [] if tree is None else [tree]


def gradients(prior: jc.JointPrior, means: Any, log_vars: Any, noise: Any) -> list[Any]:
    """Of the KL without a mask and with one, and of a draw, for cotangents that differ by row."""
    mask = MASK[:, : len(prior.dims)] if len(prior.dims) > 2 else MASK[:, 1:]
    rows = noise[..., 0]
    return flat(
        [
            vjp.kl_divergence(prior, means, log_vars, None, rows),
            vjp.kl_divergence(prior, means, log_vars, mask, rows),
            vjp.complete(prior, means, mask, noise, log_vars),
        ]
    )


def gradients_of(make: Any, parameters: int) -> Any:
    def function(*arguments: Any) -> list[Any]:
        prior, rows = make(*arguments[:parameters]), arguments[parameters:]
        M = len(prior.dims)
        return gradients(prior, rows[:M], rows[M : 2 * M], rows[2 * M])

    return function


def fused_of(make: Any, parameters: int) -> Any:
    """The fused posterior in every form that the prior has, and its gradients."""

    def function(*arguments: Any) -> list[Any]:
        prior, rows = make(*arguments[:parameters]), arguments[parameters:]
        M, found = len(prior.dims), []
        mask = MASK[:, :M] if M > 2 else MASK[:, 1:]
        for form in ("latent", "frame") if {prior.coupling.rank} == set(prior.dims) else ("latent",):
            q = jc.fuse(prior, rows[:M], [-np.abs(v) for v in rows[M : 2 * M]], mask, form)
            noise = np.resize(np.moveaxis(rows[2 * M], -1, 0), (q.noise_dim, *rows[2 * M].shape[:-1]))
            noise = np.moveaxis(noise, 0, -1)
            drawn = q.draw(noise)
            found += [q.kl(), *q.mean(), *drawn, q.log_density(drawn), q.covariance()]
            found += flat(vjp.fuse(q, noise, noise[..., 0], drawn))
        return found

    return function


SQUARE = [normal(ROWS, 3) for _ in range(4)]
PAIR = (*frames((4, 2), (3, 2)), normal(2), *MEANS[:2], *LOG_VARS[:2], normal(ROWS, 7))
FUNCTIONS |= {
    "svd, sigmoid": (svd("sigmoid"), *PAIR),
    "svd, tanh": (svd("tanh"), *PAIR),
    "orthogonal": (orthogonal, *frames((3, 3)), RNG.uniform(-0.9, 0.9, MODELS), *SQUARE, normal(ROWS, 6)),
    "canonical": (canonical, *frames((3, 2), (4, 2), (2, 2)), 2 * normal(3, 2), *MEANS, *LOG_VARS, normal(ROWS, 11)),
    "fused, svd": (fused_of(lambda U, V, t: jc.JointPrior.svd(U, t, V), 3), *PAIR),
    "fused, orthogonal": (
        fused_of(jc.JointPrior.orthogonal, 2),
        *(*frames((3, 3)), RNG.uniform(-0.9, 0.9, MODELS), *SQUARE, normal(ROWS, 6)),
    ),
    "fused, without rotations": (
        fused_of(lambda t: jc.JointPrior.canonical(None, t), 1),
        normal(2, 3),
        *SQUARE,
        normal(ROWS, 6),
    ),
    "fused, canonical": (
        fused_of(lambda Q1, Q2, Q3, t: jc.JointPrior.canonical([Q1, Q2, Q3], t), 4),
        *(*frames((3, 2), (4, 2), (2, 2)), 2 * normal(3, 2), *MEANS, *LOG_VARS, normal(ROWS, 11)),
    ),
    "canonical, one number": (lambda *frames: jc.JointPrior.canonical(frames, 0.7).precision(), *frames((4, 2), (3, 2))),
    "svd, frames shared": (lambda t: jc.JointPrior.svd(np.eye(4, 2), t, np.eye(3, 2)).covariance(), normal(2)),
    "gradient of a rotation": (lambda p, bar: vjp.orthogonal(p, jc.orthogonal(p, 4), bar), normal(6), normal(4, 4)),
    "gradient of a frame": (lambda p, bar: vjp.frame(p, jc.frame(p, 4, 2), bar), normal(6), normal(4, 2)),
    "gradients, svd": (gradients_of(lambda U, V, t: jc.JointPrior.svd(U, t, V), 3), *PAIR),
    "gradients, canonical": (
        gradients_of(lambda Q1, Q2, Q3, t: jc.JointPrior.canonical([Q1, Q2, Q3], t), 4),
        *frames((3, 2), (4, 2), (2, 2)),
        2 * normal(3, 2),
        *MEANS,
        *LOG_VARS,
        normal(ROWS, 11),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_stack_is_a_loop(name):
    function, *arguments = FUNCTIONS[name]
    stack = function(*arguments)
    stack = stack if isinstance(stack, tuple | list) else [stack]
    for k in range(MODELS):
        one = function(*(x[k] for x in arguments))
        for got, want in zip(stack, one if isinstance(one, tuple | list) else [one], strict=True):
            assert got[k].shape == want.shape
            # The same operations in another blocking: some hundred roundings of numbers up to the largest.
            assert np.all(np.abs(got[k] - want) <= 500 * 2.0**-52 * (1 + np.abs(want).max(initial=0)))


def test_frames_with_and_without_leading_axes():
    logits = np.random.default_rng(0).normal(size=(3, 2))
    S = jc.JointPrior.canonical([np.stack([np.eye(2)] * 3), np.eye(2)[None], np.eye(2)[None]], logits).covariance()
    assert S.shape == (3, 6, 6)
    assert np.array_equal(S[1], jc.JointPrior.canonical([np.eye(2)] * 3, logits).covariance())


@pytest.mark.parametrize("name", ["svd, tanh", "orthogonal", "canonical"])
def test_data_may_have_more_axes_than_the_parameters(name):
    """K copies of the rows, as for the K subsets of a batch: one call is K calls."""
    function, *arguments = FUNCTIONS[name]
    parameters = {"svd, tanh": 3, "orthogonal": 2, "canonical": 4}[name]
    fixed, rows = [x[0] for x in arguments[:parameters]], arguments[parameters:]
    stack = function(*fixed, *rows)
    for k in range(MODELS):
        one = function(*fixed, *(x[k] for x in rows))
        for got, want in zip(stack, one, strict=True):
            if got.shape != want.shape:  # what depends on the data
                assert np.all(np.abs(got[k] - want) <= 500 * 2.0**-52 * (1 + np.abs(want).max(initial=0)))


def test_a_stack_of_one_model():
    U, V, t = np.eye(4, 2), np.eye(3, 2), np.asarray([0.5, -1.0])
    one, stack = jc.JointPrior.svd(U, t, V), jc.JointPrior.svd(U, t[None], V)
    np.testing.assert_array_equal(stack.covariance(), one.covariance()[None])
    np.testing.assert_array_equal(stack.precision(), one.precision()[None])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_two_leading_axes(name):
    """A stack of two stacks, the second in another order."""
    function, *arguments = FUNCTIONS[name]
    stacks = arguments, [x[[1, 2, 0]] for x in arguments]
    both = function(*(np.stack(pair) for pair in zip(*stacks, strict=True)))
    both = both if isinstance(both, tuple | list) else [both]
    for k, stack in enumerate(stacks):
        one = function(*stack)
        for got, want in zip(both, one if isinstance(one, tuple | list) else [one], strict=True):
            assert got[k].shape == want.shape
            assert np.all(np.abs(got[k] - want) <= 500 * 2.0**-52 * (1 + np.abs(want).max(initial=0)))


def test_a_mask_of_one_row_is_a_pattern():
    prior = jc.JointPrior.canonical([q[0] for q in frames((3, 2), (4, 2), (2, 2))], 0.5)
    rows = [x[0] for x in MEANS], [x[0] for x in LOG_VARS]
    np.testing.assert_array_equal(jc.kl_divergence(prior, *rows, MASK[:1]), jc.kl_divergence(prior, *rows, MASK[0]))


@pytest.mark.parametrize("views", [2, 3])
def test_several_draws_of_each_row_are_so_many_completions_and_their_gradients_add_up(views):
    """Noise with an axis more than the latents. Gradients are the same sums in another order: the bound of two leading axes."""
    rng = np.random.default_rng(views)
    frame = [np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (2,) * views]
    logits = rng.standard_normal((2,) if views == 2 else (3, 2))
    prior = jc.JointPrior.svd(*frame[:1], logits, frame[1]) if views == 2 else jc.JointPrior.canonical(frame, logits)
    latents, mask = [rng.standard_normal((ROWS, 2)) for _ in range(views)], MASK[:, -views:]
    noise = rng.standard_normal((MODELS, ROWS, prior.noise_dim))
    drawn = jc.complete(prior, latents, mask, noise)
    one_by_one = [jc.complete(prior, latents, mask, each) for each in noise]
    for i, z in enumerate(drawn):
        assert np.array_equal(z, np.stack([one[i] for one in one_by_one]))
    bars = [rng.standard_normal(z.shape) for z in drawn]
    found = flat(vjp.complete(prior, latents, mask, noise, bars))
    terms = [flat(vjp.complete(prior, latents, mask, e, [bar[s] for bar in bars])) for s, e in enumerate(noise)]
    for x, *each in zip(found, *terms, strict=True):
        assert x.shape == each[0].shape
        assert np.all(np.abs(x - sum(each)) <= 500 * 2.0**-52 * (1 + sum(map(np.abs, each)).max()))
