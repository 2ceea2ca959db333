"""The closed-form vector-Jacobian products against 50-digit differences of dense formulas, and against torch and JAX.

The formulas are held on balls, where nothing rounds; how far rounding moves them is test_gradient_bounds.py's matter.
Every row pattern is in each batch, the empty and the full one included, and the missing views hold NaN.
"""

import functools

import enclosures
import jax
import numpy as np
import oracles
import pytest
import torch
from bound_problems import on_balls
from libraries import Backend, Library
from parameter_cotangents import to_parameters
from strategies import Model, Structure, float32, holes, patterns, posterior

import jpvae_core as jc
from jpvae_core import vjp

STRUCTURES = (
    Structure("independent", (2, 1), 0),
    Structure("orthogonal", (2, 2), 2),
    Structure("svd-sigmoid", (2, 3), 2),
    Structure("svd-tanh", (3, 2), 1),
    Structure("canonical", (2, 3, 2), 2),
    Structure("canonical", (2, 1, 2, 2), 1),
)
# |logits| at 40 (|alpha| at 1 - 1e-6), s = 0, and skew entries up to a thousand.
CASES = {"plain": {}, "strong": {"reach": 40.0}, "zero": {"level": 0.0}, "tilted": {"tilt": 1e3}}
CASES_OF = {"independent": ("plain",), "svd-sigmoid": ("plain", "strong"), "canonical": ("plain", "strong", "tilted")}
GRID = [
    pytest.param(structure, case, id=f"{structure.kind}{len(structure.dims)}-{case}")
    for structure in STRUCTURES
    for case in (CASES_OF.get(structure.kind, CASES) if len(structure.dims) < 4 else ("plain",))
]


def inputs(model):
    """Means, log_vars, parameters, signs, a mask of all patterns (four views: six), the KL's cotangent, noise, a draw's."""
    dims, rng = model.structure.dims, np.random.default_rng(model.seed)
    mask = patterns(len(dims))[:: 3 if len(dims) == 4 else 1]
    means, log_vars = posterior(dims, len(mask), model.seed)
    shapes = (len(mask), model.structure.noise_dim), (len(mask),)
    noise, weight = (float32(rng.standard_normal(shape)) for shape in shapes)
    cotangents = [float32(rng.standard_normal(x.shape)) for x in means]
    parameters = {name: x for name, x in model.parameters.items() if name != "signs"}
    return list(means), list(log_vars), parameters, model.parameters.get("signs", []), mask, weight, noise, cotangents


def everything(structure, means, log_vars, parameters, signs, mask, weight, noise, cotangents):
    """The gradients of <weight, KL>, <cotangents, complete> and <cotangents, conditional_mean>."""
    per_view = zip(parameters.get("entries", []), structure.dims, signs, strict=False)
    frames = [jc.frame(entries, n, structure.rank, s) for entries, n, s in per_view]
    prior = structure.prior(parameters | {"frames": frames})
    to = functools.partial(to_parameters, structure, parameters, frames, signs)
    means_bar, log_vars_bar, bar = vjp.kl_divergence(prior, means, log_vars, mask, weight)
    drawn_bar, drawn_prior_bar = vjp.complete(prior, means, mask, noise, cotangents)
    mean_bar, mean_prior_bar = vjp.conditional_mean(prior, means, mask, cotangents)
    return (
        {"means": list(means_bar), "log_vars": list(log_vars_bar)} | to(bar),
        {"means": list(drawn_bar)} | to(drawn_prior_bar),
        {"means": list(mean_bar)} | to(mean_prior_bar),
    )


def exact_kl(model, parameters):
    """<weight, KL> by the dense Eq. 7 of each row's observed sub-block."""
    means, log_vars, _, signs, mask, weight, _, _ = inputs(model)
    S, mu, log_var = oracles.covariance(model.structure, parameters | {"signs": signs}), *map(np.hstack, (means, log_vars))
    keep = [oracles.coordinates(model.structure.dims, row) for row in mask]
    return sum(
        g * oracles.kl(S[np.ix_(k, k)], mu[b, k], log_var[b, k])
        for b, (g, k) in enumerate(zip(weight, keep, strict=True))
        if len(k)
    )


