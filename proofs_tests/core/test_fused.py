"""The fused posterior q(z | x_O) ~ p(z) prod_{i in O} q_i(z_i)/N(z_i; 0, I), against the dense product in 80 digits:

    precision = Sigma^-1 + diag(lambda), lambda = 1/sigma^2 - 1 where observed, else 0;  precision mean = mu/sigma^2 or 0

over ALL latents at once: the missing ones need no conditional. Rounding: a frame is off by 3 n^2 kappa eps, kappa the condition
of its Cayley transform, so N_i <= I is off by e = 8 n^2 kappa eps; T >= N_i^{-1}, so |T^{-1/2} N_i^{-1/2}| <= 1 and an error
N^{-1} e N^{-1} of T is at most |N_i^{-1}| e in T^{-1}. ``sharp`` is the largest |N_i^{-1}| e / eps: everything is off by that
many eps times its size.
"""

import functools
import itertools

import calls
import numpy as np
import oracles
import pytest
import strategies
import torch
from hypothesis import given
from hypothesis import strategies as st
from libraries import Backend, Library
from strategies import COUPLED, KINDS, STRUCTURES, THREE_VIEWS, Model, holes, models

import jpvae_core as jc


def evidence(dims, rows, seed):
    """Means and log-variances of at most 0, from no evidence to sharp; every other seed also so sharp as e^-20."""
    rng = np.random.default_rng(seed)
    means = tuple(strategies.float32(rng.standard_normal((rows, n))) for n in dims)
    reach = [8.0, 1.5][seed % 2]
    sharp = [np.minimum(rng.exponential(reach, (rows, n)), 20.0) * (rng.random((rows, n)) < 0.9) for n in dims]
    return means, tuple(strategies.float32(-x) for x in sharp)


def sharp(model, log_vars):
    """The largest |N_i^{-1}| <= 1/(r^2 + (1 - r^2) min sigma^2), over views, and the frames' errors in eps.

    r^2 = 1 - sigmoid(logit), or (1 - s^2)/2, the smaller of a pair's two: however sharp the evidence, r^2 bounds it.
    """
    kind, parameters = model.structure.kind, model.parameters
    if kind == "independent":
        return 8 * max(model.structure.dims) ** 2
    if kind == "canonical":
        r2 = 1 / (1 + np.exp(parameters["logits"].max()))
    elif kind == "orthogonal":
        r2 = (1 - parameters["alpha"] ** 2) / 2
    else:
        t = parameters["logits"]
        r2 = ((1 - (1 / (1 + np.exp(-t)) if kind == "svd-sigmoid" else np.tanh(t / 2)) ** 2) / 2).min()
    smallest = np.exp(min(v.min() for v in log_vars))
    return 8 * max(model.structure.dims) ** 2 * oracles.frame_condition(model) / (r2 + (1 - r2) * smallest)


