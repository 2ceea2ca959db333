"""The core's formulas ARE the theorems': its source run on balls encloses the dense answer, to 40 digits and more.

balls.py runs jpvae_core unchanged in 320-bit ball arithmetic, so an output is a proven interval around what the formula says.
oracles.py evaluates the definitions (Sigma assembled from C_ij, its inverse and determinant by elimination) in 80 digits. If
the two differed by a sign, a factor or a transpose, or cancelled anywhere, the intervals would miss or be wide.
"""

from __future__ import annotations

import math
from typing import Any

import balls
import enclosures
import flint
import numpy as np
import oracles
import pytest
from balls import enclose
from hypothesis import given
from hypothesis import strategies as st
from parameter_cotangents import to_parameters
from strategies import COUPLED, KINDS, PAIR_KINDS, Model, Structure, models, patterns, posterior

import jpvae_core as jc
from jpvae_core import vjp

SEEDS = st.integers(0, 99)
DIGITS = 40


def agrees(enclosure: balls.Balls, exact: Any, scale: float = 1.0) -> bool:
    """Narrow, and the 80-digit answer (itself good to 1e-60) is inside: both to 40 digits of ``scale``."""
    wanted = [flint.arb(oracles.mp.nstr(oracles.mp.mpf(x), 80)) for x in np.ravel(exact)]
    found = np.ravel(enclosure.data)
    assert len(found) == len(wanted)
    room = scale * 10.0**-DIGITS
    return all(abs(x - y).abs_upper() < room for x, y in zip(found, wanted, strict=True))


def prior_of(model: Model) -> jc.JointPrior:
    """The package's prior from free parameters, on balls."""
    return model.structure.prior(enclose(model.parameters))


@pytest.mark.parametrize("kind", COUPLED)
@given(data=st.data())
def test_covariance_precision_and_determinant(kind, data):
    model = data.draw(models(None, kind, reach=(0.5, 12.0, 30.0)))
    prior, (P, log_det) = prior_of(model), oracles.model_precision(model)
    assert agrees(prior.covariance(), oracles.model_covariance(model))
    assert agrees(prior.precision(), P, oracles.stiffness(model))
    assert agrees(prior.log_det(), log_det)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_kl_of_every_pattern(kind, data, seed):
    model = data.draw(models(None, kind, reach=(0.5, 12.0, 30.0)))
    masks = patterns(len(model.structure.dims))
    means, log_vars = posterior(model.structure.dims, len(masks), seed)
    got = jc.kl_divergence(prior_of(model), enclose(means), enclose(log_vars), balls.Balls(masks))
    for row, mask in enumerate(masks):
        P, log_det, largest = oracles.marginal_precision(model, tuple(mask.tolist()))
        keep = oracles.coordinates(model.structure.dims, mask)
        m, v = (oracles.exact(np.concatenate([x[row] for x in rows])[keep]) for rows in (means, log_vars))
        assert agrees(got[row], oracles.kl_from_precision(P, log_det, m, v), largest)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_log_density_of_every_pattern(kind, data, seed):
    model = data.draw(models(None, kind, reach=(0.5, 12.0, 30.0)))
    masks = patterns(len(model.structure.dims))
    latents, _ = posterior(model.structure.dims, len(masks), seed)
    got = jc.log_density(prior_of(model), enclose(latents), balls.Balls(masks))
    for row, mask in enumerate(masks):
        z = oracles.exact(np.concatenate([x[row] for x in latents])[oracles.coordinates(model.structure.dims, mask)])
        P, log_det, largest = oracles.marginal_precision(model, tuple(mask.tolist()))
        rounded = oracles.mp.log(2 * oracles.mp.pi) - math.log(2 * math.pi)  # the one constant that is a float
        assert agrees(got[row], oracles.log_normal(P, log_det, z) + len(z) * rounded / 2, largest)


