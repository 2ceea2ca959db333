"""The subset objective as a function: against loops over rows and subsets, in every library, and refusals by name."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jpvae_core as jc

RNG = np.random.default_rng(0)
PRIOR = jc.JointPrior.canonical([np.eye(2)] * 3, 1.0).named("a", "b", "c")
MASK = np.asarray([[True, True, True], [True, False, True], [False, False, True]])
S, K, B = 3, 4, 3
LOG_PROBS, KL = [RNG.normal(size=(S, K, B)) for _ in range(3)], RNG.random((K, B))


def by_loops(log_probs, weights, beta, cross):
    """Sums of Python numbers, one row and subset after the other."""
    losses = []
    for b in range(B):
        seen, total = set(np.flatnonzero(MASK[b])), 0.0
        for k, part in enumerate([{0, 1, 2}, {0}, {1}, {2}]):
            inside = part & seen or seen
            bracket = beta * KL[k, b]
            for i in seen:
                draws = log_probs[i][:, k, b]
                bracket -= draws.mean() if i in inside else cross * np.log(np.exp(draws).mean())
            total += weights[k] * bracket
        losses.append(total / sum(weights))
    return losses


def test_the_masks_are_the_row_s_own_views_then_each_part_of_them():
    masks = jc.subsets(PRIOR, MASK)
    assert masks[0].tolist() == MASK.tolist()
    assert masks[1:, 0].tolist() == np.eye(3, dtype=bool).tolist()
    assert masks[1:, 1].tolist() == [[True, False, False], [True, False, True], [False, False, True]]
    drawn = RNG.random((5, B, 3)) < 0.5
    forms = [[["a"], ["b"], [2]], [0, "b", "c"], np.eye(3)]
    assert all((jc.subsets(PRIOR, MASK, parts) == masks).all() for parts in forms)
    columns = dict(zip("cab", torch.asarray(MASK[:, [2, 0, 1]]).T, strict=True))  # one tensor per view, by name
    assert torch.equal(jc.subsets(PRIOR, columns), torch.asarray(masks))
    found = jc.subsets(PRIOR, MASK, drawn)
    np.testing.assert_array_equal(jc.subsets(PRIOR, MASK, []), MASK[None])
    empty = ~(drawn & MASK).any(axis=-1)
    np.testing.assert_array_equal(found[1:], np.where(empty[..., None], MASK, drawn & MASK))


@pytest.mark.parametrize("asarray", [np.asarray, torch.asarray, jnp.asarray])
@pytest.mark.parametrize(("weights", "beta", "cross"), [(None, 1.0, 1.0), ((0.2, 1.0, 0.0, 3.0), 0.5, 0.4)])
def test_the_loss_is_what_loops_give(asarray, weights, beta, cross):
    """Some 30 terms of order 1, in JAX's float32 rounded to 1e-7 each."""
    masks, log_probs = jc.subsets(PRIOR, asarray(MASK)), [asarray(x) for x in LOG_PROBS]
    assert type(masks) is type(log_probs[0])
    named = dict(zip("cab", [log_probs[2], *log_probs[:2]], strict=True))
    found = jc.subset_loss(PRIOR, named, asarray(KL), masks, weights=weights, beta=beta, cross=cross)
    want = by_loops(LOG_PROBS, weights or (1.0, 1 / 6, 1 / 6, 1 / 6), beta, cross)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-5 if asarray is jnp.asarray else 1e-14)
    one = jc.subset_loss(PRIOR, [x[0, ...] for x in log_probs], asarray(KL), masks, weights=weights, beta=beta, cross=cross)
    want = by_loops([x[:1] for x in LOG_PROBS], weights or (1.0, 1 / 6, 1 / 6, 1 / 6), beta, cross)
    np.testing.assert_allclose(one, want, rtol=0, atol=1e-5 if asarray is jnp.asarray else 1e-14)