def exact_row(structure, S, Q, z, observed, noise):
    """One row of ``complete``: hidden views by the source's conditional, or the second view after the first."""
    at, k = oracles.blocks(structure.dims), oracles.coordinates(structure.dims, observed)
    own, z = noise[len(noise) - len(z) :], z.copy()
    if structure.kind == "canonical":
        B = [q * a for q, a in zip(*Q, strict=True)]
        cross = np.concatenate(B)[k]
        back = (oracles.inverse_and_log_det(S[np.ix_(k, k)])[0] @ cross).T if len(k) else cross.T
        u = back @ z[k] + oracles.sqrt(1 - np.diagonal(back @ cross)) * noise[: structure.rank]
    for j in range(len(at)):
        if observed[j]:
            continue
        if structure.kind == "canonical":
            q, rest, mean = Q[0][j], oracles.sqrt(1 - Q[1][j] ** 2), B[j] @ u
        elif structure.kind == "independent" or (j == 0 and not observed[1]):
            q, rest, mean = oracles.identity(structure.dims[j])[:, :1], oracles.exact(np.ones(1)), 0
        else:
            q, rest, mean = Q[0][j], oracles.sqrt(1 - Q[1] ** 2), S[at[j], at[1 - j]] @ z[at[1 - j]]
        z[at[j]] = mean + own[at[j]] + (q * (rest - 1)) @ (q.T @ own[at[j]])  # the root of I - q (1 - rest^2) q^T
    return z


def exact_draw(model, parameters):
    """<cotangents, complete>."""
    means, _, _, signs, mask, _, noise, cotangents = inputs(model)
    structure, z = model.structure, oracles.exact(np.hstack(means))
    S, Q = oracles.covariance(structure, parameters | {"signs": signs}), None
    if structure.kind != "independent":
        frames = oracles.frames(structure, parameters | {"signs": signs})
        if structure.kind == "canonical":
            Q = frames, list(oracles.sqrt(oracles.sigmoid(oracles.exact(parameters["logits"]))))
        else:
            frames = [oracles.identity(2), frames[1]] if structure.kind == "orthogonal" else frames
            at = oracles.blocks(structure.dims)
            Q = frames, np.diagonal(frames[1].T @ S[at[1], at[0]] @ frames[0])
    rows = [exact_row(structure, S, Q, *row) for row in zip(z, mask, oracles.exact(noise), strict=True)]
    return (np.hstack(cotangents) * np.stack(rows)).sum()


def exact_mean(model, parameters):
    """<cotangents, conditional_mean> by the regression matrix of the dense covariance (Eq. 12)."""
    means, _, _, signs, mask, _, _, cotangents = inputs(model)
    z, g = oracles.exact(np.hstack(means)), np.hstack(cotangents)
    S, total = oracles.covariance(model.structure, parameters | {"signs": signs}), 0
    for b, row in enumerate(mask):
        seen = oracles.coordinates(model.structure.dims, row)
        hidden, gain, _ = oracles.conditional(S, seen)
        total += g[b, hidden] @ gain @ z[b, seen] if len(seen) and len(hidden) else 0
    return total


def slopes(function, model):
    """Differences of function(model, parameters) in every free parameter."""
    parameters = {name: x for name, x in model.parameters.items() if name != "signs"}
    flat, tree = jax.tree.flatten(parameters)

    def moved(k, x):
        return function(model, jax.tree.unflatten(tree, [*flat[:k], x, *flat[k + 1 :]]))

    return jax.tree.unflatten(tree, [oracles.derivatives(functools.partial(moved, k), x) for k, x in enumerate(flat)])