@pytest.mark.parametrize("kind", PAIR_KINDS)
@given(data=st.data(), seed=SEEDS)
def test_the_papers_forms_are_the_same_number(kind, data, seed):
    """Eq. 9, Eq. 16 (corrected) and Eq. 7, each run on balls, without a digit of slack: their intervals overlap."""
    model = data.draw(models(None, kind, reach=(0.5, 12.0)))
    prior = prior_of(model)
    rows = [enclose(x) for x in posterior(model.structure.dims, 2, seed)]
    canonical, C = jc.kl_divergence(prior, *rows), prior.cross_covariance(1, 0)
    forms = [jc.kl_eq9(*rows, C), jc.kl_dense(*rows, prior.covariance())]
    if model.structure.kind == "orthogonal":
        entries, signs = (model.parameters[name][1] for name in ("entries", "signs"))
        rotation = jc.orthogonal(balls.Balls(entries), len(signs), signs)
        forms.append(jc.kl_eq16(*rows, rotation, balls.Balls(model.parameters["alpha"])))
    for form in forms:
        assert np.all(enclosures.radii(form) < 1e-30 * (1 + np.abs(enclosures.floats(form))))
        assert all(x.overlaps(y) for x, y in zip(form.data, canonical.data, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=SEEDS)
def test_conditioning_on_every_pattern(kind, data, seed):
    model = data.draw(models(None, kind, reach=(0.5, 12.0)))
    dims, masks = model.structure.dims, patterns(len(model.structure.dims))
    latents, _ = posterior(dims, len(masks), seed)
    means, covariances = jc.condition(prior_of(model), enclose(latents), balls.Balls(masks))
    for row, mask in enumerate(masks):
        seen = oracles.coordinates(dims, mask)
        hidden, gain, schur = oracles.conditional(oracles.model_covariance(model), seen)
        z = oracles.exact(np.concatenate([x[row] for x in latents]))
        z[hidden] = gain @ z[seen]
        assert agrees(balls.Balls(np.concatenate([m.data[row] for m in means])), z)
        S = oracles.exact(np.zeros((len(z), len(z))))
        S[np.ix_(hidden, hidden)] = schur
        assert agrees(balls.Balls(np.block([[b.data[row] for b in line] for line in covariances])), S)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_draws_have_the_conditional_covariance(kind, data):
    """Draws are affine in their noise: the columns of L are differences of draws, and L L^T is the Schur complement."""
    model = data.draw(models(None, kind, reach=(0.5, 12.0)))
    prior, dims = prior_of(model), model.structure.dims
    noise = balls.Balls(np.concatenate([np.zeros((1, prior.noise_dim)), np.eye(prior.noise_dim)]))
    latents, _ = posterior(dims, 1, 0)
    rows = enclose([np.repeat(x, prior.noise_dim + 1, axis=0) for x in latents])
    for mask in patterns(len(dims)):
        drawn = np.concatenate([x.data for x in jc.complete(prior, rows, balls.Balls(mask), noise)], axis=1)
        hidden, _, schur = oracles.conditional(oracles.model_covariance(model), oracles.coordinates(dims, mask))
        L = (drawn[1:] - drawn[:1])[:, hidden]
        assert agrees(balls.Balls(np.asarray(L.T @ L, dtype=object)), schur)


FUSED = (
    *((Structure("canonical", (3, 2, 4), 2), reach, "latent") for reach in (0.5, 30.0)),
    *((Structure(kind, (3, 4), 2), reach, "latent") for kind, reach in (("svd-sigmoid", 12.0), ("svd-tanh", 0.5))),
    *((Structure("orthogonal", (3, 3), 3), 12.0, coordinates) for coordinates in ("latent", "frame")),
    *((Structure(kind, (2, 2), 2), 12.0, "frame") for kind in ("svd-sigmoid", "svd-tanh")),
    *((Structure("canonical", (2,) * views, 2), 30.0, "frame") for views in (1, 4)),
)


@pytest.mark.parametrize(("structure", "reach", "coordinates"), FUSED, ids=lambda x: getattr(x, "kind", str(x)))
def test_fused_posteriors_of_every_pattern(structure, reach, coordinates):
    """Mean, covariance, KL, density and the covariance of draws are those of the dense product.

    From weak evidence throughout a row (the other form of N) to log-variances of -40.
    """
    model, dims, in_frames = Model(structure, 5, reach), structure.dims, coordinates == "frame"
    rng, masks = np.random.default_rng(0), patterns(len(dims))
    masks[0] = True
    reach = np.where(np.arange(len(masks)) % 2, 40.0, 0.3)[:, None]
    means, log_vars = [rng.standard_normal((len(masks), n)) for n in dims], [-reach * rng.random((len(masks), n)) for n in dims]
    prior, rows = prior_of(model), (enclose(means), enclose(log_vars), balls.Balls(masks))
    q = jc.fuse(prior, *rows, coordinates)
    found, cov, kl = np.concatenate([x.data for x in q.mean()], axis=1), q.covariance(), q.kl()
    noise = np.concatenate([np.zeros((1, q.noise_dim)), np.eye(q.noise_dim)])[:, None] + np.zeros((len(masks), 1))
    drawn = np.concatenate([x.data for x in q.draw(balls.Balls(noise))], axis=-1)
    L = (drawn[1:] - drawn[:1]).transpose(1, 2, 0)
    density = q.log_density([balls.Balls(x) for x in np.split(drawn[-1], np.cumsum(dims)[:-1], axis=1)])
    for r, mask in enumerate(masks):
        row = (np.concatenate([x[r] for x in part]) for part in (means, log_vars))
        mean, dense, divergence, log_density = oracles.fused_exactly(model, *row, mask, in_frames)
        size = np.exp(-min(x[r].min() for x in log_vars)) * oracles.stiffness(model)
        assert agrees(balls.Balls(found[r]), mean)
        assert agrees(balls.Balls(drawn[0, r]), mean)
        assert agrees(cov[r], dense)
        assert agrees(balls.Balls(L[r] @ L[r].T), dense)
        assert agrees(kl[r], divergence)
        z = oracles.exact([oracles.mp.mpf(x.mid().str(80, radius=False)) for x in drawn[-1, r]])
        rounded = (oracles.mp.log(2 * oracles.mp.pi) - math.log(2 * math.pi)) * len(oracles.coordinates(dims, mask)) / 2
        assert agrees(density[r], log_density(z) + rounded, size)


def moved(x: Any, by: Any, step: float) -> Any:
    """x + step * by, every array of a tree."""
    if isinstance(x, dict):
        return {key: moved(value, by[key], step) for key, value in x.items()}
    if isinstance(x, list):
        return [moved(value, other, step) for value, other in zip(x, by, strict=True)]
    return x + step * by


def directions(x: Any, rng: np.random.Generator) -> Any:
    """Standard normals, an array for every array of a tree."""
    if isinstance(x, dict):
        return {key: directions(value, rng) for key, value in x.items()}
    return [directions(value, rng) for value in x] if isinstance(x, list) else rng.standard_normal(np.shape(x))


def inner(x: Any, y: Any) -> Any:
    """The sum of the products of two trees' numbers."""
    if isinstance(x, dict):
        assert x.keys() == y.keys()
        return sum((inner(x[key], y[key]) for key in x), flint.arb(0))
    if isinstance(x, list):
        return sum((inner(a, b) for a, b in zip(x, y, strict=True)), flint.arb(0))
    return sum((a * b for a, b in zip(np.ravel(x.data), np.ravel(y.data), strict=True)), flint.arb(0))


@pytest.mark.parametrize(("structure", "reach", "coordinates"), FUSED, ids=lambda x: getattr(x, "kind", str(x)))
def test_gradients_of_fused_posteriors_are_limits_of_differences(structure, reach, coordinates):
    """Of <weight, KL> + <bars, draw>, all patterns in one batch, along a random direction of means, log-variances and free
    parameters at once. Differences with steps of 2^-100 of the forward source, which the test above has checked: their error is
    of order 2^-200, times third derivatives of up to 1e12 (alpha at 1 - 1e-6)."""
    model, dims, rng = Model(structure, 5, reach), structure.dims, np.random.default_rng(1)
    masks, parameters = patterns(len(dims)), dict(model.parameters)
    signs = parameters.pop("signs")
    reaches = np.where(np.arange(len(masks)) % 2, 40.0, 0.3)[:, None]
    means = [rng.standard_normal((len(masks), n)) for n in dims]
    at = {"means": means, "log_vars": [-reaches * rng.random((len(masks), n)) for n in dims], "parameters": parameters}
    point, along, mask = enclose(at), enclose(directions(at, rng)), balls.Balls(masks)
    sources = 1 + (len(dims) if coordinates == "latent" else 0)
    noise = balls.Balls(rng.standard_normal((len(masks), structure.rank * sources + sum(dims))))
    weight, bars = balls.Balls(rng.standard_normal(len(masks))), enclose([rng.standard_normal(x.shape) for x in means])

    def fused(x: Any) -> tuple[Any, list[Any]]:
        entries = x["parameters"]["entries"]
        frames = [jc.frame(p, n, structure.rank, s) for p, n, s in zip(entries, dims, signs, strict=True)]
        prior = structure.prior(x["parameters"] | {"frames": frames})
        return jc.fuse(prior, x["means"], x["log_vars"], mask, coordinates), frames

    def value(step: float) -> Any:
        q, _ = fused(moved(point, along, step))
        return inner([weight, *bars], [q.kl(), *q.draw(noise)])

    q, frames = fused(point)
    of_means, of_log_vars, of_prior = vjp.fuse(q, noise, weight, bars)
    free = to_parameters(structure, point["parameters"], frames, signs, of_prior)
    found = {"means": list(of_means), "log_vars": list(of_log_vars), "parameters": free}
    step = 2.0**-100
    slope, quotient = inner(found, along), (value(step) - value(-step)) / (2.0 * step)
    assert slope.rad() < 1e-40
    assert (slope - quotient).abs_upper() < 10.0**-DIGITS * (1 + quotient.abs_upper())


@pytest.mark.parametrize("n", [1, 2, 7, 30])
@pytest.mark.parametrize("reach", [1e-3, 1.0, 1e6])
def test_cayley_frames_are_orthogonal(n, reach):
    """Q^T Q = I and det Q = the product of the signs, with proof, for |A| up to 1e6 n."""
    rng = np.random.default_rng(n)
    entries, signs = reach * rng.uniform(-1, 1, n * (n - 1) // 2), rng.choice([-1.0, 1.0], n)
    Q = jc.orthogonal(balls.Balls(entries), n, signs)
    assert agrees(balls.Namespace.matrix_transpose(Q) @ Q, np.eye(n))
    sign, log_det = balls.Namespace.linalg.slogdet(Q)
    assert sign.data == np.prod(signs)
    assert agrees(log_det, 0.0)
