"""The fused posterior down to the smallest gap 1 - a^2 that a dtype can say: in frame coordinates within the bounds of
fused_bounds.py, in the latents within 8 n^2 w eps of its size (docs/error-analysis.md) or refused.

Frames are columns of Hadamard's matrix of order 4 over 2, signed and permuted: orthonormal to the last bit, for a frame that is
off by eps is itself an answer's error of w eps.
"""

from __future__ import annotations

import functools
from typing import Any

import enclosures
import error_bounds
import flint
import fused_bounds
import fused_gradient_bounds
import mpmath
import numpy as np
import oracles
import pytest
import strategies
import torch
from bound_problems import on_balls
from libraries import Backend, Library
from strategies import Structure, float32, holes
from test_fused_bounds import fused
from test_fused_gradient_bounds import gradients

import jpvae_core as jc

HADAMARD = np.asarray([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2.0
ROWS, N = 4, 4
GAPS = {"float32": (1e-4, 6e-8, 1e-12, 1e-38), "float64": (1e-8, 1.2e-16, 1e-30, 1e-307)}
LATENT = Structure("orthogonal", (N, N), N), Structure("svd-sigmoid", (N, N), 2), Structure("canonical", (N, N, N), 2)
FRAME = Structure("orthogonal", (N, N), N), Structure("svd-sigmoid", (N, N), N), Structure("canonical", (N, N, N), N)
BITS = {True: 800, False: 4500}  # of the balls, for gaps above 1e-40 and below: w^2 has up to 2,040 before the point


def arguments(structure: Structure, gap: float, reach: float, noise_dim: int) -> Any:
    """One direction at least has the gap. Rows: all views, one missing, one alone, all views."""
    kind, dims, d, rng = structure.kind, structure.dims, structure.rank, np.random.default_rng(3)
    frames = [(HADAMARD[rng.permutation(N)] * rng.choice([-1.0, 1.0], (N, 1)))[:, rng.permutation(N)[:d]] for _ in dims]
    if kind == "orthogonal":
        parameters: dict[str, Any] = {"frames": frames, "alpha": float32(1.0 - gap) if gap > 5e-8 else np.asarray(1.0 - gap)}
    else:
        strongest = np.log1p(-gap) - np.log(gap)
        logits = strongest * rng.choice([1.0, 1.0, 0.5, -0.5, -1.0], (len(dims), d) if kind == "canonical" else (d,))
        logits.flat[0] = strongest
        parameters = {"frames": frames, "logits": float32(logits)}
    means, log_vars = (
        [float32(f(n)) for n in dims]
        for f in (lambda n: rng.standard_normal((ROWS, n)), lambda n: -reach * rng.random((ROWS, n)))
    )
    mask = np.ones((ROWS, len(dims)), dtype=bool)
    mask[1, 1], mask[2, 1:] = False, False
    noise = float32(rng.standard_normal((ROWS, noise_dim)))
    latents = [float32(m + 0.1 * rng.standard_normal(m.shape)) for m in means]
    return parameters, means, log_vars, mask, noise, latents


@functools.cache
def prepared(coordinates: str, structure: Structure, gap: float, reach: float) -> Any:
    """Arguments and exact results."""
    views, d = len(structure.dims), structure.rank
    noise_dim = sum(structure.dims) + d * (1 + views * (coordinates == "latent"))
    parameters, means, log_vars, mask, noise, latents = arguments(structure, gap, reach, noise_dim)
    with flint.ctx.workprec(BITS[gap > 1e-40]):
        exact = on_balls(fused, (coordinates, structure), parameters, means, log_vars, mask, noise, latents)
        wanted = {name: [enclosures.floats(x) for x in parts] for name, parts in exact.items()}
    return (parameters, means, log_vars, mask, noise, latents), wanted


def least(structure: Structure, parameters: Any) -> float:
    """The smallest r^2 of a direction; a pair's two are (1 - s^2)/2 and that over a_1^2."""
    if structure.kind == "canonical":
        return float(1.0 / (1.0 + np.exp(parameters["logits"].max())))
    if structure.kind == "orthogonal":
        return float((1.0 - parameters["alpha"]) * (1.0 + parameters["alpha"]) / 2.0)
    rest = 1.0 / (1.0 + np.exp(parameters["logits"]))  # 1 - s
    return float((rest * (2.0 - rest) / 2.0).min())


def cases(structures: tuple[Structure, ...], libraries: tuple[Library, ...]) -> list[Any]:
    """A gap below eps is none of an alpha."""
    return [
        pytest.param(Backend(library, dtype), structure, gap, id=f"{library.name.lower()}-{dtype}-{structure.kind}-{gap}")
        for library in libraries
        for dtype, gaps in GAPS.items()
        if library is Library.NUMPY or dtype == "float32"
        for structure in structures
        for gap in gaps
        if structure.kind != "orthogonal" or gap > np.finfo(dtype).eps / 2
    ]


@pytest.mark.parametrize("reach", [3.0, 80.0])
@pytest.mark.parametrize(("xp", "structure", "gap"), cases(LATENT, (Library.NUMPY, Library.TORCH)))
def test_in_the_latents_the_error_is_that_of_the_condition_number_or_the_posterior_is_refused(
    xp: Backend, structure: Structure, gap: float, reach: float
) -> None:
    """Everything that fits into the dtype is finite; its error grows as w, and beyond 8 n^2 w eps = 1 no digit is promised."""
    given, wanted = prepared("latent", structure, gap, reach)
    parameters, means, log_vars, mask, noise, latents = given
    r2, smallest = least(structure, parameters), np.exp(min(v.min() for v in log_vars))
    room = 8 * N**2 * xp.eps / (r2 + (1 - r2) * smallest)
    views = [list(holes(x, mask)) for x in (means, log_vars, latents)]
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            found = xp.call(fused, ("latent", structure), parameters, *views[:2], mask, noise, views[2])
    except jc.NotAContraction:
        found = None
    if found is None:
        assert room > 1, "refused although the bound promises digits"
        return
    size = 1 + max(np.abs(x).max() for x in (*means, noise))
    total = size**2 * sum(structure.dims)
    rooms = {"mean": size, "drawn": size, "covariance": 1.0, "kl": total}
    with np.errstate(over="ignore"):
        rooms["log_density"] = total * (1 + np.abs(wanted["log_density"][0]))
    for name, scale in rooms.items():
        for value, want in zip(found[name], wanted[name], strict=True):
            fits = np.abs(want) < np.finfo(xp.dtype).max / 8
            assert np.all(np.isfinite(value[fits])), name
            with np.errstate(over="ignore"):  # of the room
                assert np.all((np.abs(value - want) <= room * scale)[fits]), name


def reach_of_rounding(structure: Structure, parameters: Any, means: Any, log_vars: Any, mask: Any) -> Any:
    """``error_bound``."""
    return jc.fuse(structure.prior(parameters), means, log_vars, mask).error_bound()


@pytest.mark.parametrize("structure", LATENT, ids=lambda s: s.kind)
def test_how_far_rounding_reaches_is_known_row_by_row(xp: Backend, structure: Structure) -> None:
    """8 n^2 w eps, w = 1/(r^2 + (1 - r^2) min sigma^2) of the views that a row has, r^2 from the parameters by NumPy. w is a
    few roundings off, and r^2 as the loadings are."""
    parameters, means, log_vars, mask, _, _ = arguments(structure, 1e-4, 8.0, 1)
    found = xp.call(reach_of_rounding, structure, parameters, *(list(holes(x, mask)) for x in (means, log_vars)), mask)
    if structure.kind == "canonical":
        views = [[1.0 / (1.0 + np.exp(t)) for t in row] for row in parameters["logits"]]
    else:
        strength = parameters["alpha"] if structure.kind == "orthogonal" else 1.0 / (1.0 + np.exp(-parameters["logits"]))
        s2 = np.square(np.atleast_1d(strength))
        views = [(1.0 - s2) / 2.0, (1.0 - s2) / (1.0 + s2)]
    for r, row in enumerate(mask):
        w = 1.0
        for i, seen in enumerate(row):
            least, sharpest = min(views[i]), min(np.exp(log_vars[i][r])) if seen else 1.0
            w = max(w, 1.0 / (least + (1.0 - least) * sharpest))
        assert found[r] == pytest.approx(8 * N**2 * w * xp.eps, rel=1e4 * xp.eps)


@pytest.mark.parametrize("dtype", GAPS)
@pytest.mark.parametrize("structure", LATENT[1:], ids=lambda s: s.kind)
def test_where_all_evidence_is_sharp_at_once_a_kl_that_fits_is_finite(structure: Structure, dtype: str) -> None:
    """Means over the gap are squared there, and the squares times r^2 leave the dtype only where the KL does. (By which factor
    it is off is not promised: w eps is far above 1.)"""
    gap = {"float32": 1e-26, "float64": 1e-260}[dtype]
    parameters, means, log_vars, _, _, _ = arguments(structure, gap, 0.0, 1)
    parameters["logits"] = np.full_like(parameters["logits"], parameters["logits"].max())
    log_vars = [x + np.float32(np.log(gap)) for x in log_vars]
    for library in (Library.NUMPY, Library.TORCH):
        xp = Backend(library, dtype)
        q = jc.fuse(structure.prior(xp.array(parameters)), *xp.array([means, log_vars]))
        assert np.isfinite(np.asarray(q.kl())).all(), library


@pytest.mark.parametrize("reach", [3.0, 80.0])
@pytest.mark.parametrize(("xp", "structure", "gap"), cases(FRAME, (Library.NUMPY, Library.TORCH)))
def test_in_frames_means_draws_and_covariances_keep_their_digits(
    xp: Backend, structure: Structure, gap: float, reach: float
) -> None:
    """However small the gap. The weights of u^ = sum (a_i/(N_i tau)) m_i and of the mean's two terms are at most 1, so an error
    is what the loadings' own and at most 100 further roundings make of the sizes. m_i - a_i (1 - sigma_i^2) u^ cancels in a KL
    and z_i - mean_i in the density: r_i/N_i, or N_i^(1/2)/(r_i sigma_i), times eps, squared, comes on top."""
    given, wanted = prepared("frame", structure, gap, reach)
    parameters, means, log_vars, mask, noise, latents = given
    kind, parameter = structure.kind, parameters.get("alpha", parameters.get("logits"))
    coupling = error_bounds.Coupling(kind, parameter, len(structure.dims), N)
    error = coupling.a_error if coupling.source else coupling.s_error + coupling.x_error
    size = len(means) * (1 + max(np.abs(x).max() for x in (*means, noise)))
    room = (100 + 8 * error) * xp.eps
    views = [list(holes(x, mask)) for x in (means, log_vars, latents)]
    with np.errstate(over="ignore"):
        found = xp.call(fused, ("frame", structure), parameters, *views[:2], mask, noise, views[2])
    for name, scale in {"mean": size, "drawn": size, "covariance": 1.0}.items():
        for value, want in zip(found[name], wanted[name], strict=True):
            assert np.all(np.abs(value - want) <= room * scale), name
    r2, smallest = least(structure, parameters), np.exp(min(v.min() for v in log_vars))
    sharpest = {"kl": 1 / (r2 + (1 - r2) * smallest), "log_density": 1 / r2 + 1 / smallest}
    for name, w in sharpest.items():
        value, want = found[name][0], wanted[name][0]
        fits = np.abs(want) < np.finfo(xp.dtype).max / 8
        assert np.all(np.isfinite(value[fits])), name
        allowed = room * size**2 * N * (1 + np.abs(want)) + 4 * w * xp.eps**2 * size**2 * N
        assert np.all((np.abs(value - want) <= allowed)[fits]), name


@pytest.mark.parametrize("library", [Library.NUMPY, Library.TORCH, Library.STRICT])
def test_a_factorisation_that_fails_is_refused_by_name(library: Library) -> None:
    xp, given = Backend(library, "float32"), arguments(FRAME[2], 1e-20, 80.0, 1)
    with pytest.raises(jc.NotAContraction, match=r"coordinates='latent'.*in float32: .*Use float64, coordinates='frame'"):
        jc.fuse(FRAME[2].prior(xp.array(given[0])), *xp.array(given[1:3]))


STEEP = {"float32": (1e-6, 1e-12, 1e-15), "float64": (1e-12, 1e-30)}  # below, squares of 1/gap leave the dtype


@pytest.mark.parametrize("reach", [3.0, 80.0])
@pytest.mark.parametrize(("dtype", "gap"), [(dtype, gap) for dtype, gaps in STEEP.items() for gap in gaps])
@pytest.mark.parametrize("structure", FRAME[1:], ids=lambda s: s.kind)
def test_in_frames_gradients_stay_within_their_bounds(structure: Structure, dtype: str, gap: float, reach: float) -> None:
    """Those of test_fused_gradient_bounds.py, and finite."""
    given, xp = arguments(structure, gap, reach, structure.rank + sum(structure.dims)), Backend(Library.NUMPY, dtype)
    (parameters, means, log_vars, mask, noise, _), rng = given, np.random.default_rng(0)
    weight, bars = float32(rng.standard_normal(ROWS)), [float32(rng.standard_normal((ROWS, N))) for _ in structure.dims]
    b = error_bounds.Bounds(structure.kind, structure.dims, parameters["frames"], parameters["logits"])
    evidence = fused_bounds.views(b, means, log_vars, mask.astype(float), parameters["frames"])
    steps = fused_gradient_bounds.in_frames(evidence, noise, weight, bars)
    bounds = fused_gradient_bounds.of_parameters(b.coupling, False, steps)
    everything = "frame", structure
    found = xp.call(gradients, everything, *given[:5], weight, bars)
    exact = on_balls(gradients, everything, *given[:5], weight, bars)
    for name, values in found.items():
        for value, want, bound in zip(values, exact[name], bounds[name], strict=True):
            assert np.all(enclosures.error(value, want) <= bound * xp.eps + np.finfo(dtype).tiny), name


def test_a_row_that_is_not_finite_stays_alone_where_a_library_would_raise_on_all():
    """torch.linalg.cholesky raises on NaN; NumPy's does not."""
    prior = jc.JointPrior.svd(torch.eye(3, 2).double(), torch.zeros(2).double(), torch.eye(2).double())
    means, log_vars = ([x * torch.ones(3, n).double() for n in (2, 3)] for x in (1.0, -1.0))
    whole = jc.fuse(prior, means, log_vars).kl()
    log_vars[0][1, 0] = float("nan")
    found = jc.fuse(prior, means, log_vars).kl()
    assert torch.equal(found[[0, 2]], whole[[0, 2]])
    assert torch.isnan(found[1])


@pytest.mark.parametrize("sharp", [1e-10, 1e-3, 0.9])
def test_of_one_view_the_kl_is_its_own_whatever_the_coupling(sharp):
    """Blunt in one latent and sharp in the other, under a coupling of 1 - 1e-9: q(z_i | x_i) is N(mean, sigma^2) itself."""
    prior = jc.JointPrior.canonical(None, np.full((2, 2), 20.0))
    log_var, mean = np.log([[0.99, sharp]]), np.asarray([[0.3, -0.7]])
    q = jc.fuse(prior, [mean, np.zeros((1, 2))], [log_var, np.zeros((1, 2))], [True, False])
    want = 0.5 * np.sum(mean**2 + np.expm1(log_var) - log_var)
    np.testing.assert_allclose(q.kl(), want, rtol=1e-12)
    np.testing.assert_allclose(q.mean()[1], mean / (1.0 + np.exp(-20.0)), rtol=1e-12)


def test_one_latent_that_is_not_a_number_leaves_no_error():
    """It stands in the results of its row; the other latent's factor stays."""
    prior = jc.JointPrior.canonical(None, np.zeros((2, 2)))
    log_vars = [np.asarray([[np.nan, -1.0]]), np.full((1, 2), -1.0)]
    assert np.isnan(jc.fuse(prior, [np.zeros((1, 2))] * 2, log_vars).kl()).all()
    whole = [torch.tensor(x) for x in log_vars]
    assert torch.isnan(jc.fuse(prior.to(whole[0]), [torch.zeros(1, 2).double()] * 2, whole).kl()).all()


SHARP = {"float32": (-100.0, -180.0, -400.0), "float64": (-720.0, -1500.0, -3000.0)}  # below the second, 1/sigma overflows
TWO = Structure("canonical", (2, 2), 2)


def test_at_the_mean_a_log_density_is_finite_however_sharp_the_evidence(xp: Backend) -> None:
    """Against dense algebra in as many digits as 1/sigma^2 has. Frames are signed identities, which round nothing: z - mean is
    then less than the mean's last digit. Terms are log-variances, squares of latents and the logarithms of r^2 and 2 pi, of
    100 roundings each. Away from the mean the square leaves the dtype, and the logarithm of the density is -inf."""
    model, rng, levels = strategies.Model(TWO, 777, tilt=0.0), np.random.default_rng(5), SHARP[xp.dtype]
    masks = np.asarray([[True, True], [True, False]] * len(levels))
    means = [float32(rng.standard_normal((len(masks), n))) for n in TWO.dims]
    log_vars = [np.repeat([[level, [-1.0, level][i]] for level in levels], 2, axis=0) for i in range(2)]
    with np.errstate(over="ignore"):
        found = xp.call(density_at_the_mean, TWO, model.framed(xp), means, log_vars, masks)
    for coordinates, (density, away, *z) in found.items():
        assert np.all(away == -np.inf)
        for r, mask in enumerate(masks):
            mean, log_var, latents = (np.concatenate([x[r] for x in part]) for part in (means, log_vars, z))
            seen = np.repeat(mask, TWO.dims)
            with mpmath.workdps(int(-2 * log_var.min() / np.log(10)) + 100):
                want = oracles.fused_exactly(model, mean, log_var, mask, coordinates == "frame")[3](latents)
            terms = np.sum(np.abs(log_var[seen]) + latents[seen] ** 2 + 2.0 + 4.0)  # |log r^2| <= 4
            assert abs(density[r] - float(want)) <= 100 * xp.eps * terms, (coordinates, r)


def density_at_the_mean(structure: Structure, parameters: Any, means: Any, log_vars: Any, mask: Any) -> Any:
    """In both coordinates, the log-density at the posterior's own mean and beside it, and the mean."""
    found = {}
    for coordinates in ("latent", "frame"):
        q = jc.fuse(structure.prior(parameters), means, log_vars, mask, coordinates)
        z = q.mean()
        found[coordinates] = (q.log_density(z), q.log_density([z[0] + 0.5, *z[1:]]), *z)
    return found


@pytest.mark.parametrize("coordinates", ["latent", "frame"])
def test_its_gradient_there_is_finite(coordinates: str) -> None:
    """A log-variance of 2 epsilon more widens one direction: the logarithm falls by epsilon."""
    log_vars = [torch.full((1, 2), -400.0, requires_grad=True) for _ in range(2)]
    q = jc.fuse(jc.JointPrior.canonical(None, torch.zeros(2, 2)), [torch.ones(1, 2)] * 2, log_vars, None, coordinates)
    z = [x.detach().requires_grad_() for x in q.mean()]
    gradients = torch.autograd.grad(q.log_density(z).sum(), [*z, *log_vars])
    assert all(torch.isfinite(bar).all() for bar in gradients)
    for bar in gradients[2:]:
        torch.testing.assert_close(bar, torch.full((1, 2), -0.5))