@functools.cache
def truth(model):
    """What ``everything`` should return; in the inputs of a row by dense algebra, in the parameters by differences."""
    means, log_vars, _, _, mask, weight, _, cotangents = inputs(model)
    dims, (mu, log_var, g) = model.structure.dims, map(np.hstack, (means, log_vars, cotangents))
    mu_bar, log_var_bar, z_bar = np.zeros(mu.shape), np.zeros(mu.shape), np.zeros(mu.shape)
    for b, row in enumerate(mask):
        seen, P = oracles.coordinates(dims, row), oracles.marginal_precision(model, tuple(row.tolist()))[0]
        if not len(seen):
            continue
        # Eq. 7: P mu and (diag(P) sigma^2 - 1)/2. Eq. 12: what is hidden has the regression matrix as its slope.
        mu_bar[b, seen] = oracles.floats(weight[b] * (P @ oracles.exact(mu[b, seen])))
        log_var_bar[b, seen] = oracles.floats(weight[b] * (np.diagonal(P) * oracles.exp(log_var[b, seen]) - 1) / 2)
        hidden, gain, _ = oracles.conditional(oracles.model_covariance(model), seen)
        z_bar[b, seen] = oracles.floats(g[b, seen] + (gain.T @ g[b, hidden] if len(hidden) else 0))
    mu_bar, log_var_bar, z_bar = ([x[:, s] for s in oracles.blocks(dims)] for x in (mu_bar, log_var_bar, z_bar))
    return (
        {"means": mu_bar, "log_vars": log_var_bar} | slopes(exact_kl, model),
        {"means": z_bar} | slopes(exact_draw, model),
        {"means": z_bar} | slopes(exact_mean, model),
    )


def allowed(model, eps):
    """How far rounding may move an entry of each of the three gradients.

    Every entry is a sum over rows of a cotangent times the derivative of that row's result, and each derivative a sum of
    products of the factors of the result (test_gradients.error): the error of the KL, times 4 for the chain rule's sums,
    times kappa from the Cayley solve or, without a solve, from M = (Q + I)/2 (|M| <= 1, off by as much as Q). A draw has
    weights at most 1 in place of Lambda and is linear in latents and noise. alpha is its own parameter: one factor Lambda more.
    """
    means, log_vars, _, _, mask, weight, noise, cotangents = inputs(model)
    mu, g = map(np.hstack, (means, cotangents))
    M, kappa = len(means), oracles.frame_condition(model)
    extra = 4 * kappa * (oracles.stiffness(model) if model.structure.kind == "orthogonal" else 1) * eps
    conditions = oracles.kl_rows(model, means, log_vars, mask)[1].astype(float)
    size = np.linalg.norm(g, axis=1) @ (np.linalg.norm(mu, axis=1) + np.linalg.norm(noise, axis=1) + 1)
    draw = (8 * max(model.structure.dims) ** 2 * kappa + 4 * M + 16) * size
    return extra * (np.abs(weight) @ conditions), extra * draw, extra * draw


@pytest.mark.parametrize(("structure", "case"), GRID)
def test_every_gradient_is_the_derivative_of_the_dense_formula(structure, case):
    """On balls there is no rounding: float64 rounds both sides once, and differences of the dense formula in 80 digits, with
    step 1e-25 and weights up to Lambda = 1e18, are good to 1e-80 Lambda^2 / 1e-25 = 1e-19 of an output's largest entry."""
    model = Model(structure, 3, **CASES[case])
    means, log_vars, parameters, signs, mask, *rest = inputs(model)
    views = [list(holes(x, mask)) for x in (means, log_vars)]
    found = on_balls(everything, structure, *views, parameters, signs, mask, *rest)
    for got, want in zip(found, truth(model), strict=True):
        assert got.keys() == want.keys()
        for name in got:
            pairs = list(zip(jax.tree.leaves(got[name]), jax.tree.leaves(want[name]), strict=True))
            largest = max(float(np.max(np.abs(y), initial=0.0)) for _, y in pairs)
            for x, y in pairs:
                assert x.shape == y.shape
                assert np.all(enclosures.error(y, x) <= 2.0**-52 * np.abs(y) + 1e-19 * largest), name
        for x, bit in zip(got["means"], mask.T, strict=True):
            assert not np.any(enclosures.floats(x)[~bit])