def noise(structure, rows, seed):
    d = max(structure.rank, 1)
    return strategies.float32(
        np.random.default_rng(seed).standard_normal((rows, d * (1 + len(structure.dims)) + sum(structure.dims)))
    )


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=st.integers(0, 99))
def test_every_pattern_is_the_dense_product(xp, kind, data, seed):
    model = data.draw(models(xp, kind, reach=(0.5, 3.0, 8.0)))
    dims = model.structure.dims
    masks = strategies.masks(len(dims), seed)
    means, log_vars = evidence(dims, len(masks), seed)
    eps = noise(model.structure, len(masks), seed)
    found = xp.call(calls.fused, model.structure, model.framed(xp), holes(means, masks), holes(log_vars, masks), masks, eps)
    room = sharp(model, log_vars) * xp.eps
    mean, drawn = (np.concatenate(found[name], axis=-1) for name in ("mean", "drawn"))
    for r, mask in enumerate(masks):
        row = [np.concatenate([x[r] for x in part]) for part in (means, log_vars)]
        want, cov, kl, log_density = oracles.fused(model, *row, mask)
        size = 1 + np.abs(row[0]).max() + np.abs(eps[r]).max()
        assert np.all(np.abs(mean[r] - want) <= room * size)
        assert np.all(np.abs(found["covariance"][r] - cov) <= room)
        assert abs(found["kl"][r] - kl) <= room * size**2 * len(want)
        # A density's logarithm: (z - mean)^2/var is off by its size times |N^{-1}| once more.
        assert abs(found["log_density"][r] - log_density(drawn[r])) <= room * size**2 * len(want) * (
            1 + abs(log_density(drawn[r]))
        )


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)
def test_a_draw_is_affine_in_its_noise_with_the_dense_covariance(structure):
    model = Model(structure, 4)
    prior, masks = structure.prior(model.parameters), strategies.patterns(len(structure.dims))
    means, log_vars = evidence(structure.dims, len(masks), 2)
    q = jc.fuse(prior, means, log_vars, masks)
    room = sharp(model, log_vars) * 2.0**-52 * 10
    centre = np.concatenate(q.draw(np.zeros((len(masks), q.noise_dim))), axis=-1)
    columns = [np.concatenate(q.draw(np.tile(e, (len(masks), 1))), axis=-1) - centre for e in np.eye(q.noise_dim)]
    J = np.stack(columns, axis=-1)
    e = np.random.default_rng(0).standard_normal((len(masks), q.noise_dim))
    assert np.concatenate(q.draw(e), axis=-1) == pytest.approx(centre + (J @ e[..., None])[..., 0], abs=room * 10)
    for r, mask in enumerate(masks):
        want, cov, _, _ = oracles.fused(model, *(np.concatenate([x[r] for x in part]) for part in (means, log_vars)), mask)
        assert np.abs(centre[r] - want).max() <= room * 5
        assert np.abs(J[r] @ J[r].T - cov).max() <= room


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)
def test_one_view_gives_back_its_encoder(structure):
    """So the single-view terms of a subset objective are those of the factorised posterior."""
    model = Model(structure, 1)
    prior = structure.prior(model.parameters)
    means, log_vars = evidence(structure.dims, 5, 3)
    room = sharp(model, log_vars) * 2.0**-52 * 10
    for i in range(len(structure.dims)):
        mask = np.arange(len(structure.dims)) == i
        q = jc.fuse(prior, means, log_vars, mask)
        assert q.mean()[i] == pytest.approx(means[i], abs=room)
        assert q.kl() == pytest.approx(jc.kl_divergence(prior, means, log_vars, mask), abs=room * 10)
        at = slice(sum(structure.dims[:i]), sum(structure.dims[: i + 1]))
        for r in range(5):
            assert q.covariance()[r, at, at] == pytest.approx(np.diag(np.exp(log_vars[i][r])), abs=room)
        for j, completed in enumerate(jc.conditional_mean(prior, means, mask)):
            assert q.mean()[j] == pytest.approx(completed, abs=room)


def test_independent_views_are_a_product():
    structure = STRUCTURES[0]
    prior, (means, log_vars) = jc.JointPrior.independent(structure.dims), evidence(structure.dims, 4, 5)
    q = jc.fuse(prior, means, log_vars)
    assert np.concatenate(q.mean(), axis=1) == pytest.approx(np.concatenate(means, axis=1))
    assert q.kl() == pytest.approx(jc.kl_divergence(prior, means, log_vars), abs=1e-13)


@pytest.mark.parametrize("kind", COUPLED)
@given(data=st.data(), seed=st.integers(0, 99))
def test_the_kl_is_not_negative_and_0_without_evidence(kind, data, seed):
    model = data.draw(models(None, kind))
    prior, dims = model.structure.prior(model.parameters), model.structure.dims
    means, log_vars = evidence(dims, 6, seed)
    assert np.all(jc.fuse(prior, means, log_vars).kl() >= 0)
    nothing = jc.fuse(prior, [0 * m for m in means], [0 * v for v in log_vars])
    assert np.abs(nothing.kl()).max() <= 1e-14 * sum(dims)


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)
@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-6])
def test_next_to_0_the_kl_keeps_its_digits(xp, structure, size):
    """Relative errors as elsewhere: evidence and means of that size give a KL of size^2, and all its terms are as small."""
    model, masks = Model(structure, 2), strategies.patterns(len(structure.dims))[1:]
    means, log_vars = ([strategies.float32(size * x) for x in part] for part in evidence(structure.dims, len(masks), 1))
    eps = noise(structure, len(masks), 0)
    found = xp.call(calls.fused, structure, model.framed(xp), means, log_vars, masks, eps)["kl"]
    room = 4 * sharp(model, log_vars) * xp.eps
    for r, mask in enumerate(masks):
        kl = oracles.fused(model, *(np.concatenate([x[r] for x in part]) for part in (means, log_vars)), mask)[2]
        assert abs(found[r] - kl) <= room * kl


