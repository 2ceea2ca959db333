"""The fused posterior's gradients by hand: of its KL against 50-digit differences of the dense formula; of both, and in every
shape, against torch's automatic differentiation of the forward pass (which test_fused.py holds to dense formulas).

Gradients in frames are compared through the skew entries: the hand-written ones hold along orthonormal frames only.
"""

import numpy as np
import oracles
import pytest
import torch
from parameter_cotangents import to_parameters
from strategies import Model, Structure, float32, holes, patterns

import jpvae_core as jc
from jpvae_core import vjp

STRUCTURES = (
    Structure("independent", (2, 1), 0),
    Structure("orthogonal", (2, 2), 2),
    Structure("svd-sigmoid", (2, 3), 2),
    Structure("svd-tanh", (3, 2), 1),
    Structure("svd-tanh", (2, 2), 2),
    Structure("canonical", (2, 3, 2), 2),
)
SMALL = (
    Structure("orthogonal", (2, 2), 2),
    Structure("svd-sigmoid", (1, 2), 1),
    Structure("svd-tanh", (2, 2), 2),
    Structure("canonical", (2, 1, 2), 1),
)
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: f"{s.kind}-{s.dims}-{s.rank}")


class Case:
    """Inputs of one model, a row for every pattern (or the given ones); subsets > 0: that many masks on a leading axis."""

    def __init__(self, structure, subsets=0, masks=None, coordinates="latent", **model):
        self.model, self.structure, self.coordinates = Model(structure, 5, **model), structure, coordinates
        self.parameters = {name: x for name, x in self.model.parameters.items() if name != "signs"}
        self.signs, rng = self.model.parameters.get("signs", []), np.random.default_rng(3)
        self.mask = patterns(len(structure.dims)) if masks is None else masks
        rows, lead = len(self.mask), (subsets,) if subsets else ()
        if subsets:
            self.mask = rng.random((subsets, rows, len(structure.dims))) < 0.6
        self.means = [float32(rng.standard_normal((rows, n))) for n in structure.dims]
        self.log_vars = [float32(-4 * rng.random((rows, n))) for n in structure.dims]
        sources = 1 + len(structure.dims) if coordinates == "latent" else 1
        noise_dim = max(structure.rank, 1) * sources + sum(structure.dims)
        self.noise = float32(rng.standard_normal((*lead, rows, noise_dim)))
        self.weight = float32(rng.standard_normal((*lead, rows)))
        self.bars = [float32(rng.standard_normal((*lead, rows, n))) for n in structure.dims]


def by_hand(case, kl=1.0, draw=1.0):
    """Of kl <weight, KL> + draw <bars, draw>, in means, log_vars and free parameters, missing views holding NaN."""
    per_view = zip(case.parameters.get("entries", []), case.structure.dims, case.signs, strict=False)
    frames = [jc.frame(entries, n, case.structure.rank, s) for entries, n, s in per_view]
    seen = case.mask if case.mask.ndim == 2 else case.mask.any(axis=0)
    prior = case.structure.prior(case.parameters | {"frames": frames})
    q = jc.fuse(prior, holes(case.means, seen), holes(case.log_vars, seen), case.mask, case.coordinates)
    means, log_vars, bar = vjp.fuse(q, case.noise, kl * case.weight, [draw * b for b in case.bars])
    free = to_parameters(case.structure, case.parameters, frames, case.signs, bar)
    return {"means": list(means), "log_vars": list(log_vars)} | free


def by_torch(case):
    leaf = {name: [torch.tensor(x, requires_grad=True) for x in getattr(case, name)] for name in ("means", "log_vars")}
    for name, x in case.parameters.items():
        one = isinstance(x, np.ndarray)
        leaf[name] = torch.tensor(x, requires_grad=True) if one else [torch.tensor(t, requires_grad=True) for t in x]
    raw = {name: leaf[name] for name in case.parameters} | {"signs": [torch.tensor(s) for s in case.signs]}
    prior = case.structure.prior(raw)
    q = jc.fuse(prior, leaf["means"], leaf["log_vars"], torch.tensor(case.mask), case.coordinates)
    drawn = zip(q.draw(torch.tensor(case.noise)), case.bars, strict=True)
    total = (q.kl() * torch.tensor(case.weight)).sum() + sum((z * torch.tensor(bar)).sum() for z, bar in drawn)
    total.backward()
    return {name: [slope(y) for y in x] if isinstance(x, list) else slope(x) for name, x in leaf.items()}


def slope(leaf):
    """Its gradient, 0 where nothing depends on it."""
    return np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()


def agree(found, wanted, tolerance):
    """Every array, relative to the largest number of all of its kind."""
    assert found.keys() >= wanted.keys()
    for name, want in wanted.items():
        pairs = zip(found[name], want, strict=True) if isinstance(want, list) else [(found[name], want)]
        for x, y in pairs:
            assert np.shape(x) == np.shape(y)
            assert np.all(np.abs(x - y) <= tolerance * (1 + np.abs(y).max(initial=0.0))), name


