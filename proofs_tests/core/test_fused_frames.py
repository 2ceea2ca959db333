"""The fused posterior with evidence diagonal in the frames' coordinates, against the dense product in 80 digits.

Rounding: per direction every number is a sum of positive terms but the sums of a m/N and m - a (1 - sigma^2) u^, so it is off
by some ten eps times 1/N <= 1/(r^2 + (1 - r^2) sigma^2) times its size; frames as in test_fused.py.
"""

import calls
import numpy as np
import oracles
import pytest
import strategies
import torch
from strategies import Model, Structure, holes

import jpvae_core as jc

STRUCTURES = (
    Structure("orthogonal", (3, 3), 3),
    Structure("svd-sigmoid", (2, 2), 2),
    Structure("svd-tanh", (3, 3), 3),
    Structure("canonical", (2, 2, 2), 2),
)
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.kind)


def evidence(structure, rows, seed, reach=3.0):
    rng = np.random.default_rng(seed)
    means = [strategies.float32(rng.standard_normal((rows, n))) for n in structure.dims]
    return means, [strategies.float32(-reach * rng.random((rows, n))) for n in structure.dims]


def noise(structure, rows, seed):
    shape = (rows, structure.rank + sum(structure.dims))
    return strategies.float32(np.random.default_rng(seed).standard_normal(shape))


@every_structure
@pytest.mark.parametrize(("level", "reach"), [(0.5, 3.0), (6.0, 20.0)])
def test_every_pattern_is_the_dense_product(xp, structure, level, reach):
    """Weak and strong coupling (1 - s^2 down to 2e-3), evidence down to sigma^2 = e^-20."""
    model = Model(structure, 3, reach=level)
    masks = strategies.patterns(len(structure.dims))
    means, log_vars = evidence(structure, len(masks), 1, reach)
    eps = noise(structure, len(masks), 2)
    framed, holed = model.framed(xp), (holes(means, masks), holes(log_vars, masks))
    found = xp.call(calls.fused_in_frames, structure, framed, *holed, masks, eps)
    mean, drawn = (np.concatenate(found[name], axis=-1) for name in ("mean", "drawn"))
    frame = 8 * max(structure.dims) ** 2 * oracles.frame_condition(model)
    room = xp.eps * frame * min(2 * (1 + np.exp(level)), np.exp(reach))
    for r, mask in enumerate(masks):
        row = [np.concatenate([x[r] for x in part]) for part in (means, log_vars)]
        want, cov, kl, log_density = oracles.fused(model, *row, mask, in_frames=True)
        size = 1 + np.abs(row[0]).max() + np.abs(eps[r]).max()
        assert np.all(np.abs(mean[r] - want) <= room * size)
        assert np.all(np.abs(found["covariance"][r] - cov) <= room)
        assert abs(found["kl"][r] - kl) <= room * size**2 * len(want)
        # A latent is rounded by eps; that is eps/sigma, sigma^2 >= rho/2 e^-reach, of a coordinate's own deviation.
        sharp = xp.eps * frame * np.exp(reach / 2) * (1 + np.exp(level)) ** 0.5
        assert abs(found["log_density"][r] - log_density(drawn[r])) <= (room + sharp) * size**2 * len(want)


@every_structure
def test_a_draw_is_affine_in_its_noise_with_the_dense_covariance(structure):
    model, masks = Model(structure, 4), strategies.patterns(len(structure.dims))
    means, log_vars = evidence(structure, len(masks), 2)
    q = jc.fuse(structure.prior(model.parameters), means, log_vars, masks, "frame")
    centre = np.concatenate(q.draw(np.zeros((len(masks), q.noise_dim))), axis=-1)
    columns = [np.concatenate(q.draw(np.tile(e, (len(masks), 1))), axis=-1) - centre for e in np.eye(q.noise_dim)]
    J = np.stack(columns, axis=-1)
    assert centre == pytest.approx(np.concatenate(q.mean(), axis=-1), abs=1e-13)
    assert pytest.approx(q.covariance(), abs=1e-13) == J @ np.swapaxes(J, -1, -2)