@pytest.mark.parametrize("coordinates", ["latent", "frame"])
@pytest.mark.parametrize("library", [Library.NUMPY, Library.TORCH, Library.JAX])
def test_evidence_that_takes_information_away_is_refused(library, coordinates):
    """Above 0 alone, of a view that is there; by standard deviations too. Where nothing can be read it passes."""
    xp = Backend(library, "float64")
    prior = jc.JointPrior.orthogonal(xp.array(np.eye(2)), 0.9)
    means, log_vars = xp.array([[np.zeros((3, 2))] * 2, [np.zeros((3, 2)), np.full((3, 2), 0.25)]])
    seen = functools.partial(jc.fuse, prior, means, coordinates=coordinates)
    with pytest.raises(jc.ArgumentError, match=r"log_vars\[1\] holds 0.25; expected at most 0"):
        seen(log_vars)
    with pytest.raises(jc.ArgumentError, match=r"std\[0\] holds 1.5; expected at most 1"):
        seen(std=xp.array([np.full((3, 2), 1.5)] * 2))
    assert np.isfinite(np.asarray(seen([log_vars[0]] * 2).kl())).all()
    assert np.isfinite(np.asarray(seen(log_vars, np.asarray([True, False])).kl())).all()
    if library is Library.TORCH:
        found = torch.func.vmap(lambda m, v: jc.fuse(prior, [m, m], [v, v], coordinates=coordinates).kl())(
            means[0], log_vars[1]
        )
        assert found.shape == (3,)


def test_subsets_on_a_leading_axis_of_the_mask():
    model = Model(THREE_VIEWS, 2)
    prior, (means, log_vars) = THREE_VIEWS.prior(model.parameters), evidence(THREE_VIEWS.dims, 6, 1)
    masks = np.random.default_rng(0).random((4, 6, 3)) < 0.5
    q = jc.fuse(prior, means, log_vars, masks)
    e = np.random.default_rng(1).standard_normal((4, 6, q.noise_dim))
    drawn, kl = q.draw(e), q.kl()
    assert kl.shape == (4, 6)
    for k in range(4):
        one = jc.fuse(prior, means, log_vars, masks[k])
        assert kl[k] == pytest.approx(one.kl(), abs=1e-13)
        for a, b in zip(drawn, one.draw(e[k]), strict=True):
            assert a[k] == pytest.approx(b, abs=1e-12)


@pytest.mark.parametrize("views", [2, 3])
def test_with_exact_encoders_the_bound_is_the_evidence_for_every_subset(views):
    """x_i = W_i z_i + noise with orthogonal columns: each view's own posterior is diagonal. Then for EVERY O

    E_q log p(x_O | z_O) - KL(q || p(z_O)) = log p(x_O),    a Gaussian density that knows no latents' posterior.
    """
    rng, n, c = np.random.default_rng(3), 2, 4
    if views == 2:
        prior = jc.JointPrior.svd(jc.orthogonal(rng.standard_normal(1), 2), np.array([-3.0, 1.5]), np.eye(2), bound="tanh")
    else:
        frames = [jc.orthogonal(rng.standard_normal(1), n) for _ in range(views)]
        prior = jc.JointPrior.canonical(frames, rng.uniform(-1, 4, (views, n)))
    x, W, v, means, log_vars = [], [], [], [], []
    for i in range(views):
        W.append(np.linalg.qr(rng.standard_normal((c, n)))[0] * rng.uniform(0.5, 2.0, n))
        v.append(0.1 + 0.2 * i)
        x.append(rng.standard_normal((5, c)))
        precision = 1 + (W[i] ** 2).sum(axis=0) / v[i]
        means.append(x[i] @ W[i] / v[i] / precision)
        log_vars.append(np.tile(-np.log(precision), (5, 1)))
    S = prior.covariance()
    for mask in itertools.product([True, False], repeat=views):
        seen = [i for i in range(views) if mask[i]]
        if not seen:
            continue
        q = jc.fuse(prior, means, log_vars, np.array(mask))
        m, C, fit = q.mean(), np.broadcast_to(q.covariance(), (5, *S.shape)), np.zeros(5)
        for i in seen:
            at = slice(n * i, n * (i + 1))
            residual = np.sum((x[i] - m[i] @ W[i].T) ** 2, axis=1) + np.trace(W[i] @ C[:, at, at] @ W[i].T, axis1=1, axis2=2)
            fit += -0.5 * (residual / v[i] + c * np.log(2 * np.pi * v[i]))
        big = np.zeros((c * len(seen), n * views))
        for k, i in enumerate(seen):
            big[c * k : c * (k + 1), n * i : n * (i + 1)] = W[i]
        K = big @ S @ big.T + np.diag(np.repeat([v[i] for i in seen], c))
        joined = np.concatenate([x[i] for i in seen], axis=1)
        exact = -0.5 * (np.sum(joined * np.linalg.solve(K, joined.T).T, axis=1) + np.linalg.slogdet(2 * np.pi * K)[1])
        assert fit - q.kl() == pytest.approx(exact, abs=1e-11)