def tangent(frame, bar):
    """The part of a frame's cotangent that matters: without Q S, S symmetric."""
    inner = np.swapaxes(frame, -1, -2) @ bar
    return bar - frame @ (inner + np.swapaxes(inner, -1, -2)) / 2


def pieces(structure, seed, stack):
    """What the vjp differentiates in a prior: its frames and its alpha or logits; two models' where ``stack``."""
    p = Model(structure, seed).parameters
    frames = (
        [
            jc.frame(x, n, structure.rank, s)
            for x, n, s in zip(p.get("entries", []), structure.dims, p.get("signs", []), strict=True)
        ]
        if p
        else []
    )
    couplings = {name: p[name] for name in ("alpha", "logits") if name in p}
    found = {"frames": frames} | couplings
    if stack:
        found = jax.tree.map(lambda x, y: np.stack([x, y]), found, pieces(structure, seed + 1, False))
    return found


def arguments(structure, shape):
    """Latents of a batch with NaN where missing, log_vars, mask and noise; "subsets": three masks of one batch."""
    means, log_vars, _, _, mask, _, noise, _ = inputs(Model(structure, 5))
    means, log_vars = list(holes(means, mask)), list(holes(log_vars, mask))
    if shape == "subsets":
        means, log_vars = [x[None] for x in means], [x[None] for x in log_vars]
        return means, log_vars, np.stack([mask, mask & mask[::-1], mask & (mask.sum(1) < 2)[:, None]]), noise[None]
    return means, log_vars, mask, noise


def forward(structure, leaves, mask, noise):
    """All rows of the KL, and all outputs of complete and conditional_mean."""
    prior = structure.prior(leaves["prior"])
    kl = jc.kl_divergence(prior, leaves["means"], leaves["log_vars"], mask)
    return kl, jc.complete(prior, leaves["means"], mask, noise), jc.conditional_mean(prior, leaves["means"], mask)


def by_hand(structure, leaves, mask, noise, cotangents):
    """The sum of the three vector-Jacobian products, in the layout of ``leaves``, with tangent frame cotangents."""
    prior, (kl, drawn, mean) = structure.prior(leaves["prior"]), cotangents
    means_bar, log_vars_bar, bar = vjp.kl_divergence(prior, leaves["means"], leaves["log_vars"], mask, kl)
    found = [(means_bar, bar), vjp.complete(prior, leaves["means"], mask, noise, drawn)]
    found.append(vjp.conditional_mean(prior, leaves["means"], mask, mean))
    total = {"means": [sum(t) for t in zip(*(m for m, _ in found), strict=True)], "log_vars": list(log_vars_bar), "prior": {}}
    frames = leaves["prior"]["frames"]
    if frames:
        identity = np.zeros_like(frames[0])  # C = alpha R has no frame for the first view
        bars = [[identity if q is None else q for q in x.frames] for _, x in found]
        total["prior"]["frames"] = [tangent(q, sum(x)) for q, *x in zip(frames, *bars, strict=True)]
        no_frames = {"entries": []} | {name: x for name, x in leaves["prior"].items() if name != "frames"}
        coupling = [to_parameters(structure, no_frames, [], [], x._replace(frames=())) for _, x in found]
        name = "alpha" if structure.kind == "orthogonal" else "logits"
        total["prior"][name] = sum(x[name] for x in coupling)
    else:
        total["prior"] = {"frames": []}
    return total