@every_structure
def test_with_one_variance_per_view_the_coordinates_do_not_matter(structure):
    """Nor where the frames are the identity: sigma^2 I is diagonal in all of them."""
    prior, masks = structure.prior(Model(structure, 2).parameters), strategies.patterns(len(structure.dims))
    means, log_vars = evidence(structure, len(masks), 5)
    flat = [np.tile(v[:, :1], (1, v.shape[1])) for v in log_vars]
    identity = jc.JointPrior(prior.dims, (None,) * len(prior.dims), prior.coupling)
    for model, spread in ((prior, flat), (identity, log_vars)):
        here, there = (jc.fuse(model, means, spread, masks, coordinates) for coordinates in ("frame", "latent"))
        z = here.draw(noise(structure, len(masks), 0))
        assert here.kl() == pytest.approx(there.kl(), abs=1e-12)
        assert here.covariance() == pytest.approx(there.covariance(), abs=1e-12)
        assert here.log_density(z) == pytest.approx(there.log_density(z), abs=1e-11)
        for a, b in zip(here.mean(), there.mean(), strict=True):
            assert a == pytest.approx(b, abs=1e-12)


@every_structure
def test_gradients_by_autograd_are_differences(structure):
    model, masks = Model(structure, 6), strategies.patterns(len(structure.dims))
    means, log_vars = evidence(structure, len(masks), 4)
    eps, weights = noise(structure, len(masks), 0), [np.random.default_rng(9).standard_normal(x.shape) for x in means]
    name = "alpha" if structure.kind == "orthogonal" else "logits"
    parts = [*means, *log_vars, *model.parameters["entries"], model.parameters[name]]
    M = len(means)

    def value(*arrays, of=np.asarray):
        raw = {"entries": arrays[2 * M : 3 * M], "signs": list(map(of, model.parameters["signs"])), name: arrays[-1]}
        q = jc.fuse(structure.prior(raw), arrays[:M], arrays[M : 2 * M], of(masks), "frame")
        return q.kl().sum() + sum((of(w) * z).sum() for w, z in zip(weights, q.draw(of(eps)), strict=True))

    leaves = [torch.tensor(np.asarray(p), requires_grad=True) for p in parts]
    value(*leaves, of=torch.tensor).backward()
    rng, h = np.random.default_rng(8), 1e-5
    for k, p in enumerate(map(np.asarray, parts)):
        direction = rng.standard_normal(p.shape)
        up, down = (value(*parts[:k], p + s * h * direction, *parts[k + 1 :]) for s in (1, -1))
        gradient = leaves[k].grad
        slope = 0.0 if gradient is None else float((gradient.numpy() * direction).sum())
        # h^2 of a third derivative of some 1e3, and 1e-15 of a value of some 1e2, over h.
        assert slope == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-5)


def test_without_evidence_it_is_the_prior():
    structure = STRUCTURES[-1]
    prior, zeros = structure.prior(Model(structure, 1).parameters), [np.zeros((2, n)) for n in structure.dims]
    q = jc.fuse(prior, zeros, zeros, None, "frame")
    assert not q.kl().any()
    assert q.covariance()[0] == pytest.approx(prior.covariance(), abs=1e-15)


def test_what_it_cannot_be():
    prior = jc.JointPrior.canonical([np.eye(3)[:, :2], np.eye(2)], 0.0)
    rows = [np.zeros((1, 3)), np.zeros((1, 2))]
    with pytest.raises(jc.ShapeError, match="every frame square"):
        jc.fuse(prior, rows, rows, None, "frame")
    with pytest.raises(ValueError, match="expected 'latent' or 'frame'"):
        jc.fuse(prior, rows, rows, None, "latents")
    independent = jc.fuse(jc.JointPrior.independent([3, 2]), rows, rows, None, "frame")
    assert isinstance(independent, jc.Fused)  # no frames: the same in both coordinates