@pytest.mark.parametrize("structure", STRUCTURES[1:], ids=lambda s: s.kind)
def test_gradients_by_autograd_are_differences(structure):
    """Of KL plus a fixed combination of a draw, in the means, log-variances and raw parameters; float64, complex free."""
    model, masks = Model(structure, 6), strategies.patterns(len(structure.dims))
    means, log_vars = evidence(structure.dims, len(masks), 4)
    log_vars = [v - 0.1 for v in log_vars]
    names = [name for name in ("logits", "alpha") if name in model.parameters]
    parts = [*means, *log_vars, *model.parameters["entries"], *(model.parameters[name] for name in names)]
    M, signs, eps = len(means), model.parameters["signs"], noise(structure, len(masks), 0)
    c = [np.random.default_rng(i).standard_normal((len(masks), n)) for i, n in enumerate(structure.dims)]

    def value(*arrays, of=np.asarray):
        raw = {"entries": arrays[2 * M : 3 * M], "signs": [of(s) for s in signs]} | dict(
            zip(names, arrays[3 * M :], strict=True)
        )
        q = jc.fuse(structure.prior(raw), arrays[:M], arrays[M : 2 * M], of(masks))
        return q.kl().sum() + sum((of(w) * z).sum() for w, z in zip(c, q.draw(of(eps)), strict=True))

    leaves = [torch.tensor(np.asarray(p), requires_grad=True) for p in parts]
    value(*leaves, of=torch.tensor).backward()
    rng = np.random.default_rng(8)
    for k, p in enumerate(parts):
        p = np.asarray(p)
        direction, h = rng.standard_normal(p.shape), 1e-5
        pair = [value(*parts[:k], p + s * h * direction, *parts[k + 1 :]) for s in (1, -1)]
        gradient = leaves[k].grad  # None where a prior has no use for an array: its differences are then 0
        slope = 0.0 if gradient is None else float((gradient.numpy() * direction).sum())
        # Central differences: h^2 of a third derivative of some 1e3, and 1e-15 of a value of some 1e2, over h.
        assert slope == pytest.approx((pair[0] - pair[1]) / (2 * h), rel=1e-5, abs=1e-5)


def test_what_a_missing_view_holds_has_gradient_zero():
    model = Model(THREE_VIEWS, 3)
    prior = THREE_VIEWS.prior(
        {k: [torch.tensor(x) for x in v] if isinstance(v, list) else torch.tensor(v) for k, v in model.parameters.items()}
    )
    masks = strategies.patterns(3)
    means, log_vars = (
        [torch.tensor(x, requires_grad=True) for x in holes(part, masks)] for part in evidence(THREE_VIEWS.dims, 8, 1)
    )
    q = jc.fuse(prior, means, log_vars, torch.tensor(masks))
    (q.kl().sum() + sum(z.sum() for z in q.draw(torch.ones(8, q.noise_dim, dtype=torch.float64)))).backward()
    for i in range(3):
        for x in (means[i], log_vars[i]):
            assert torch.isfinite(x.grad).all()
            assert not x.grad[torch.tensor(~masks[:, i])].any()