def test_every_bracket_bounds_the_same_likelihood():
    """A linear-Gaussian model with exact encoders, x_i = z_i + noise: E[bracket of O] <= log p(x), with equality for all of O.

    By Gauss-Hermite quadrature in the noise of each draw (the integrand is a quadratic, so three nodes are exact).
    """
    one, variance, x = jc.JointPrior.orthogonal(np.eye(1), 0.8), 0.3, [np.asarray([[0.7]]), np.asarray([[-0.4]])]
    shrink = 1.0 / (1.0 + variance)  # q(z | x) alone: mean x/(1 + v), variance v/(1 + v)
    masks = jc.subsets(one)
    q = jc.fuse(one, [shrink * v for v in x], [np.full((1, 1), np.log(variance * shrink))] * 2, masks)
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    grid = np.stack(np.meshgrid(*[nodes] * q.noise_dim, indexing="ij"), axis=-1).reshape(-1, 1, 1, q.noise_dim)
    mass = np.stack(np.meshgrid(*[weights / weights.sum()] * q.noise_dim, indexing="ij")).prod(axis=0).reshape(-1, 1, 1)
    z = q.draw(np.broadcast_to(grid, (len(grid), 3, 1, q.noise_dim)))
    constant = np.log(2 * np.pi * variance)
    log_p_x = [-0.5 * ((z_i[..., 0] - x_i[0]) ** 2 / variance + constant) for z_i, x_i in zip(z, x, strict=True)]
    expected = [(mass * term).sum(axis=0) for term in log_p_x]
    bounds = [-float(jc.subset_loss(one, expected, q.kl(), masks, weights=np.eye(3)[k])[0]) for k in range(3)]
    C = one.covariance() + variance * np.eye(2)
    xs = np.concatenate(x)[:, 0]
    log_p = -0.5 * (xs @ np.linalg.solve(C, xs) + np.linalg.slogdet(2 * np.pi * C)[1])
    assert abs(bounds[0] - log_p) < 1e-13
    assert all(bound < log_p - 0.1 for bound in bounds[1:])


REFUSED = {
    "no prior": (lambda: jc.subsets(MASK), "prior is a numpy.ndarray"),
    "a view": (lambda: jc.subsets(PRIOR, MASK, [["d"]]), r"parts\[0\] is \['d'\]"),
    "an empty part": (lambda: jc.subsets(PRIOR, MASK, [[]]), r"parts\[0\] is \[\]"),
    "rows": (lambda: jc.subsets(PRIOR, MASK, np.ones((2, 5, 3))), r"mask has shape \(3, 3\) and parts \(2, 5, 3\)"),
    "a stack of masks": (lambda: jc.subsets(PRIOR, np.ones((2, 3, 3)), np.ones((2, 3))), r"mask has shape \(2, 3, 3\)"),
    "a stack of parts": (lambda: jc.subsets(PRIOR, MASK, np.ones((2, 2, 3, 3))), r"parts \(2, 2, 3, 3\)"),
    "terms": (lambda: jc.subset_loss(PRIOR, LOG_PROBS[:2], KL, jc.subsets(PRIOR, MASK)), "log_probs has 2 arrays"),
    "a row": (
        lambda: jc.subset_loss(PRIOR, [x[..., 0] for x in LOG_PROBS], KL, jc.subsets(PRIOR, MASK)),
        "log_probs.0. has shape",
    ),
    "kl": (lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL[0], jc.subsets(PRIOR, MASK)), r"kl has shape \(3,\)"),
    "kl of one row": (lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL[:, 0], jc.subsets(PRIOR, MASK)), r"kl has shape \(4,\)"),
    "masks of a row": (lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL, MASK), r"kl has shape \(4, 3\) and masks \(3, 3\)"),
    "masks of other subsets": (
        lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR, MASK)[:2]),
        r"kl has shape \(4, 3\) and masks \(2, 3, 3\)",
    ),
    "masks of other rows": (
        lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR, MASK)[:, :2]),
        r"masks \(4, 2, 3\)",
    ),
    "no weight": (lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR, MASK), weights=(0, 0, 0, 0)), "at least 0"),
    "a weight below 0": (
        lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR, MASK), weights=(1, -0.1, 0, 0)),
        "expected 4 numbers of at least 0",
    ),
    "a weight that is not finite": (
        lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR, MASK), weights=(1, float("inf"), 0, 0)),
        "expected 4 numbers of at least 0",
    ),
    "masks of other views": (
        lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR, MASK)[..., :2]),
        r"masks has shape \(4, 3, 2\)",
    ),
    "weights": (lambda: jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR, MASK), weights=(1, 0)), "expected 4 numbers"),
}


def test_masks_of_all_rows_at_once():
    """(K, 1, M): the same subsets of every row."""
    found = jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR))
    assert found == pytest.approx(jc.subset_loss(PRIOR, LOG_PROBS, KL, jc.subsets(PRIOR, np.ones((B, 3), dtype=bool))), abs=0)
    assert jc.subsets(PRIOR).dtype == jc.subsets(PRIOR, MASK).dtype == bool


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_name(case):
    call, message = REFUSED[case]
    with pytest.raises(jc.JPVAEError, match=message):
        call()