def autograd(framework, structure, leaves, mask, noise, cotangents):
    """The same by automatic differentiation of the core itself, frames' gradients projected."""

    def inner(leaves, mask, noise, cotangents):
        outputs = jax.tree.leaves(forward(structure, leaves, mask, noise))
        return sum((x * g).sum() for x, g in zip(outputs, jax.tree.leaves(cotangents), strict=True))

    if framework == "jax":
        arrays = jax.tree.map(jax.numpy.asarray, (leaves, mask, noise, cotangents))
        found = jax.tree.map(np.asarray, jax.jit(jax.grad(inner))(*arrays))
    else:
        leaves, others = (jax.tree.map(torch.tensor, x) for x in (leaves, (mask, noise, cotangents)))
        inner(jax.tree.map(lambda x: x.requires_grad_(), leaves), *others).backward()
        found = jax.tree.map(lambda x: np.zeros(x.shape) if x.grad is None else x.grad.numpy(), leaves)
        leaves = jax.tree.map(lambda x: x.detach().numpy(), leaves)
    found["prior"]["frames"] = [tangent(q, x) for q, x in zip(leaves["prior"]["frames"], found["prior"]["frames"], strict=True)]
    return found


SHAPES = [("torch", structure, shape) for structure in STRUCTURES for shape in ("rows", "subsets", "stack")]


@pytest.mark.parametrize(
    ("framework", "structure", "shape"),
    [*SHAPES, ("jax", STRUCTURES[4], "subsets")],
    ids=lambda x: x if isinstance(x, str) else f"{x.kind}{len(x.dims)}",
)
def test_every_shape_agrees_with_automatic_differentiation(framework, structure, shape):
    """Batches, three masks of one batch, and two models on one batch: cotangents come back in the inputs' shapes.

    Both routes have the error of ``allowed``; subsets add three such, a stack two, the three functions three.
    """
    means, log_vars, mask, noise = arguments(structure, shape)
    leaves = {"means": means, "log_vars": log_vars, "prior": pieces(structure, 5, shape == "stack")}
    rng = np.random.default_rng(0)
    cotangents = jax.tree.map(lambda x: rng.standard_normal(x.shape), forward(structure, leaves, mask, noise))
    got = by_hand(structure, leaves, mask, noise, cotangents)
    want = autograd(framework, structure, leaves, mask, noise, cotangents)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    bound = 2 * 9 * max(max(allowed(Model(structure, seed), 2.0**-52)) for seed in (5, 6))
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert x.shape == y.shape
        assert np.all(np.abs(x - y) <= bound)
        assert bound < 1e-6 * np.max(np.abs(y)) or (not np.any(x) and not np.any(y))  # a gradient of zeros would fail


@pytest.mark.parametrize("library", [Library.NUMPY, Library.TORCH, Library.STRICT])
def test_no_mask_is_the_mask_of_all(library):
    xp, structure = Backend(library, "float32"), STRUCTURES[3]
    means, log_vars, _, _, mask, weight, _, _ = inputs(Model(structure, 1))
    prior = structure.prior(xp.array(pieces(structure, 1, False)))
    views, full, weight = xp.array(([means, log_vars], np.ones_like(mask), weight))
    with_mask, without = (vjp.kl_divergence(prior, *views, m, weight) for m in (full, None))
    for x, y in zip(with_mask[0] + with_mask[1], without[0] + without[1], strict=True):
        assert np.array_equal(xp.numpy(x), xp.numpy(y))


@pytest.mark.parametrize("kind", ["Pair", "Loadings", "independent"])
def test_cotangents_of_one_prior_are_added_part_by_part(kind):
    numbers = np.random.default_rng(0).standard_normal((2, 5, 3))

    def cotangent(x):
        coupling = {"Pair": jc.Bounded(*x[1:]), "Loadings": x[1], "independent": None}[kind]
        return vjp.PriorCotangent((None, x[0]), coupling)

    one, other = map(cotangent, numbers)
    both = one.plus(other)
    assert both.frames[0] is None
    np.testing.assert_array_equal(both.frames[1], numbers[0, 0] + numbers[1, 0])
    if kind == "independent":
        assert both.coupling is None
    else:
        expected = numbers[:, 1:] if kind == "Pair" else numbers[:, 1]
        np.testing.assert_array_equal(np.asarray(both.coupling), expected[0] + expected[1])