@every_structure
@pytest.mark.parametrize(("subsets", "reach"), [(0, 2.0), (4, 2.0), (0, 10.0)])
def test_it_is_what_autograd_finds(structure, subsets, reach):
    """Both differentiate sums of some 1e2 terms whose factors N^{-1}, at most 1/sigma^2 = e^4, enter up to three times."""
    case = Case(structure, subsets, reach=reach)
    agree(by_hand(case), by_torch(case), 1e4 * np.exp(4) * 2.0**-52)


@pytest.mark.parametrize(
    "structure",
    [Structure("orthogonal", (2, 2), 2), Structure("svd-tanh", (3, 3), 3), Structure("canonical", (2, 2, 2), 2)],
    ids=lambda s: s.kind,
)
@pytest.mark.parametrize(("subsets", "reach"), [(0, 2.0), (4, 2.0), (0, 10.0)])
def test_in_frame_coordinates_it_is_what_autograd_finds(structure, subsets, reach):
    """As above; here it is N, at least r^2 + sigma^2 - r^2 sigma^2 >= e^-4, that is divided by up to three times."""
    case = Case(structure, subsets, coordinates="frame", reach=reach)
    agree(by_hand(case), by_torch(case), 1e4 * np.exp(4) * 2.0**-52)


def test_without_frames_it_is_that_of_identity_frames():
    """None stands for the identity: the same numbers but for the products with it, which are exact."""
    structure = Structure("canonical", (2, 2, 2), 2)
    case = Case(structure, coordinates="frame")
    logits = case.parameters["logits"]
    priors = jc.JointPrior.canonical(None, logits), jc.JointPrior.canonical([np.eye(2)] * 3, logits)
    qs = [jc.fuse(prior, case.means, case.log_vars, case.mask, "frame") for prior in priors]
    ours, theirs = (vjp.fuse(q, case.noise, case.weight, case.bars) for q in qs)
    assert ours[2].frames == (None, None, None)
    alone = jc.fuse(jc.JointPrior.independent((2, 2, 2)), case.means, case.log_vars, case.mask)
    assert vjp.fuse(alone, np.zeros((len(case.mask), alone.noise_dim)), case.weight, case.bars)[2] == ((None,) * 3, None)
    for x, y in zip([*ours[0], *ours[1], ours[2].coupling], [*theirs[0], *theirs[1], theirs[2].coupling], strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("structure", SMALL, ids=lambda s: f"{s.kind}-{s.dims}-{s.rank}")
def test_of_the_kl_it_is_the_derivative_of_the_dense_kl(structure):
    """Central differences with steps of 1e-25 in 80 digits: exact to 50. Two rows: all views, and all but the first."""
    case = Case(structure, masks=np.arange(len(structure.dims)) >= np.array([[0], [1]]))
    found = by_hand(case, draw=0.0)

    def total(means, log_vars, parameters):
        S, dims = oracles.covariance(structure, parameters | {"signs": case.signs}), structure.dims
        precision, at, value = oracles.inverse_and_log_det(S)[0], oracles.blocks(dims), 0
        for r, mask in enumerate(case.mask):
            o = oracles.coordinates(dims, mask)
            if not len(o):
                continue
            P, eta = precision.copy(), oracles.exact(np.zeros(len(S)))
            for i in np.flatnonzero(mask):
                inverse = oracles.exp(-log_vars[i][r])
                P[at[i], at[i]] = P[at[i], at[i]] + np.diag(inverse) - oracles.identity(dims[i])
                eta[at[i]] = inverse * means[i][r]
            cov, _ = oracles.inverse_and_log_det(P)
            prior, prior_log_det = oracles.inverse_and_log_det(S[np.ix_(o, o)])
            inside, mean = cov[np.ix_(o, o)], (cov @ eta)[o]
            log_det = oracles.inverse_and_log_det(inside)[1]
            kl = (sum((prior @ inside).diagonal()) + mean @ prior @ mean - len(o) + prior_log_det - log_det) / 2
            value = value + case.weight[r] * kl
        return value

    exact = {name: oracles.exact(x) if isinstance(x, np.ndarray) else list(map(oracles.exact, x)) for name, x in {
        "means": case.means, "log_vars": case.log_vars, **case.parameters}.items()}  # fmt: skip

    def moved(name, k, x):
        """The total with one array replaced."""
        arrays = dict(exact)
        arrays[name] = x if k is None else [*exact[name][:k], x, *exact[name][k + 1 :]]
        raw = {key: arrays[key] for key in case.parameters}
        return total(arrays["means"], arrays["log_vars"], raw)

    wanted = {}
    for name, x in exact.items():
        if name == "entries" and structure.kind == "orthogonal":  # view 1's frame is the identity whatever its entries
            x = x[1:]
            found[name] = found[name][1:]
            wanted[name] = [oracles.derivatives(lambda p, n=name: moved(n, 1, p), x[0])]
        elif isinstance(x, list):
            wanted[name] = [oracles.derivatives(lambda p, n=name, k=k: moved(n, k, p), y) for k, y in enumerate(x)]
        else:
            wanted[name] = oracles.derivatives(lambda p, n=name: moved(n, None, p), x)
    agree(found, wanted, 1e4 * np.exp(4) * 2.0**-52)


def test_a_missing_view_gets_exactly_0():
    case = Case(STRUCTURES[-1])
    found = by_hand(case)
    for i in range(3):
        for name in ("means", "log_vars"):
            assert not found[name][i][~case.mask[:, i]].any()
